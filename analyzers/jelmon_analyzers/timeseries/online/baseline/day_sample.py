"""A thinned sample of today's values, and the noise scale of single slots that it gives."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.nan_statistics import median
from jelmon_analyzers.timeseries.noise import GAUSSIAN
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import SCALE_DAYS, Layout

Floats = NDArray[np.float64]

_SAMPLES_A_DAY = 288


class DaySample(Part):
    """Values and standardized residuals of today, and the noise of the last days."""

    def __init__(self, layout: Layout, series: int) -> None:
        self._gap = max(1, layout.day // _SAMPLES_A_DAY)
        samples = -(-layout.day // self._gap)
        self.values = np.full((samples, series), np.nan)
        """Values of today (samples by series), as they entered the detector."""
        self._residuals = np.full((samples, series), np.nan, dtype=np.float32)
        self.noise = np.full(series, np.nan)
        """Noise scale of single slots around their level: the median over days; NaN on the first day."""
        self._daily_noise = np.full((SCALE_DAYS, series), np.nan)

    def arrays(self) -> dict[str, Array]:
        return {
            "first": self.values,
            "kept": self._residuals,
            "noise": self.noise,
            "noises": self._daily_noise,
        }

    def add_values(self, slot: int, values: Floats) -> None:
        """Keep the values of a slot if it is due."""
        if slot % self._gap == 0:
            self.values[slot // self._gap] = values

    def add_residuals(self, slot: int, residuals: Floats) -> None:
        """Keep the residuals of a slot, relative to the noise of its time of day, if it is due."""
        if slot % self._gap == 0:
            self._residuals[slot // self._gap] = residuals

    def next_day(self, day: int) -> None:
        """Compute the noise from the days before ``day``."""
        deviation = np.abs(self._residuals - median(self._residuals))
        self._daily_noise[(day - 1) % SCALE_DAYS] = GAUSSIAN * median(deviation)
        self.noise = median(self._daily_noise)
        self._residuals[:] = np.nan
