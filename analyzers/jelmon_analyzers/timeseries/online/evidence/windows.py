"""Means of the last minutes and of the hours before them, from running sums over a ring."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.state import Array, Part

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Windows(Part):
    """The residuals of a day and the longest window, and their sums over each window and its reference.

    The lengths ``windows`` and ``references`` are in slots; the reference of a window ends where the window begins.
    """

    def __init__(self, series: int, windows: tuple[int, ...], references: tuple[int, ...], day: int) -> None:
        self._windows = windows
        self._lags = np.array([*windows, *map(sum, zip(windows, references, strict=True)), day])
        self.length = max(windows) + day
        self._ring = np.zeros((self.length, series), dtype=np.float32)
        self._known = np.zeros((self.length, series), dtype=np.uint8)
        self._sums = np.zeros((len(self._lags), series))
        self._counts = np.zeros((len(self._lags), series), dtype=np.float32)
        self._at = 0
        """Slots pushed so far."""

    def arrays(self) -> dict[str, Array]:
        return {"ring": self._ring, "known": self._known, "sums": self._sums, "counts": self._counts}

    def counters(self) -> dict[str, int]:
        return {"": self._at}

    def set_counters(self, counters: Mapping[str, int]) -> None:
        self._at = counters[""]

    def push(self, values: Floats) -> None:
        """Add the residuals of a slot; NaN is missing."""
        known = np.isfinite(values)
        kept = np.where(known, values, 0.0).astype(np.float32)
        leaving = (self._at - self._lags) % self.length
        self._sums += kept
        self._sums -= self._ring[leaving]
        self._counts += known
        self._counts -= self._known[leaving]
        index = self._at % self.length
        self._ring[index], self._known[index] = kept, known
        self._at += 1

    def level(self) -> tuple[Floats, Floats]:
        """Return the mean of the last day, NaN without a value, and how many values it has."""
        return _mean(self._sums[-1], self._counts[-1]), self._counts[-1].astype(np.float64)

    def compare(self) -> tuple[Floats, NDArray[np.float32], NDArray[np.float32], Floats]:
        """Compare each window with its reference.

        Return, each windows by series: the difference of the means, the number of values in the window and in the
        reference, and the mean of the reference.
        """
        number = len(self._windows)
        sums, counts = self._sums[:number], self._counts[:number]
        reference_counts = self._counts[number:-1] - counts
        reference = _mean(self._sums[number:-1] - sums, reference_counts)
        return _mean(sums, counts) - reference, counts, reference_counts, reference

    def last(self, slots: int, series: Indices | None = None) -> Floats:
        """Return the last residuals (slots by series), oldest first, NaN for missing."""
        rows = (self._at - np.arange(slots, 0, -1)) % self.length
        columns = slice(None) if series is None else series
        values = self._ring[rows][:, columns].astype(np.float64)
        values[self._known[rows][:, columns] == 0] = np.nan
        return values

    def replace_last(self, series: int, values: Floats) -> None:
        """Replace the last residuals of one series."""
        rows = (self._at - np.arange(len(values), 0, -1)) % self.length
        known = np.isfinite(values)
        self._ring[rows, series] = np.where(known, values, 0.0)
        self._known[rows, series] = known
        self.resum(np.array([series]))

    def resum(self, series: Indices | slice) -> None:
        """Recompute the sums from the ring, after a change or against rounding errors."""
        order = (self._at - np.arange(1, self.length + 1)) % self.length
        sums = np.cumsum(self._ring[:, series][order], axis=0, dtype=np.float64)
        counts = np.cumsum(self._known[:, series][order], axis=0, dtype=np.float32)
        self._sums[:, series] = sums[self._lags - 1]
        self._counts[:, series] = counts[self._lags - 1]


def _mean(sums: Floats, counts: NDArray[np.floating]) -> Floats:
    # rounding may leave a small sum of no values: not infinite, but unknown
    mean: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean
