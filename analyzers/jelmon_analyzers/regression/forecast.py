"""Trend and forecast: a robust slope with its interval, and the time until a threshold."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_INTERVAL = 1.96
_LEAST_VALUES = 12


class Slope(NamedTuple):
    """A slope in units per second, and the ends of its 95 % interval."""

    middle: float
    lower: float
    upper: float


def slope(values: Floats, step: float) -> Slope | None:
    """Return the Theil-Sen slope of values ``step`` seconds apart: the median of the slopes of all pairs.

    NaN is missing; the result is None with fewer than 12 known values. The interval is Sen's, by ranks (1968), widened
    for autocorrelation r around the line as if there were n (1 - r) / (1 + r) values.
    """
    known = np.flatnonzero(np.isfinite(values))
    count = len(known)
    if count < _LEAST_VALUES:
        return None
    first, second = np.triu_indices(count, k=1)
    slopes = np.sort((values[known[second]] - values[known[first]]) / ((known[second] - known[first]) * step))
    middle = float(np.median(slopes))
    around = values[known] - middle * step * known
    around -= around.mean()
    power = float(around @ around)
    r = max(0.0, float(around[1:] @ around[:-1]) / power) if power else 0.0
    widening = math.sqrt((1 + r) / max(1 - r, 0.05))
    spread = _INTERVAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18) * widening
    low = max(0, round((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + spread) / 2))
    return Slope(middle, float(slopes[low]), float(slopes[high]))


def time_to(threshold: float, now: float, trend: Slope) -> float | None:
    """Return the seconds until ``now`` reaches the threshold, None unless every slope of the interval leads there."""
    distance = threshold - now
    if distance == 0:
        return 0.0
    ends = [distance / end if end else math.inf for end in (trend.lower, trend.upper)]
    return distance / trend.middle if trend.middle and all(0 < end < math.inf for end in ends) else None
