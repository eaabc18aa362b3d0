"""Means of the last minutes and of the hours before them, for all series at once, by running sums over a ring."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Windows:
    """The residuals of about a day and a bit, and their sums over each window and over each window's reference.

    The reference of a window are the slots, its number of ``references``, that end where the window begins.
    """

    ARRAYS = ("ring", "known", "sums", "counts")

    def __init__(self, series: int, windows: tuple[int, ...], references: tuple[int, ...], day: int) -> None:
        self._windows = windows
        self._lags = np.array([*windows, *map(sum, zip(windows, references, strict=True)), day])
        self.length = max(windows) + day
        self.ring = np.zeros((self.length, series), dtype=np.float32)
        self.known = np.zeros((self.length, series), dtype=np.uint8)
        self.sums = np.zeros((len(self._lags), series))
        self.counts = np.zeros((len(self._lags), series), dtype=np.float32)
        self.at = 0
        """Slots taken in so far."""

    def push(self, values: Floats) -> None:
        """Take in a slot; NaN is missing."""
        known = np.isfinite(values)
        kept = np.where(known, values, 0.0).astype(np.float32)
        leaving = (self.at - self._lags) % self.length
        self.sums += kept
        self.sums -= self.ring[leaving]
        self.counts += known
        self.counts -= self.known[leaving]
        place = self.at % self.length
        self.ring[place], self.known[place] = kept, known
        self.at += 1

    def level(self) -> tuple[Floats, Floats]:
        """Mean of the last day, and how many values it has; NaN without any."""
        return _mean(self.sums[-1], self.counts[-1]), self.counts[-1].astype(np.float64)

    def compare(self) -> tuple[Floats, NDArray[np.float32], NDArray[np.float32], Floats]:
        """For each window: its mean less that of its reference, both counts, and the mean of the reference."""
        number = len(self._windows)
        sums, counts = self.sums[:number], self.counts[:number]
        reference_counts = self.counts[number:-1] - counts
        reference = _mean(self.sums[number:-1] - sums, reference_counts)
        return _mean(sums, counts) - reference, counts, reference_counts, reference

    def last(self, slots: int, series: Indices | None = None) -> Floats:
        """The last residuals, oldest first, NaN for missing."""
        rows = (self.at - np.arange(slots, 0, -1)) % self.length
        columns = slice(None) if series is None else series
        values = self.ring[rows][:, columns].astype(np.float64)
        values[self.known[rows][:, columns] == 0] = np.nan
        return values

    def replace_last(self, series: int, values: Floats) -> None:
        """Put other residuals in the place of the last of one series."""
        rows = (self.at - np.arange(len(values), 0, -1)) % self.length
        known = np.isfinite(values)
        self.ring[rows, series] = np.where(known, values, 0.0)
        self.known[rows, series] = known
        self.resum(np.array([series]))

    def resum(self, series: Indices | slice) -> None:
        """Add everything up anew, after a change or against rounding."""
        order = (self.at - np.arange(1, self.length + 1)) % self.length
        sums = np.cumsum(self.ring[:, series][order], axis=0, dtype=np.float64)
        counts = np.cumsum(self.known[:, series][order], axis=0, dtype=np.float32)
        self.sums[:, series] = sums[self._lags - 1]
        self.counts[:, series] = counts[self._lags - 1]


def _mean(sums: Floats, counts: NDArray[np.floating]) -> Floats:
    # what rounding leaves of a sum of nothing is not endless
    mean: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean
