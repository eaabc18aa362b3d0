"""Segmentation against an exhaustive search."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jelmon_analyzers import detect
from jelmon_analyzers.timeseries import segmentation as fast

Floats = NDArray[np.float64]


def squared_error(values: Floats, start: int, end: int, slope_penalty: float) -> float:
    """The definition: the better of a level and a line, each fitted by least squares."""
    part = values[start:end]
    if len(part) < fast.LEAST_LEVEL:
        return math.inf
    level = float(((part - part.mean()) ** 2).sum())
    if len(part) < fast.LEAST_LINE:
        return level
    time = np.arange(len(part))
    line = float(((part - np.polyval(np.polyfit(time, part, 1), time)) ** 2).sum())
    return min(level, line + slope_penalty)


def cost(values: Floats, points: tuple[int, ...] | list[int], penalty: float, slope_penalty: float) -> float:
    bounds = [0, *points, len(values)]
    spans = itertools.pairwise(bounds)
    return sum(squared_error(values, a, b, slope_penalty) for a, b in spans) + penalty * len(points)


def cheapest(values: Floats, penalty: float, slope_penalty: float) -> float:
    """The least cost over every possible set of boundaries."""
    inner = range(fast.LEAST_LEVEL, len(values) - fast.LEAST_LEVEL + 1)
    every = (points for count in range(5) for points in itertools.combinations(inner, count))
    return min(cost(values, points, penalty, slope_penalty) for points in every)


@given(st.lists(st.floats(-5, 5), min_size=7, max_size=13), st.floats(0.5, 8), st.floats(0.5, 8))
def test_segments_cost_no_more_than_any_others(values: list[float], penalty: float, slope_penalty: float) -> None:
    """Dynamic programming over running sums finds what trying out every set of boundaries finds."""
    row = np.array(values)
    [points] = fast.segment(row[None, :], penalty=penalty, slope_penalty=slope_penalty)

    assert cost(row, points, penalty, slope_penalty) == pytest.approx(
        cheapest(row, penalty, slope_penalty), abs=1e-6, rel=1e-6
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_long_series_is_cut_to_the_value_though_the_grid_is_coarse(seed: int) -> None:
    """Candidates are few in a long series; boundaries are exact all the same."""
    values = np.random.default_rng(seed).normal(0, 1, 3000)
    values[701:] += 6
    values[1933:1950] -= 9

    assert detect(values) == [701, 1933, 1950]
