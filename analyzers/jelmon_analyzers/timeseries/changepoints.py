"""Change points of whole series, by penalized least squares and, for short series, a rank test.

A boundary must lower the squared error by a penalty that grows with the noise of the series. Noise is the larger of two
measures: the long-run noise scale, so that wander does not count as steps, and the spread around one straight line, so
that a trend is not cut into stairs (methods that divide by the total spread do best without tuning, van den Burg and
Williams, arXiv 2003.06222). Series of up to 300 values in which this finds nothing get a rank test, which is more
sensitive at the very end of a series and to heavy tails.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jelmon_analyzers.timeseries import noise, ranks
from jelmon_analyzers.timeseries.segmentation import segment

Floats = NDArray[np.float64]

LEAST_VALUES = 5
PENALTY = 2.3
SLOPE_PENALTY = 0.9
LONG_RUN_SHARE = 0.75
SPREAD_SHARE = 0.85
RANK_LENGTH = 300
_CELLS_AT_ONCE = 20_000


def detect(values: ArrayLike) -> list[int]:
    """Return the first index of each new segment of a series, in order; an empty list if it does not change.

    ``values`` has one dimension; NaN and infinite values count as missing. Segments are levels or straight lines; a
    lone spike is not a change. Convert a raw counter with `jelmon_analyzers.timeseries.counters.rates` first. The
    method is optimal partitioning (Jackson et al. 2005), followed by van der Waerden's test on up to 300 values; see
    docs/analyzers/regression.md.

    Raises:
        ValueError: ``values`` does not have one dimension.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise ValueError(f"detect() takes one series, got {row.ndim} dimensions; use detect_many() for a matrix")
    return detect_many(row[None, :])[0]


def detect_many(matrix: ArrayLike) -> list[list[int]]:
    """Return the change points of each row of a matrix, as `detect` does, but faster than row by row.

    ``matrix`` has one series per row; the result has one list per row.

    Raises:
        ValueError: ``matrix`` does not have two dimensions.
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"detect_many() takes a matrix with one series per row, got {values.ndim} dimensions")
    rows, length = values.shape
    points: list[list[int]] = [[] for _ in range(rows)]
    at_once = max(1, _CELLS_AT_ONCE // max(1, length))
    for start in range(0, rows, at_once):
        part = values[start : start + at_once]
        points[start : start + len(part)] = _detect_part(part)
    return points


def _detect_part(raw: Floats) -> list[list[int]]:
    valid = np.isfinite(raw)
    usable = np.flatnonzero(valid.sum(axis=1) >= LEAST_VALUES)
    result: list[list[int]] = [[] for _ in range(len(raw))]
    if not len(usable):
        return result
    filled = filled_forward(raw[usable], valid[usable])
    varying = np.ptp(filled, axis=1) > 0
    usable, filled = usable[varying], filled[varying]
    if not len(usable):
        return result
    shaped = _log_if_skewed(filled)
    clean = noise.without_spikes(shaped)
    scale = np.maximum(LONG_RUN_SHARE * noise.long_run(clean), SPREAD_SHARE * _spread_around_line(clean))
    # a series that is exactly a straight line has no noise
    line = scale <= 1e-9 * np.abs(clean).max(axis=1)
    scale[line] = 1.0
    centred = (clean - np.median(clean, axis=1, keepdims=True)) / scale[:, None]
    centred[line] = 0.0
    # grows faster than the logarithm of Schwarz' criterion: a long series offers chance more places
    penalty = float(np.log(max(raw.shape[1], 20))) ** 1.5
    segments = segment(centred, penalty=PENALTY * penalty, slope_penalty=SLOPE_PENALTY * penalty)
    for row, values, points in zip(usable, shaped, segments, strict=True):
        result[row] = points or _rank_split(values, valid[row])
    return result


def filled_forward(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Return rows with missing values replaced by the last valid one, those at the beginning by the first."""
    places = np.where(valid, np.arange(values.shape[1]), -1)
    places = np.maximum.accumulate(places, axis=1)
    first = valid.argmax(axis=1)[:, None]
    return np.take_along_axis(values, np.where(places < 0, first, places), axis=1)


def _log_if_skewed(values: Floats) -> Floats:
    """Return the logarithm of rows that are positive and reach beyond twice their median: their changes are ratios."""
    skewed = (values.min(axis=1) > 0) & (np.quantile(values, 0.99, axis=1) > 2 * np.median(values, axis=1))
    return np.where(skewed[:, None], np.log(np.where(skewed[:, None], values, 1.0)), values)


def _spread_around_line(values: Floats) -> Floats:
    time = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    centred = values - values.mean(axis=1, keepdims=True)
    slope = (centred @ time) / (time @ time)
    spread: Floats = (centred - slope[:, None] * time).std(axis=1)
    return spread


def _rank_split(values: Floats, valid: NDArray[np.bool_]) -> list[int]:
    places = np.flatnonzero(valid)
    if not 2 * ranks.LEAST_SIDE <= len(places) <= RANK_LENGTH:
        return []
    split = ranks.best_split(values[places])
    return [int(places[split.first])] if split.z > ranks.threshold(len(places)) else []
