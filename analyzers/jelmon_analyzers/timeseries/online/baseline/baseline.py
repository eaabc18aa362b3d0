"""The baseline of every series: usual value, noise, and the domain in which both hold."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.baseline.day_sample import DaySample
from jelmon_analyzers.timeseries.online.baseline.domain import Domain
from jelmon_analyzers.timeseries.online.baseline.season import Season
from jelmon_analyzers.timeseries.online.baseline.spread import Spread
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

Floats = NDArray[np.float64]

_CLIP = 4.0
"""Single slots are held within this many noise scales of their level, so that a spike is not a change."""
_LEAST_CLIP = 0.02


class Baseline:
    """Domain, curve of the day, and noise by time of day of each series."""

    def __init__(self, layout: Layout, series: int) -> None:
        self._layout = layout
        self.domain = Domain(series)
        self.season = Season(layout, series)
        self.spread = Spread(layout, series)
        self.sample = DaySample(layout, series)

    @property
    def noise(self) -> Floats:
        """Noise scale of single slots of each series, for a time of day with factor 1."""
        return self.sample.noise

    def residuals(self, day: int, slot: int, values: Floats) -> Floats:
        """Add the values of a slot, in their domain, and return their distances from the curve.

        All are NaN where the curve comes from the other class of days.
        """
        self.sample.add_values(slot, values)
        self.season.add(day, slot, values)
        residuals = values - self.season.at(slot)
        if self.season.borrowed[slot // self._layout.per_block]:
            residuals = np.full_like(residuals, np.nan)
        return residuals

    def limits(self, factor: Floats) -> Floats:
        """Return how far from its level a slot of each series counts at most, where noise has this factor."""
        noise = np.where(np.isfinite(self.noise), self.noise, 1.0)
        limits: Floats = np.maximum(_CLIP * noise * factor, _LEAST_CLIP)
        return limits

    def shift(self, series: int, difference: float, *, day: int, slot: int, slots: int) -> None:
        """Move the past of a series to the level that it has had for this many slots."""
        self.season.shift(np.array([series]), np.array([difference]))
        # blocks of today that were filled since then have the new level already
        first, last = max(0, slot - slots) // self._layout.per_block, slot // self._layout.per_block
        history = self.season.history
        history[day % len(history), first : last + 1, series] -= np.float32(difference)

    def clip(self, series: int, distances: Floats) -> Floats:
        """Return distances of a series from its level, held within the limits of an average time of day."""
        limit = max(_CLIP * float(np.nan_to_num(self.noise[series])), _LEAST_CLIP)
        held: Floats = np.clip(distances, -limit, limit)
        return held

    def change_clock(self, day: int, blocks: int) -> None:
        """Move what depends on the time of day when clocks went forward by this many blocks."""
        self.season.change_clock(day, blocks)
        self.spread.change_clock(day, blocks)

    def next_day(self, day: int, offset: float) -> None:
        """Learn from the days before ``day``; local time is ``offset`` seconds ahead of UTC."""
        if self.domain.unknown:
            chosen = self.domain.choose(self.sample.values)
            past = self.season.history
            past[..., chosen] = self.domain.apply(past.astype(np.float64))[..., chosen]
        self.sample.next_day(day)
        self.season.next_day(day, offset)
        self.spread.next_day(day, offset)
