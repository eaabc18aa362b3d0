"""How noise changes with the time of day: means of few requests at night scatter more than means of many at noon.

There is a factor per block of the day, the noise of a slot there relative to the whole day. Distances are divided by
it, so that the scales of `Scales` hold at every hour.
"""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries import nan_statistics
from jelmon_analyzers.timeseries.online.baseline.day_ring import move_blocks
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout

Floats = NDArray[np.float64]

_LEAST_DAYS = 2
_LEAST, _MOST = 0.1, 10.0
_SMOOTHED = 0.27
"""Variance that smoothing twice over neighbours leaves of independent values."""


class Spread(Part):
    """Mean distance from the level in each block of the last seven days, and the factors of today that follow.

    As for the shape of the day, factors come from days of the same class and are shrunk towards 1 by the share that
    chance explains: a series with the same noise all day has factors of 1.
    """

    def __init__(self, layout: Layout, series: int) -> None:
        self._layout = layout
        self._history = np.full((WEEK_DAYS, layout.blocks, series), np.nan, dtype=np.float16)
        self.factors = np.ones((layout.blocks, series), dtype=np.float32)
        self._total, self._count = np.zeros(series), np.zeros(series)
        self._window_factors: tuple[int, Floats] | None = None
        """A block and the factors of the windows that end in it: the same for all its slots."""

    def arrays(self) -> dict[str, Array]:
        return {"history": self._history, "factors": self.factors, "total": self._total, "count": self._count}

    def at(self, slot: int) -> Floats:
        """Return the factors of a slot of today, one per series."""
        factors: Floats = self.factors[slot // self._layout.per_block].astype(np.float64)
        return factors

    def over(self, slot: int) -> Floats:
        """Return the factors of the means of the windows that end at a slot (windows by series)."""
        block = slot // self._layout.per_block
        if self._window_factors is None or self._window_factors[0] != block:
            squares = self.factors.astype(np.float64) ** 2
            rows = []
            for window in self._layout.windows:
                number = max(1, round(window / self._layout.per_block))
                rows.append(np.sqrt(squares[np.arange(block - number + 1, block + 1) % len(squares)].mean(axis=0)))
            self._window_factors = (block, np.array(rows))
        return self._window_factors[1]

    def add(self, day: int, slot: int, distances: Floats) -> None:
        """Add how far a slot was from its level; NaN where it must not count as noise."""
        known = np.isfinite(distances)
        self._total += np.where(known, distances, 0.0)
        self._count += known
        layout = self._layout
        if slot % layout.per_block == layout.per_block - 1 or slot == layout.day - 1:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                self._history[day % WEEK_DAYS, slot // layout.per_block] = self._total / self._count
            self._total[:] = self._count[:] = 0

    def change_clock(self, day: int, blocks: int) -> None:
        """Move the past when clocks went forward by this many blocks."""
        move_blocks(self._history, day % WEEK_DAYS, blocks)
        self.factors[:] = np.roll(self.factors, -blocks, axis=0)
        self._window_factors = None

    def next_day(self, day: int, offset: float) -> None:
        """Compute the factors for ``day`` from the days before it, and clear the history that it will fill."""
        layout = self._layout
        days = [past for past in range(day - 1, day - 1 - WEEK_DAYS, -1) if past >= 0]
        if layout.seasonal:
            squares = self._history[[number % WEEK_DAYS for number in days]].astype(np.float64) ** 2
            classes = np.array([layout.classes(number, offset) for number in days])
            same = classes == layout.classes(day, offset)
            self.factors[:] = _factors(squares, same)
        self._history[day % WEEK_DAYS] = np.nan
        self._window_factors = None


def _factors(squares: Floats, same: NDArray[np.bool_]) -> Floats:
    """Return the factors (blocks by series) from squared distances (days by blocks by series).

    ``same`` (days by blocks) marks days of today's class; they count alone where there are at least two.
    """
    everything = nan_statistics.mean(squares.reshape(-1, squares.shape[-1]))
    used = np.where(same[:, :, None], squares, np.nan)
    enough = np.isfinite(used).sum(axis=0) >= _LEAST_DAYS
    used = np.where(enough, used, squares)
    mean = nan_statistics.mean(used)
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = np.log(mean / everything)
        # the variance of a logarithm is the relative variance of its argument
        chance = nan_statistics.variance(used) / np.maximum(np.isfinite(used).sum(axis=0), 1) / mean**2
    known = np.isfinite(shape)
    shape = np.where(known, shape, 0.0)
    smooth = _smooth(_smooth(shape))
    noise = _SMOOTHED * nan_statistics.mean(np.where(known & np.isfinite(chance), chance, np.nan))
    power = np.mean(smooth**2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(power > 0, np.clip(1 - 2 * noise / power, 0.0, 1.0), 0.0)
    share = np.nan_to_num(share)
    factors: Floats = np.clip(np.exp(share * smooth / 2), _LEAST, _MOST)
    return factors


def _smooth(values: Floats) -> Floats:
    return 0.25 * np.roll(values, 1, axis=0) + 0.5 * values + 0.25 * np.roll(values, -1, axis=0)
