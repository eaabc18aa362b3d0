"""``jelmon store view``: makes SQL views of metrics, with labels as columns."""

import argparse

import psycopg

from jelmon.errors import ConfigError
from jelmon_store.commands.connection import connected
from jelmon_store.settings import add_database_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon store view``."""
    parser.epilog = """\
examples:
  jelmon store view jelmore_cards_finished_total          makes jelmore.metric_jelmore_cards_finished_total
  jelmon store view --rollup 1h jelmore_stage_queue_depth

Run it again when a metric has got new labels. In SQL: SELECT jelmore.metric_view('up', '1h').
"""
    add_database_argument(parser, default=argparse.SUPPRESS)
    parser.add_argument("metrics", nargs="*", metavar="METRIC", help="names of metrics (default: all that are stored)")
    parser.add_argument("--rollup", choices=("5m", "1h", "1d"), default="", help="of a rollup instead of raw samples")


def run(args: argparse.Namespace) -> int:
    """Make the views and print their names."""
    with connected(args) as connection:
        names = args.metrics or [
            name
            for (name,) in connection.execute(
                "SELECT name FROM jelmore.metrics m WHERE EXISTS "
                "(SELECT FROM jelmore.series s WHERE s.metric_id = m.metric_id) ORDER BY 1"
            )
        ]
        for name in names:
            try:
                row = connection.execute("SELECT jelmore.metric_view(%s, %s)", (name, args.rollup)).fetchone()
            except psycopg.errors.UndefinedObject as error:
                raise ConfigError(
                    f"no metric {name!r} is stored", hint="`jelmon store cardinality` lists the largest"
                ) from error
            assert row is not None
            print(row[0])
    return 0
