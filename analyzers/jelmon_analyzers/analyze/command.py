"""The flags of ``jelmon analyze``, and its output as text or JSON."""

import argparse
import json
import shlex
import sys

import numpy as np
from numpy.typing import NDArray

from jelmon.errors import ConfigError, plural
from jelmon_analyzers.analyze.chart import chart
from jelmon_analyzers.analyze.csv_table import read
from jelmon_analyzers.timeseries.changepoints import detect
from jelmon_analyzers.timeseries.counters import rates

Floats = NDArray[np.float64]
Change = dict[str, str | int | float | None]

_LEAST_WIDTH = 20
_EPILOG = """\
examples:
  jelmon analyze runs.csv
  jelmon analyze runs.csv --column duration --label commit
  jelmon analyze counters.csv --counter --json
  cat runs.csv | jelmon analyze -

The first line names the columns. An empty cell or NaN is a missing value. Without --column, columns that number things
or only rise are skipped.
Exit code: 1 if a column has a change point and --fail-on-change is given, otherwise 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon analyze``."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE.csv", help="CSV file with a header line; - reads standard input")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME",
        help="column to analyze; repeatable (default: all measurements)",
    )
    parser.add_argument(
        "--label", metavar="NAME", help="column that labels the rows (default: the first without numbers)"
    )
    parser.add_argument(
        "--delimiter", type=_delimiter, metavar="C", help="delimiter of cells (default: from the header)"
    )
    parser.add_argument("--counter", action="store_true", help="treat columns as raw counters: analyze their increase")
    parser.add_argument(
        "--width", type=int, default=100, metavar="CHARS", help="width of the chart (default: %(default)s)"
    )
    parser.add_argument("--no-picture", dest="picture", action="store_false", help="print no chart")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--fail-on-change", action="store_true", help="exit with 1 if a column has a change point")


def _delimiter(text: str) -> str:
    if len(text.replace("\\t", "\t")) != 1:
        raise argparse.ArgumentTypeError(r"give one character, such as ';' or '\t'")
    return text.replace("\\t", "\t")


def run(args: argparse.Namespace) -> int:
    """Print the change points of each column.

    Raises:
        ConfigError: the width is too small, or the file is unsuitable.
    """
    if args.width < _LEAST_WIDTH:
        raise ConfigError(f"--width must be at least {_LEAST_WIDTH}")
    table = read(args.file, wanted=args.column, label=args.label, delimiter=args.delimiter, counters=args.counter)
    for name, why in table.skipped.items():
        sys.stderr.write(f"{name}: skipped: {why}; --column {shlex.quote(name)} selects it\n")
    by_column = {}
    for name, values in table.columns.items():
        analyzed = rates(values, 1.0) if args.counter else values
        by_column[name] = changes(analyzed, table.labels)
        if not args.json:
            sys.stdout.write(as_text(name, analyzed, by_column[name], width=args.width if args.picture else 0))
    if args.json:
        sys.stdout.write(json.dumps(by_column, indent=2) + "\n")
    return 1 if args.fail_on_change and any(by_column.values()) else 0


def changes(values: Floats, labels: list[str]) -> list[Change]:
    """Return an entry per change point: its row and label, the medians before and after, and their ratio."""
    points = detect(values)
    bounds = [0, *points, len(values)]
    entries: list[Change] = []
    for before, point, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        old, new = float(np.nanmedian(values[before:point])), float(np.nanmedian(values[point:after]))
        entries.append(
            {"row": point, "label": labels[point], "before": old, "after": new, "ratio": new / old - 1 if old else None}
        )
    return entries


def as_text(name: str, values: Floats, entries: list[Change], *, width: int) -> str:
    """Return the list of changes, under a chart if ``width`` is not 0."""
    count = plural(len(entries), "change point") if entries else "no change points"
    lines = [f"{name}: {plural(len(values), 'row')}, {count}"]
    if width:
        lines += chart(values, [int(change["row"] or 0) for change in entries], width=width)
    for change in entries:
        ratio = change["ratio"]
        size = f"{ratio:+.1%}" if isinstance(ratio, float) else "from 0"
        lines.append(f"  row {change['row']} ({change['label']}): {change['before']:g} -> {change['after']:g}  {size}")
    return "\n".join(lines) + "\n\n"
