"""How many values each series usually has, and so how many a window needs for a verdict."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.evidence.scales import Scales
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_READY_DAYS = 3
_LEAST_REFERENCE = 0.3
_LEAST_REFERENCE_VALUES = 5
_DENSE = 0.9
"""With this share of slots filled, a single slot is a window of its own."""
_LEAST_EXPECTED = 1.2
_LEAST_FILLED = 0.4
_NEWEST_DAY = 0.3
"""Weight of the newest day in the usual share of filled slots."""


class Coverage(Part):
    """The usual share of filled slots per series, and which series are ready for a verdict."""

    def __init__(self, layout: Layout, series: int) -> None:
        self._day = layout.day
        self._windows = np.array(layout.windows)[:, None]
        self._references = np.array(layout.references)[:, None]
        self._filled, self._seen = np.zeros(series), np.zeros(series)
        self._need = np.full((len(layout.windows), series), np.inf)
        self.ready = np.zeros(series, dtype=bool)
        """Whether there is enough history for a verdict."""

    def arrays(self) -> dict[str, Array]:
        return {"filled": self._filled, "seen": self._seen, "need": self._need, "ready": self.ready}

    def add(self, values: Floats) -> None:
        """Count the values of a slot; NaN is missing."""
        self._seen += np.isfinite(values)

    def enough(self, counts: NDArray[np.floating], reference_counts: NDArray[np.floating]) -> Flags:
        """Return which windows (windows by series) have enough values, in themselves and in their reference."""
        least = _LEAST_REFERENCE * self._filled * self._references
        enough: Flags = (counts >= self._need) & (reference_counts >= least)
        return enough & (reference_counts >= _LEAST_REFERENCE_VALUES)

    def weight(self, counts: NDArray[np.floating]) -> Floats:
        """Return the weights of windows (windows by series): means of fewer values than usual stray further."""
        expected = np.maximum(self._filled * self._windows, 1.0)
        weight: Floats = np.sqrt(np.minimum(1.0, counts / expected))
        return weight

    def next_day(self, day: int, scales: Scales) -> None:
        """Update from the day before ``day``, after ``scales`` has been."""
        share = self._seen / self._day
        self._filled = np.where(self._filled == 0, share, (1 - _NEWEST_DAY) * self._filled + _NEWEST_DAY * share)
        self._seen[:] = 0
        expected = self._filled * self._windows
        several = np.maximum(2, np.ceil(_LEAST_FILLED * expected))
        self._need = np.where((expected >= _LEAST_EXPECTED) & (self._windows > 1), several, np.inf)
        self._need = np.where((self._windows == 1) & (self._filled > _DENSE), 1.0, self._need)
        self.ready = np.isfinite(scales.scale).any(axis=0) & (scales.days > 0) & (day >= _READY_DAYS)
