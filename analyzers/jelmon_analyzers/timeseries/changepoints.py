"""Change points of a whole series: which minute, which run.

A boundary must lower the squared error by a price that grows with the series' own noise. The price is set by two
yardsticks, the larger of which holds: the long-run noise scale, which keeps wander from being taken for steps, and the
spread around one straight line, which keeps a trend from being cut into stairs (the reason why methods that divide by
the total spread do best without tuning, arXiv 2003.06222). Histories of up to 300 values in which that finds nothing
get a second, rank-based look, which is sharper at the very end of a history and for heavy tails.
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
    """First index of each new segment of a series, in order; none if it does not change.

    NaN and infinite values count as missing. Works for levels, slopes and trends with steps; a lone spike is no
    change. A counter must be turned into a rate first, see `jelmon_analyzers.timeseries.counters`.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise ValueError(f"detect() takes one series, got {row.ndim} dimensions; use detect_many() for a matrix")
    return detect_many(row[None, :])[0]


def detect_many(matrix: ArrayLike) -> list[list[int]]:
    """`detect` for each row of a matrix, faster than one by one."""
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"detect_many() takes a matrix with one series a row, got {values.ndim} dimensions")
    rows, length = values.shape
    found: list[list[int]] = [[] for _ in range(rows)]
    at_once = max(1, _CELLS_AT_ONCE // max(1, length))
    for start in range(0, rows, at_once):
        part = values[start : start + at_once]
        for row, points in zip(range(start, start + len(part)), _detect_part(part), strict=True):
            found[row] = points
    return found


def _detect_part(raw: Floats) -> list[list[int]]:
    valid = np.isfinite(raw)
    usable = np.flatnonzero(valid.sum(axis=1) >= LEAST_VALUES)
    found: list[list[int]] = [[] for _ in range(len(raw))]
    if not len(usable):
        return found
    filled = filled_forward(raw[usable], valid[usable])
    varying = np.ptp(filled, axis=1) > 0
    usable, filled = usable[varying], filled[varying]
    if not len(usable):
        return found
    shaped = _log_if_skewed(filled)
    clean = noise.without_spikes(shaped)
    yardstick = np.maximum(LONG_RUN_SHARE * noise.long_run(clean), SPREAD_SHARE * _spread_around_line(clean))
    # a series that is exactly one straight line has no spread at all
    line = yardstick <= 1e-9 * np.abs(clean).max(axis=1)
    yardstick[line] = 1.0
    centred = (clean - np.median(clean, axis=1, keepdims=True)) / yardstick[:, None]
    centred[line] = 0.0
    # more than the logarithm of Schwarz' criterion: in a long series chance has more places to look right
    price = float(np.log(max(raw.shape[1], 20))) ** 1.5
    segments = segment(centred, penalty=PENALTY * price, slope_penalty=SLOPE_PENALTY * price)
    for row, values, points in zip(usable, shaped, segments, strict=True):
        found[row] = points or _second_look(values, valid[row])
    return found


def filled_forward(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Missing values replaced by the last valid one, those at the beginning by the first."""
    places = np.where(valid, np.arange(values.shape[1]), -1)
    places = np.maximum.accumulate(places, axis=1)
    first = valid.argmax(axis=1)[:, None]
    return np.take_along_axis(values, np.where(places < 0, first, places), axis=1)


def _log_if_skewed(values: Floats) -> Floats:
    """The logarithm of rows that are positive and reach beyond twice their median: there, changes are ratios."""
    skewed = (values.min(axis=1) > 0) & (np.quantile(values, 0.99, axis=1) > 2 * np.median(values, axis=1))
    return np.where(skewed[:, None], np.log(np.where(skewed[:, None], values, 1.0)), values)


def _spread_around_line(values: Floats) -> Floats:
    time = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    centred = values - values.mean(axis=1, keepdims=True)
    slope = (centred @ time) / (time @ time)
    spread: Floats = (centred - slope[:, None] * time).std(axis=1)
    return spread


def _second_look(values: Floats, valid: NDArray[np.bool_]) -> list[int]:
    places = np.flatnonzero(valid)
    if not 2 * ranks.LEAST_SIDE <= len(places) <= RANK_LENGTH:
        return []
    split = ranks.best_split(values[places])
    return [int(places[split.first])] if split.z > ranks.threshold(len(places)) else []
