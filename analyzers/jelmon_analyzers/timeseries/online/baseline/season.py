"""The usual value by time of day and class of day, from the last week."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.nan_statistics import median
from jelmon_analyzers.timeseries.online.baseline import day_shape
from jelmon_analyzers.timeseries.online.baseline.day_ring import move_blocks
from jelmon_analyzers.timeseries.online.baseline.growth import growth
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout

Floats = NDArray[np.float64]

_FALLBACK_DAYS = 2


class Season(Part):
    """Medians of the blocks of the last seven days, and the curve that follows from them for today.

    The curve of a block is the median over the last seven days of the same class (weekday, weekend), otherwise over the
    last two days of any class. It is interpolated between the centres of blocks and shrunk towards flat (`day_shape`).
    """

    SHARED = frozenset({"borrowed"})

    def __init__(self, layout: Layout, series: int) -> None:
        self._layout = layout
        self.history = np.full((WEEK_DAYS, layout.blocks, series), np.nan, dtype=np.float32)
        self.curve = np.full((layout.blocks, series), np.nan)
        self.borrowed = np.zeros(layout.blocks, dtype=bool)
        """Blocks of today whose curve comes from the other class of days: no verdict."""
        self._block = np.full((layout.per_block, series), np.nan)

    def arrays(self) -> dict[str, Array]:
        return {"history": self.history, "curve": self.curve, "block": self._block, "borrowed": self.borrowed}

    def at(self, slot: int) -> Floats:
        """Return the curve at a slot of today, interpolated between the centres of blocks."""
        position = (slot + 0.5) / self._layout.per_block - 0.5
        before = int(np.floor(position))
        share = position - before
        blocks = self._layout.blocks
        if self._layout.per_block == 1 or not self._layout.seasonal:
            only: Floats = self.curve[before % blocks]
            return only
        value: Floats = (1 - share) * self.curve[before % blocks] + share * self.curve[(before + 1) % blocks]
        return value

    def add(self, day: int, slot: int, values: Floats) -> None:
        """Add the values of a slot, in their domain; NaN is missing."""
        layout = self._layout
        index = slot % layout.per_block
        self._block[index] = values
        if index == layout.per_block - 1 or slot == layout.day - 1:
            self.history[day % WEEK_DAYS, slot // layout.per_block] = median(self._block)
            self._block[:] = np.nan

    def shift(self, series: NDArray[np.intp], difference: Floats) -> None:
        """Move the past of some series to a new level; the shape of the day stays."""
        self.history[..., series] += difference.astype(np.float32)
        self.curve[:, series] += difference

    def change_clock(self, day: int, blocks: int) -> None:
        """Move the past when clocks went forward by this many blocks."""
        move_blocks(self.history, day % WEEK_DAYS, blocks)
        self.curve[:] = np.roll(self.curve, -blocks, axis=0)
        self.borrowed[:] = np.roll(self.borrowed, -blocks)

    def next_day(self, day: int, offset: float) -> None:
        """Compute the curve for ``day`` from the days before it, and clear the history that it will fill.

        Local time is ``offset`` seconds ahead of UTC.
        """
        layout = self._layout
        days = [past for past in range(day - 1, day - 1 - WEEK_DAYS, -1) if past >= 0]
        past = self.history[[number % WEEK_DAYS for number in days]].astype(np.float64)
        classes = np.array([layout.classes(number, offset) for number in days])
        same = classes == layout.classes(day, offset)
        past = past + growth(past, classes, days, day)
        same_class = np.where(same[:, :, None], past, np.nan)
        curve = median(same_class)
        missing = ~np.isfinite(curve)
        self.borrowed = missing.mean(axis=1) > 0.5
        curve = day_shape.filled(np.where(missing, median(past[:_FALLBACK_DAYS]), curve))
        self.curve = day_shape.shrunk(curve, _chance(same_class, past)) if layout.seasonal else day_shape.flat(curve)
        self.history[day % WEEK_DAYS] = np.nan


def _chance(same_class: Floats, past: Floats) -> Floats:
    """Return the variance of the curve that chance explains, from days of the class, otherwise from all days."""
    if len(past) == 1:  # no days to compare: what differs from one block to the next counts as chance
        between = np.nan_to_num(np.diff(past[0], axis=0)) ** 2 / 2
        return np.broadcast_to(between, (past.shape[1] - 1, past.shape[2]))
    chance = day_shape.median_variance(same_class)
    return np.where(np.isfinite(chance), chance, day_shape.median_variance(past))
