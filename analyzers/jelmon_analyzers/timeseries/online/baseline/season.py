"""The usual value by time of day and class of day, from the last week."""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout
from jelmon_analyzers.timeseries.online.time_grid.zone import moved

Floats = NDArray[np.float64]

_FALLBACK_DAYS = 2
_WAVES = 4
_LEAST_PAIRS = 6
_GROWTH_CHANCE = 9.0
"""Days that wander scatter less around a line than chance would have it, so this asks for three standard errors."""


class Season:
    """Medians of blocks of the last seven days, and the curve that they give for today.

    The curve of a block is the median over the last seven days of the same class (weekday, weekend), else over the
    last two days of any class. It is smoothed over neighbouring blocks and shrunk towards flat as far as its shape is
    no larger than chance would make it.
    """

    ARRAYS = ("history", "curve", "block")

    def __init__(self, layout: Layout, series: int) -> None:
        self._layout = layout
        self.history = np.full((WEEK_DAYS, layout.blocks, series), np.nan, dtype=np.float32)
        self.curve = np.full((layout.blocks, series), np.nan)
        self.borrowed = np.zeros(layout.blocks, dtype=bool)
        """Blocks of today whose curve comes from the other class of days: no verdict."""
        self.block = np.full((layout.per_block, series), np.nan)

    def at(self, slot: int) -> Floats:
        """The curve at a slot of today, between the centres of blocks."""
        place = (slot + 0.5) / self._layout.per_block - 0.5
        before = int(np.floor(place))
        share = place - before
        blocks = self._layout.blocks
        if self._layout.per_block == 1 or not self._layout.seasonal:
            only: Floats = self.curve[before % blocks]
            return only
        value: Floats = (1 - share) * self.curve[before % blocks] + share * self.curve[(before + 1) % blocks]
        return value

    def add(self, day: int, slot: int, values: Floats) -> None:
        """Take in the values of a slot (in their domain, NaN for missing)."""
        place = slot % self._layout.per_block
        self.block[place] = values
        if place == self._layout.per_block - 1 or slot == self._layout.day - 1:
            self.history[day % WEEK_DAYS, slot // self._layout.per_block] = median(self.block)
            self.block[:] = np.nan

    def shift(self, series: NDArray[np.intp], difference: Floats) -> None:
        """Move the past of some series to a new level: the level is new, the shape is not."""
        self.history[..., series] += difference.astype(np.float32)
        self.curve[:, series] += difference

    def turn(self, day: int, blocks: int) -> None:
        """Clocks went forward by so many blocks."""
        moved(self.history, day % WEEK_DAYS, blocks)
        self.curve[:] = np.roll(self.curve, -blocks, axis=0)
        self.borrowed[:] = np.roll(self.borrowed, -blocks)

    def next_day(self, day: int, offset: float) -> None:
        """Make the curve for ``day`` from the days before it, and clear the place that it will fill.

        Local time is ``offset`` seconds ahead of UTC.
        """
        days = [past for past in range(day - 1, day - 1 - WEEK_DAYS, -1) if past >= 0]
        past = self.history[[number % WEEK_DAYS for number in days]].astype(np.float64)
        classes = np.array([self._layout.classes(number, offset) for number in days])
        same = classes == self._layout.classes(day, offset)
        past = past + _growth(past, classes, days, day)
        own = np.where(same[:, :, None], past, np.nan)
        curve = median(own)
        chance = _chance(own)
        chance = np.where(np.isfinite(chance), chance, _chance(past))
        if len(days) == 1:  # one day only: what differs from one block to the next is taken for chance
            chance = np.broadcast_to(np.nan_to_num(np.diff(past[0], axis=0)) ** 2 / 2, (len(curve) - 1, curve.shape[1]))
        missing = ~np.isfinite(curve)
        self.borrowed = missing.mean(axis=1) > 0.5
        curve = np.where(missing, median(past[:_FALLBACK_DAYS]), curve)
        self.curve = self._shrunk(_filled(curve), chance)
        self.history[day % WEEK_DAYS] = np.nan

    def _shrunk(self, curve: Floats, chance: Floats) -> Floats:
        """The curve with its shape scaled by how much of it is more than chance.

        Slow waves of the day and the rest are scaled apart: most series have the first, few have the second, and what
        is only chance would add to the noise of every comparison.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            centre = np.nanmedian(curve, axis=0)
            noise = np.nanmean(chance, axis=0)
        if not self._layout.seasonal:
            return np.broadcast_to(centre, curve.shape).copy()
        shape = np.nan_to_num(curve - centre)
        waves = np.fft.rfft(shape, axis=0)
        waves[_WAVES + 1 :] = 0
        slow = np.fft.irfft(waves, n=len(shape), axis=0)
        rest = shape - slow
        rest = 0.25 * np.roll(rest, 1, axis=0) + 0.5 * rest + 0.25 * np.roll(rest, -1, axis=0)
        slow_noise = noise * min(1.0, (2 * _WAVES + 1) / len(shape))
        result: Floats = centre + _share(slow, slow_noise) * slow + _share(rest, 0.5 * noise) * rest
        return result


def _growth(past: Floats, classes: NDArray[np.int8], days: list[int], day: int) -> Floats:
    """How much each past day has to be moved for a series that grows (days by 1 by series); 0 for one that does not.

    The slope is the median of those between days of one class (Theil and Sen). It is shrunk by how much of its square
    is more than nine times what chance explains, as days scatter around the line.
    """
    number, series = len(days), past.shape[-1]
    levels = np.full((number, series), np.nan)
    kinds = [round(float(each.mean())) for each in classes]
    for kind in set(kinds):
        members = [place for place in range(number) if kinds[place] == kind]
        if len(members) > 1:
            levels[members] = _medians(past[members] - median(past[members]))
    ago = np.array([day - each for each in days], dtype=np.float64)
    pairs = [(i, j) for i in range(number) for j in range(i + 1, number) if kinds[i] == kinds[j]]
    if len(pairs) < _LEAST_PAIRS:
        return np.zeros((number, 1, series))
    slope = median(np.array([(levels[i] - levels[j]) / (ago[j] - ago[i]) for i, j in pairs]))
    main = max(set(kinds), key=kinds.count)
    members = [place for place in range(number) if kinds[place] == main]
    around = levels[members] + slope * ago[members][:, None]
    spread = ((ago[members] - ago[members].mean()) ** 2).sum()
    chance = variance_of_known(around) * (len(members) - 1) / max(1, len(members) - 2) / spread
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(1 - _GROWTH_CHANCE * chance / slope**2, 0.0, 1.0)
    growth: Floats = np.nan_to_num(share * slope) * ago[:, None]
    return growth[:, None, :]


def _medians(days: Floats) -> Floats:
    """Median over the blocks of each day."""
    return median(np.moveaxis(days, 1, 0))


def _chance(days: Floats) -> Floats:
    """Variance of the median over days of each block, as the days differ; NaN with fewer than two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        count = np.isfinite(days).sum(axis=0)
        variance: Floats = np.nanvar(days, axis=0, ddof=1) * np.pi / 2 / np.maximum(count, 1)
    return variance


def _share(shape: Floats, noise: Floats) -> Floats:
    """The part of a shape's power that is more than twice what chance explains; 1 if chance is unknown."""
    power = np.mean(shape**2, axis=0)
    share = np.where(power > 0, np.clip(1 - 2 * noise / np.maximum(power, 1e-300), 0.0, 1.0), 0.0)
    return np.where(np.isfinite(noise), share, 1.0)


def median(values: NDArray[np.floating]) -> Floats:
    """Median along the first axis, NaN where nothing is valid."""
    if not np.isnan(values).any():
        whole: Floats = np.median(values, axis=0)
        return whole
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.maximum(count // 2 - (count == 0), 0)[None], axis=0)[0]
    middle: Floats = (low + high) / 2
    return np.where(count > 0, middle, np.nan)


def mean_of_known(values: Floats) -> Floats:
    """Mean along the first axis of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def variance_of_known(values: Floats) -> Floats:
    """Variance along the first axis of what is not NaN; NaN with fewer than two."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    around = np.where(known, values - mean_of_known(values), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance: Floats = np.where(count > 1, (around**2).sum(axis=0) / (count - 1), np.nan)
    return variance


def _filled(curve: Floats) -> Floats:
    """Blocks without any past get the median of the others."""
    missing = np.isnan(curve)
    if not missing.any():
        return curve
    return np.where(missing, median(curve), curve)
