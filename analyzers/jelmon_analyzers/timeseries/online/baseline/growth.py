"""Growth from day to day: how far the past has to be moved to be comparable with today."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries import nan_statistics

Floats = NDArray[np.float64]
Classes = NDArray[np.int8]

_LEAST_PAIRS = 6
_GROWTH_CHANCE = 9.0
"""Three standard errors, squared: days that wander scatter less around a line than independent days would."""


def growth(past: Floats, classes: Classes, days: list[int], day: int) -> Floats:
    """Return by how much each past day has to be moved to today's level (days by 1 by series); 0 without growth.

    ``past`` is days by blocks by series, ``classes`` days by blocks, ``days`` the numbers of the past days. The slope
    is the median of the slopes between days of one class (Theil-Sen), shrunk by the share of its square that is more
    than nine times what chance explains.
    """
    number, series = len(days), past.shape[-1]
    kinds = [round(float(each.mean())) for each in classes]
    ago = np.array([day - each for each in days], dtype=np.float64)
    pairs = [(i, j) for i in range(number) for j in range(i + 1, number) if kinds[i] == kinds[j]]
    if len(pairs) < _LEAST_PAIRS:
        return np.zeros((number, 1, series))
    levels = _levels(past, kinds)
    slope = nan_statistics.median(np.array([(levels[i] - levels[j]) / (ago[j] - ago[i]) for i, j in pairs]))
    chance = _slope_variance(levels, slope, ago, kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(1 - _GROWTH_CHANCE * chance / slope**2, 0.0, 1.0)
    moves: Floats = np.nan_to_num(share * slope) * ago[:, None]
    return moves[:, None, :]


def _levels(past: Floats, kinds: list[int]) -> Floats:
    """Return the median distance of each day from the usual day of its class (days by series)."""
    levels = np.full((len(past), past.shape[-1]), np.nan)
    for kind in set(kinds):
        members = [index for index in range(len(past)) if kinds[index] == kind]
        if len(members) > 1:
            around = past[members] - nan_statistics.median(past[members])
            levels[members] = nan_statistics.median(np.moveaxis(around, 1, 0))
    return levels


def _slope_variance(levels: Floats, slope: Floats, ago: Floats, kinds: list[int]) -> Floats:
    """Return the variance of the slope that the scatter of the most frequent class around the line explains."""
    main = max(set(kinds), key=kinds.count)
    members = [index for index in range(len(kinds)) if kinds[index] == main]
    around = levels[members] + slope * ago[members][:, None]
    spread = ((ago[members] - ago[members].mean()) ** 2).sum()
    variance: Floats = nan_statistics.variance(around) * (len(members) - 1) / max(1, len(members) - 2) / spread
    return variance
