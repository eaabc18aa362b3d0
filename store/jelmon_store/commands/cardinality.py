"""``jelmon store cardinality``: which metrics and labels have how many series and values."""

import argparse
from collections.abc import Sequence
from typing import Any

from jelmon_store.commands.connection import connected
from jelmon_store.settings import add_database_argument

_METRICS = """
SELECT name, count(*) FROM jelmore.series JOIN jelmore.metrics USING (metric_id)
WHERE tenant = %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""
_LABELS = """
SELECT key, count(DISTINCT value), count(*) FROM jelmore.series, jsonb_each_text(labels)
WHERE tenant = %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""
_PAIRS = """
SELECT key || '=' || to_jsonb(value)::text, count(*) FROM jelmore.series, jsonb_each_text(labels)
WHERE tenant = %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon store cardinality``."""
    add_database_argument(parser, default=argparse.SUPPRESS)
    parser.add_argument("--top", type=int, default=10, metavar="NUMBER", help="rows of each table (default: 10)")
    parser.add_argument("--tenant", default="", help="tenant to look at (default: that without a name)")


def run(args: argparse.Namespace) -> int:
    """Print three tables."""
    with connected(args) as connection:
        row = connection.execute("SELECT count(*) FROM jelmore.series WHERE tenant = %s", (args.tenant,)).fetchone()
        assert row is not None
        print(f"{row[0]} series")
        for title, query in (
            (("metric", "series"), _METRICS),
            (("label", "values", "series"), _LABELS),
            (("label and value", "series"), _PAIRS),
        ):
            print()
            _print_table(title, connection.execute(query, (args.tenant, args.top)).fetchall())
    return 0


def _print_table(title: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns; control characters of hostile labels do not reach the terminal."""
    table = [[_printable(str(cell)) for cell in row] for row in (title, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(title))]
    for first, *rest in table:
        numbers = "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        print(f"{first:<{widths[0]}}{numbers}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
