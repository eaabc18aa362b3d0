"""``jelmon analyze FILE.csv``: the change points of each column, with a picture in the terminal."""

import argparse
import csv
import io
import json
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jelmon.errors import ConfigError
from jelmon_analyzers.timeseries.changepoints import detect
from jelmon_analyzers.timeseries.counters import rates

Floats = NDArray[np.float64]

_EPILOG = """\
examples:
  jelmon analyze runs.csv
  jelmon analyze runs.csv --column duration --label commit
  jelmon analyze counters.csv --counter --json
  cat runs.csv | jelmon analyze -

The first line names the columns. Columns that hold no numbers label the rows; an empty cell or NaN is a missing value.
Exit code: 1 if a column has a change point and --fail-on-change is given, else 0.
"""
_BARS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 8
_MISSING = frozenset({"", "nan", "null", "none", "na", "-"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``jelmon analyze``."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE.csv", help="a CSV file with a header line; - is standard input")
    parser.add_argument("--column", action="append", default=[], metavar="NAME", help="which to look at (default: all)")
    parser.add_argument(
        "--label", metavar="NAME", help="the column that names a row (default: the first without numbers)"
    )
    parser.add_argument("--counter", action="store_true", help="the columns are raw counters: look at their increase")
    parser.add_argument("--width", type=int, default=100, metavar="CHARS", help="of the picture (default: %(default)s)")
    parser.add_argument("--no-picture", dest="picture", action="store_false", help="only the list")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--fail-on-change", action="store_true", help="exit with 1 if anything changed")


def run(args: argparse.Namespace) -> int:
    """Print what changed."""
    if args.width < 20:
        raise ConfigError("--width must be at least 20")
    labels, columns = read(args.file, wanted=args.column, label=args.label)
    told = {}
    for name, values in columns.items():
        shown = increases(values) if args.counter else values
        told[name] = changes(shown, labels)
        if not args.json:
            sys.stdout.write(as_text(name, shown, told[name], width=args.width if args.picture else 0))
    if args.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 1 if args.fail_on_change and any(told.values()) else 0


def read(file: str, *, wanted: list[str], label: str | None) -> tuple[list[str], dict[str, Floats]]:
    """Labels of the rows and the columns of numbers.

    Raises:
        ConfigError: no such file, no rows, no such column, or a wanted column without numbers.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if len(rows) < 2:
        raise ConfigError(f"{file}: no rows", hint="write a line with the names of the columns, then one line a row")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(f"{file}: row {number} has {len(row)} cells, the header {len(header)}")
    cells = {name: [row[place].strip() for row in rows[1:]] for place, name in enumerate(header)}
    for name in [*wanted, *([label] if label else [])]:
        if name not in cells:
            raise ConfigError(f"{file}: no column {name!r}", hint=f"it has {', '.join(header)}")
    numbers = {name: parsed for name, column in cells.items() if (parsed := _numbers(column)) is not None}
    for name in wanted:
        if name not in numbers:
            raise ConfigError(f"{file}: column {name!r} has cells that are no numbers")
    named_by = label or next((name for name in header if name not in numbers), None)
    labels = cells[named_by] if named_by is not None else [str(row) for row in range(len(rows) - 1)]
    chosen = wanted or [name for name in numbers if name != named_by]
    if not chosen:
        raise ConfigError(f"{file}: no column of numbers")
    return labels, {name: numbers[name] for name in chosen}


def _numbers(column: list[str]) -> Floats | None:
    try:
        values = np.array([math.nan if cell.lower() in _MISSING else float(cell) for cell in column])
    except ValueError:
        return None
    return values if np.isfinite(values).any() else None


def increases(totals: Floats) -> Floats:
    """What a counter counted from row to row; a fall is a restart."""
    return rates(totals, 1.0)


def changes(values: Floats, labels: list[str]) -> list[dict[str, str | int | float | None]]:
    """One entry per change point: where it is, and the medians before and after."""
    points = detect(values)
    bounds = [0, *points, len(values)]
    told: list[dict[str, str | int | float | None]] = []
    for before, point, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        old, new = float(np.nanmedian(values[before:point])), float(np.nanmedian(values[point:after]))
        told.append(
            {"row": point, "label": labels[point], "before": old, "after": new, "ratio": new / old - 1 if old else None}
        )
    return told


def as_text(name: str, values: Floats, told: list[dict[str, str | int | float | None]], *, width: int) -> str:
    """The list, and above it the picture if there is width for one."""
    lines = [f"{name}: {len(values)} rows, {len(told) or 'no'} change point{'' if len(told) == 1 else 's'}"]
    if width:
        lines += picture(values, [int(change["row"] or 0) for change in told], width=width)
    for change in told:
        ratio = change["ratio"]
        size = f"{ratio:+.1%}" if isinstance(ratio, float) else "from 0"
        lines.append(f"  row {change['row']} ({change['label']}): {change['before']:g} -> {change['after']:g}  {size}")
    return "\n".join(lines) + "\n\n"


def picture(values: Floats, points: list[int], *, width: int) -> list[str]:
    """Bars of the medians of groups of rows; a mark under each group in which a segment begins."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(len(f"{low:g}"), len(f"{high:g}")) + 1
    groups = min(len(values), width - margin)
    places = np.minimum(np.arange(len(values)) * groups // len(values), groups - 1)
    heights = []
    for group in range(groups):
        part = values[places == group]
        part = part[np.isfinite(part)]
        share = (float(np.median(part)) - low) / (high - low) if len(part) and high > low else 0.0
        heights.append(1 + round(share * (_HEIGHT * 8 - 1)) if len(part) else 0)
    lines = []
    for row in range(_HEIGHT - 1, -1, -1):
        scale = f"{high:g}" if row == _HEIGHT - 1 else f"{low:g}" if row == 0 else ""
        lines.append(f"{scale:>{margin - 1}} " + "".join(_BARS[min(8, max(0, height - 8 * row))] for height in heights))
    marked = {int(places[point]) for point in points}
    if marked:
        lines.append(" " * margin + "".join("^" if group in marked else " " for group in range(groups)))
    return [line.rstrip() for line in lines]
