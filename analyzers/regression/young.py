"""Series too young for a baseline: what change points in the last hours say, and no more than that."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon.analyzers import noise
from jelmon.analyzers.changepoints import detect, filled_forward

Floats = NDArray[np.float64]

SPAN_SECONDS = 2 * 3600.0
LEAST_SIDE = 10
_INTERVAL = 1.96


class YoungChange(NamedTuple):
    """The newest change point: its index, and the level since against the level before."""

    first: int
    change: float
    lower: float
    upper: float


def newest_change(values: Floats) -> YoungChange | None:
    """The newest change point that has ten values on either side, all positive, so that there is a ratio."""
    points = detect(values)
    if not points:
        return None
    first = points[-1]
    start = points[-2] if len(points) > 1 else 0
    before, after = (part[np.isfinite(part)] for part in (values[start:first], values[first:]))
    if min(len(before), len(after)) < LEAST_SIDE or min(before.min(), after.min()) <= 0:
        return None
    logs = np.log(filled_forward(values[None, :], np.isfinite(values)[None, :]))
    # the long-run scale holds for means of autocorrelated values
    scale = float(noise.long_run(noise.without_spikes(logs))[0])
    difference = float(np.median(np.log(after)) - np.median(np.log(before)))
    half = _INTERVAL * math.sqrt(math.pi / 2) * scale * math.sqrt(1 / len(before) + 1 / len(after))
    lower, change, upper = (math.expm1(difference + part) for part in (-half, 0.0, half))
    return YoungChange(first, change, lower, upper)
