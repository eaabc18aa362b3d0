"""How noise changes with the time of day: means of few requests by night scatter more than those of many by day.

One factor per block of the day, by which the noise of a minute there differs from that of the whole day. What a window
strays is divided by it, so that the scales of `Scales` hold at every hour.
"""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.baseline.season import mean_of_known, variance_of_known
from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout
from jelmon_analyzers.timeseries.online.time_grid.zone import moved

Floats = NDArray[np.float64]

_LEAST_DAYS = 2
_LEAST, _MOST = 0.1, 10.0
_SMOOTHED = 0.27
"""Variance that twice smoothing over neighbours leaves of independent values."""


class Spread:
    """Mean distance from the level in each block of the last seven days, and the factors that it gives for today.

    As for the shape of the day, factors are those of days of the same class, and shrunk towards 1 as far as they are no
    larger than chance would make them: a series with the same noise all day has none.
    """

    ARRAYS = ("history", "factors", "total", "count")

    def __init__(self, layout: Layout, series: int) -> None:
        self._layout = layout
        self.history = np.full((WEEK_DAYS, layout.blocks, series), np.nan, dtype=np.float16)
        self.factors = np.ones((layout.blocks, series), dtype=np.float32)
        self.total, self.count = np.zeros(series), np.zeros(series)
        self._means: tuple[int, Floats] | None = None

    def at(self, slot: int) -> Floats:
        """The factor of a slot of today."""
        factors: Floats = self.factors[slot // self._layout.per_block].astype(np.float64)
        return factors

    def over(self, slot: int) -> Floats:
        """The factors of the means of the windows that end at a slot (windows by series)."""
        block = slot // self._layout.per_block
        if self._means is None or self._means[0] != block:
            squares = self.factors.astype(np.float64) ** 2
            rows = []
            for window in self._layout.windows:
                number = max(1, round(window / self._layout.per_block))
                rows.append(np.sqrt(squares[np.arange(block - number + 1, block + 1) % len(squares)].mean(axis=0)))
            self._means = (block, np.array(rows))
        return self._means[1]

    def add(self, day: int, slot: int, distances: Floats) -> None:
        """Take in how far a slot was from its level; NaN where that says nothing about noise."""
        known = np.isfinite(distances)
        self.total += np.where(known, distances, 0.0)
        self.count += known
        layout = self._layout
        if slot % layout.per_block == layout.per_block - 1 or slot == layout.day - 1:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                self.history[day % WEEK_DAYS, slot // layout.per_block] = self.total / self.count
            self.total[:] = self.count[:] = 0

    def turn(self, day: int, blocks: int) -> None:
        """Clocks went forward by so many blocks."""
        moved(self.history, day % WEEK_DAYS, blocks)
        self.factors[:] = np.roll(self.factors, -blocks, axis=0)
        self._means = None

    def next_day(self, day: int, offset: float) -> None:
        """Make the factors for ``day`` from the days before it, and clear the place that it will fill."""
        layout = self._layout
        days = [past for past in range(day - 1, day - 1 - WEEK_DAYS, -1) if past >= 0]
        if layout.seasonal:
            past = self.history[[number % WEEK_DAYS for number in days]].astype(np.float64)
            squares = past**2
            everything = mean_of_known(squares.reshape(-1, squares.shape[-1]))
            classes = np.array([layout.classes(number, offset) for number in days])
            same = classes == layout.classes(day, offset)
            own = np.where(same[:, :, None], squares, np.nan)
            enough = np.isfinite(own).sum(axis=0) >= _LEAST_DAYS
            own = np.where(enough, own, squares)
            mean = mean_of_known(own)
            with np.errstate(invalid="ignore", divide="ignore"):
                shape = np.log(mean / everything)
                # of a logarithm: the relative variance of what it is taken of
                chance = variance_of_known(own) / np.maximum(np.isfinite(own).sum(axis=0), 1) / mean**2
            known = np.isfinite(shape)
            shape = np.where(known, shape, 0.0)
            smooth = _smooth(_smooth(shape))
            noise = _SMOOTHED * mean_of_known(np.where(known & np.isfinite(chance), chance, np.nan))
            power = np.mean(smooth**2, axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(power > 0, np.clip(1 - 2 * noise / power, 0.0, 1.0), 0.0)
            share = np.nan_to_num(share)
            self.factors[:] = np.clip(np.exp(share * smooth / 2), _LEAST, _MOST)
        self.history[day % WEEK_DAYS] = np.nan
        self._means = None


def _smooth(values: Floats) -> Floats:
    return 0.25 * np.roll(values, 1, axis=0) + 0.5 * values + 0.25 * np.roll(values, -1, axis=0)
