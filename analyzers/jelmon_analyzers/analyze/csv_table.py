"""Reading a CSV file: which columns hold numbers, and which one labels the rows."""

import csv
import io
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon.errors import ConfigError

Floats = NDArray[np.float64]

_MISSING = frozenset({"", "nan", "null", "none", "na", "-"})


class Table(NamedTuple):
    """The labels of the rows, and the selected columns by name, NaN for missing."""

    labels: list[str]
    columns: dict[str, Floats]


def read(file: str, *, wanted: list[str], label: str | None) -> Table:
    """Read a CSV file with a header line; ``-`` is standard input.

    ``wanted`` names the columns to select, all columns of numbers if it is empty. ``label`` names the column of row
    labels, otherwise the first column without numbers has them.

    Raises:
        ConfigError: the file is unreadable or has no rows, or a column does not exist or holds no numbers.
    """
    cells = _cells(file)
    for name in [*wanted, *([label] if label else [])]:
        if name not in cells:
            raise ConfigError(f"{file}: no column {name!r}", hint=f"it has {', '.join(cells)}")
    numbers = {name: parsed for name, column in cells.items() if (parsed := _numbers(column)) is not None}
    for name in wanted:
        if name not in numbers:
            raise ConfigError(f"{file}: column {name!r} has cells that are not numbers")
    label = label or next((name for name in cells if name not in numbers), None)
    selected = wanted or [name for name in numbers if name != label]
    if not selected:
        raise ConfigError(f"{file}: no column of numbers")
    rows = len(next(iter(cells.values())))
    labels = cells[label] if label is not None else [str(row) for row in range(rows)]
    return Table(labels, {name: numbers[name] for name in selected})


def _cells(file: str) -> dict[str, list[str]]:
    """Return the stripped cells of each column by its name."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if len(rows) < 2:
        raise ConfigError(f"{file}: no rows", hint="write a header line with column names, then one line per row")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(f"{file}: row {number} has {len(row)} cells, the header has {len(header)}")
    return {name: [row[index].strip() for row in rows[1:]] for index, name in enumerate(header)}


def _numbers(column: list[str]) -> Floats | None:
    """Return a column as numbers, None if a cell is something else or all are missing."""
    try:
        values = np.array([math.nan if cell.lower() in _MISSING else float(cell) for cell in column])
    except ValueError:
        return None
    return values if np.isfinite(values).any() else None
