"""Changes of series with too little history for a baseline, from change points in the last hours."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from jelmon_analyzers.timeseries.changepoints import detect

Floats = NDArray[np.float64]

RECENT_VALUES = 480
"""The last two hours, at 15 seconds."""
LEAST_SIDE = 10
_QUANTILE = 0.995
"""Of a 99 % interval: the change point is where the difference is largest, which overstates it."""
_MEDIAN_FOR_MEAN = math.sqrt(math.pi / 2)
"""How much further the median of Gaussian values strays than their mean."""
_MOST_CORRELATION = 0.97


class RecentChange(NamedTuple):
    """The newest change point: its index, and the level since against the level before."""

    first: int
    change: float
    lower: float
    upper: float


def newest_change(values: Floats) -> RecentChange | None:
    """Return the newest change point of a series; NaN is missing.

    Return None unless it has ten values on either side, all positive, so that there is a ratio. Values before the
    series began are no level. The interval is Student's, for n (1 - r) / (1 + r) values with r the autocorrelation:
    means over overlapping ranges share most of their noise.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return None
    begin = int(known[0])
    points = [begin + point for point in detect(values[begin : known[-1] + 1])]
    if not points:
        return None
    first = points[-1]
    start = points[-2] if len(points) > 1 else begin
    before, after = (part[np.isfinite(part)] for part in (values[start:first], values[first:]))
    if min(len(before), len(after)) < LEAST_SIDE or min(before.min(), after.min()) <= 0:
        return None
    logs = [np.log(before), np.log(after)]
    around = np.concatenate([part - np.median(part) for part in logs])
    share = _independent_share(around)
    counts = [max(1.0, share * len(part)) for part in logs]
    spread = float(around.std(ddof=2)) * math.sqrt(1 / counts[0] + 1 / counts[1])
    half = float(stdtrit(max(1.0, sum(counts) - 2), _QUANTILE)) * _MEDIAN_FOR_MEAN * spread
    difference = float(np.median(logs[1]) - np.median(logs[0]))
    lower, change, upper = (math.expm1(min(difference + part, 700.0)) for part in (-half, 0.0, half))
    return RecentChange(first, change, lower, upper)


def _independent_share(around: Floats) -> float:
    """Return (1 - r) / (1 + r) with r the autocorrelation, corrected for its bias in short series (Kendall 1954)."""
    power = float(around @ around)
    r = float(around[1:] @ around[:-1]) / power if power else 0.0
    r = min(_MOST_CORRELATION, max(0.0, r + (1 + 3 * r) / len(around)))
    return (1 - r) / (1 + r)
