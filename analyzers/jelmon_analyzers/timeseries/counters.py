"""Raw counters as rates."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def rates(totals: Floats, step: float) -> Floats:
    """Return the rate per second between successive values of a counter, along the first axis.

    The result has the shape of ``totals``; its first row is NaN. ``step`` is the distance of two values in seconds.
    A value below the one before it is a counter reset: all it shows was counted since. The value after a gap is NaN,
    because the increase spans an unknown time.
    """
    increase = np.full(totals.shape, np.nan)
    before, after = totals[:-1], totals[1:]
    with np.errstate(invalid="ignore"):
        increase[1:] = np.where(after >= before, after - before, after)
    increase[1:][~np.isfinite(before)] = np.nan
    return increase / step
