"""The current value of every series, and what each scrape held: series are columns, scrapes are rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = tuple[tuple[str, str], ...]
"""Names and values of a series' labels, sorted by name; the name of the metric is ``__name__``."""

NAME = "__name__"
_FIRST_CAPACITY = 1024


def labels_of(name: str, labels: Mapping[str, str]) -> Labels:
    """Return the labels of a series; an empty value is no label, as in Prometheus."""
    return tuple(sorted([(NAME, name), *((label, value) for label, value in labels.items() if value)]))


class Columns:
    """The series that a scrape would hold now; a series without a value is NaN."""

    def __init__(self) -> None:
        self.labels: list[Labels] = []
        self._index: dict[Labels, int] = {}
        self._values = np.full(_FIRST_CAPACITY, np.nan)

    def column(self, labels: Labels) -> int:
        """Return the column of a series, new and without a value on first use."""
        index = self._index.get(labels)
        if index is None:
            index = self._index[labels] = len(self.labels)
            self.labels.append(labels)
            if index >= len(self._values):
                self._values = np.concatenate([self._values, np.full(len(self._values), np.nan)])
        return index

    def set(self, index: int, value: float) -> None:
        """Set the value of a column; NaN removes it."""
        self._values[index] = value

    def set_range(self, first: int, values: list[float]) -> None:
        """Set adjacent columns."""
        self._values[first : first + len(values)] = values

    def get(self, index: int) -> float:
        """Return the value of a column."""
        return float(self._values[index])

    @property
    def values(self) -> Floats:
        """The values of all columns."""
        return self._values[: len(self.labels)]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What consecutive scrapes held. ``values[row, column]`` is NaN where a series is absent.

    ``stale[row, column]`` is where a series has just ended: Prometheus writes a staleness marker there.
    """

    labels: list[Labels]
    times: NDArray[np.int64]  # milliseconds
    values: Floats
    stale: NDArray[np.bool_]

    @property
    def begin(self) -> float:
        """The time of the first scrape, in seconds."""
        return float(self.times[0]) / 1000

    @property
    def end(self) -> float:
        """The time of the last scrape, in seconds."""
        return float(self.times[-1]) / 1000

    @property
    def samples(self) -> int:
        """How many samples it holds, without staleness markers."""
        return int(np.isfinite(self.values).sum())


class Recorder:
    """Collects scrapes into chunks."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._times: list[int] = []
        self._rows: list[Floats] = []
        self._present = np.zeros(0, dtype=np.bool_)  # in the last row of the previous chunk

    def __len__(self) -> int:
        return len(self._rows)

    def record(self, time: float) -> None:
        """Record a scrape at a time in seconds."""
        self.append(time, self._columns.values.copy())

    def append(self, time: float, row: Floats) -> None:
        """Append the values of the first columns at a time in seconds; further columns are absent."""
        self._times.append(round(time * 1000))
        self._rows.append(row)

    def take(self) -> Chunk:
        """Return the scrapes since the last call; there must be some."""
        width = len(self._columns.labels)
        values = np.full((len(self._rows), width), np.nan)
        for row, recorded in zip(values, self._rows, strict=True):
            row[: len(recorded)] = recorded
        present = ~np.isnan(values)
        before = np.zeros_like(present)
        before[0, : len(self._present)] = self._present
        before[1:] = present[:-1]
        chunk = Chunk(self._columns.labels[:width], np.array(self._times, dtype=np.int64), values, before & ~present)
        self._present = present[-1]
        self._times, self._rows = [], []
        return chunk
