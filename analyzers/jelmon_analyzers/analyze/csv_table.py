"""Reading a CSV file: which columns hold numbers, and which one labels the rows."""

import csv
import io
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon.errors import ConfigError

Floats = NDArray[np.float64]

_DELIMITERS = ",;\t|"
_LEAST_ROWS = 10
"""Fewer rows are too few to tell a counter from a value that happens to rise."""

_ID = re.compile(r"(^|[_ .-])(id|ids|number|no|nr|uuid|sha|commit|build|attempt)$", re.IGNORECASE)
_MISSING = frozenset({"", "nan", "null", "none", "na", "-"})


class Table(NamedTuple):
    """The labels of the rows, the selected columns by name, NaN for missing, and why others were left out."""

    labels: list[str]
    columns: dict[str, Floats]
    skipped: dict[str, str]


def read(
    file: str, *, wanted: list[str], label: str | None, delimiter: str | None = None, counters: bool = False
) -> Table:
    """Read a CSV file with a header line; ``-`` is standard input.

    ``wanted`` names the columns to select; if it is empty, all columns of numbers are, except ids and, unless
    ``counters`` are asked for, columns that only rise. ``label`` names the column of row labels, otherwise the first
    column without numbers has them. The delimiter is detected from the header if it is not given.

    Raises:
        ConfigError: the file is unreadable or has no rows, or a column does not exist or holds no numbers.
    """
    cells = _cells(file, delimiter)
    _check_names(file, [*wanted, *([label] if label else [])], cells)
    numbers = {name: parsed for name, column in cells.items() if (parsed := _numbers(column)) is not None}
    for name in wanted:
        if name not in numbers:
            raise ConfigError(f"{file}: column {name!r} has cells that are not numbers")
    label = label or next((name for name in cells if name not in numbers), None)
    columns = {name: column for name, column in numbers.items() if name != label}
    skipped = {} if wanted else _skipped(columns, counters)
    selected = wanted or [name for name in columns if name not in skipped]
    if not selected:
        raise _nothing_to_analyze(file, skipped)
    rows = len(next(iter(cells.values())))
    labels = cells[label] if label is not None else [str(row) for row in range(rows)]
    return Table(labels, {name: numbers[name] for name in selected}, skipped)


def _check_names(file: str, names: list[str], cells: dict[str, list[str]]) -> None:
    for name in names:
        if name not in cells:
            raise ConfigError(f"{file}: no column {name!r}", hint=f"it has {', '.join(cells)}")


def _nothing_to_analyze(file: str, skipped: dict[str, str]) -> ConfigError:
    why = "; ".join(f"{name!r}: {reason}" for name, reason in skipped.items())
    return ConfigError(
        f"{file}: no column of numbers" + (f" to analyze ({why})" if why else ""),
        hint="select a column with --column, or another delimiter with --delimiter",
    )


def _skipped(columns: dict[str, Floats], counters: bool) -> dict[str, str]:
    """Return the columns that are probably no measurements, each with the reason."""
    reasons = {name: _no_measurement(name, values, counters) for name, values in columns.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _no_measurement(name: str, values: Floats, counters: bool) -> str:
    """Return why a column is probably not a measurement; an empty string if it may be one."""
    known = values[np.isfinite(values)]
    if len(known) < _LEAST_ROWS:
        return ""
    if _ID.search(name) and (known == np.round(known)).all():
        return "it numbers things"
    steps = np.diff(known)
    if not counters and (steps >= 0).all() and (steps > 0).mean() > 0.5:
        return "it only rises, as a counter, an id or a time does; --counter analyzes the increase"
    return ""


def _cells(file: str, delimiter: str | None) -> dict[str, list[str]]:
    """Return the stripped cells of each column by its name."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    delimiter = delimiter or max(_DELIMITERS, key=text.partition("\n")[0].count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if len(rows) < 2:
        raise ConfigError(f"{file}: no rows", hint="write a header line with column names, then one line per row")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(
                f"{file}: row {number} has {len(row)} cells, the header has {len(header)}",
                hint=f"the delimiter is {delimiter!r}; --delimiter sets another",
            )
    return {name: [row[index].strip() for row in rows[1:]] for index, name in enumerate(header)}


def _numbers(column: list[str]) -> Floats | None:
    """Return a column as numbers, None if a cell is something else or all are missing."""
    try:
        values = np.array([math.nan if cell.lower() in _MISSING else float(cell) for cell in column])
    except ValueError:
        return None
    return values if np.isfinite(values).any() else None
