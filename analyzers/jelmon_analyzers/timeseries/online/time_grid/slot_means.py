"""Means over the ticks of a slot, for steps shorter than a minute."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.state import Array, Part

Floats = NDArray[np.float64]


class SlotMeans(Part):
    """Running sums of the ticks of the current slot."""

    def __init__(self, series: int) -> None:
        self._total, self._count = np.zeros(series), np.zeros(series)

    def arrays(self) -> dict[str, Array]:
        return {"total": self._total, "count": self._count}

    def add(self, values: Floats) -> None:
        """Add the values of a tick; NaN is missing."""
        self._total += np.nan_to_num(values)
        self._count += np.isfinite(values)

    def finish(self) -> Floats:
        """Return the means of the slot, NaN for series without a value, and begin the next slot."""
        with np.errstate(invalid="ignore"):
            means: Floats = self._total / self._count
        self._total[:] = self._count[:] = 0
        return means
