"""Statistics along the first axis that skip NaN, without NumPy's warnings about empty columns."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def median(values: NDArray[np.floating]) -> Floats:
    """Return the median along the first axis; NaN where no value is known."""
    if not np.isnan(values).any():
        whole: Floats = np.median(values, axis=0)
        return whole
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.maximum(count // 2 - (count == 0), 0)[None], axis=0)[0]
    middle: Floats = (low + high) / 2
    return np.where(count > 0, middle, np.nan)


def mean(values: Floats) -> Floats:
    """Return the mean along the first axis; NaN where no value is known."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return result


def variance(values: Floats) -> Floats:
    """Return the sample variance along the first axis; NaN with fewer than two known values."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    around = np.where(known, values - mean(values), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(count > 1, (around**2).sum(axis=0) / (count - 1), np.nan)
    return result
