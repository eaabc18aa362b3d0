"""Segments of series by dynamic programming: each is a level or, if that pays for its slope, a straight line.

Lines keep a trend in one piece: a model of levels alone cuts every trend into stairs. The cheapest segments are found
exactly (optimal partitioning, Jackson et al. 2005) among candidate boundaries: all of them in a short series, otherwise
an even grid and the places of highest contrast, refined to the single value afterwards.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

LEAST_LEVEL = 3
LEAST_LINE = 6
_EXACT_LENGTH = 280
_GRID = 160
_CONTRAST_WIDTHS = (3, 6, 12)
_CONTRAST_BLOCKS = 40


class Sums:
    """Running sums, which give the squared error of a level or a line over any span in constant time."""

    def __init__(self, values: Floats) -> None:
        time = np.arange(values.shape[1], dtype=np.float64)
        self.plain = _running(values)
        self.squares = _running(values * values)
        self.timed = _running(values * time)

    def at(self, places: Indices) -> "Sums":
        """Return the sums at these places only (rows by places)."""
        chosen = object.__new__(Sums)
        chosen.plain = np.take_along_axis(self.plain, places, axis=1)
        chosen.squares = np.take_along_axis(self.squares, places, axis=1)
        chosen.timed = np.take_along_axis(self.timed, places, axis=1)
        return chosen


def segment(values: Floats, *, penalty: float, slope_penalty: float) -> list[list[int]]:
    """Return the first indices of the second and later segments of each row.

    ``values`` (rows by time) are in units of their noise: a boundary must lower the squared error by ``penalty``, a
    slope by ``slope_penalty``.
    """
    rows, length = values.shape
    sums = Sums(values)
    places = _candidates(sums.plain, length)
    chosen = sums.at(places)
    last = places.shape[1] - 1
    cost = np.full((rows, last + 1), np.inf)
    cost[:, 0] = -penalty
    previous = np.zeros((rows, last + 1), dtype=np.intp)
    for end in range(1, last + 1):
        total = cost[:, :end] + _span_cost(chosen, places, np.s_[:, :end], np.s_[:, end : end + 1], slope_penalty)
        best = np.argmin(total, axis=1)
        previous[:, end] = best
        cost[:, end] = np.take_along_axis(total, best[:, None], axis=1)[:, 0] + penalty
    exact = length <= _EXACT_LENGTH
    segments = []
    for row in range(rows):
        points: list[int] = []
        at = int(previous[row, last])
        while at > 0:
            points.append(int(places[row, at]))
            at = int(previous[row, at])
        points.reverse()
        segments.append(points if exact else _refined(sums, row, points, length, slope_penalty))
    return segments


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros((values.shape[0], 1)), np.cumsum(values, axis=1)], axis=1)


def _span_cost(
    sums: Sums, places: Indices, start: tuple[slice, slice], end: tuple[slice, slice], slope_penalty: float
) -> Floats:
    """Return the squared error of the better of level and line over spans; infinite for spans that are too short."""
    first, stop = places[start], places[end]
    count = (stop - first).astype(np.float64)
    np.maximum(count, 1.0, out=count)
    plain = sums.plain[end] - sums.plain[start]
    level = sums.squares[end] - sums.squares[start] - plain * plain / count
    timed = sums.timed[end] - sums.timed[start] - (first + stop - 1) / 2 * plain
    line = level - timed * timed * 12 / np.maximum(count * (count * count - 1), 1.0) + slope_penalty
    line[count < LEAST_LINE] = np.inf
    best: Floats = np.maximum(np.minimum(level, line), 0.0)
    best[count < LEAST_LEVEL] = np.inf
    return best


def _candidates(plain: Floats, length: int) -> Indices:
    rows = plain.shape[0]
    if length <= _EXACT_LENGTH:
        return np.broadcast_to(np.arange(length + 1), (rows, length + 1))
    even = np.linspace(0, length, _GRID + 1).round().astype(np.intp)
    chosen = [np.broadcast_to(even, (rows, len(even)))]
    size = -(-length // _CONTRAST_BLOCKS)
    for width in _CONTRAST_WIDTHS:
        contrast = np.zeros((rows, size * _CONTRAST_BLOCKS))
        contrast[:, width : length - width + 1] = np.abs(
            plain[:, 2 * width :] - 2 * plain[:, width:-width] + plain[:, : -2 * width]
        )
        peaks = contrast.reshape(rows, _CONTRAST_BLOCKS, size).argmax(axis=2) + np.arange(_CONTRAST_BLOCKS) * size
        chosen.append(np.minimum(peaks, length))
    return np.sort(np.concatenate(chosen, axis=1), axis=1)


def _refined(sums: Sums, row: int, points: Sequence[int], length: int, slope_penalty: float) -> list[int]:
    """Return boundaries moved to their best places between their neighbours, within reach of the grid."""
    reach = 2 * -(-length // _GRID)
    bounds = [0, *points, length]
    single = object.__new__(Sums)
    single.plain, single.squares, single.timed = (
        array[row : row + 1] for array in (sums.plain, sums.squares, sums.timed)
    )
    for number in range(1, len(bounds) - 1):
        before, here, after = bounds[number - 1 : number + 2]
        low, high = max(before + LEAST_LEVEL, here - reach), min(after - LEAST_LEVEL, here + reach)
        places = np.concatenate([[before], np.arange(low, high + 1), [after]])[None, :]
        near = single.at(places)
        left = _span_cost(near, places, np.s_[:, :1], np.s_[:, 1:-1], slope_penalty)
        right = _span_cost(near, places, np.s_[:, 1:-1], np.s_[:, -1:], slope_penalty)
        bounds[number] = low + int(np.argmin(left + right))
    return bounds[1:-1]
