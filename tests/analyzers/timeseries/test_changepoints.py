"""Change points of whole series with known answers."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from jelmon_analyzers import detect, detect_many

Floats = NDArray[np.float64]


def noisy(length: int, *, seed: int, scale: float = 1.0, correlation: float = 0.0) -> Floats:
    """Gaussian noise, autocorrelated from one value to the next."""
    draw = np.random.default_rng(seed).normal(0, scale * math.sqrt(1 - correlation**2), length)
    for index in range(1, length):
        draw[index] += correlation * draw[index - 1]
    return draw


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1, 2, 9, 9], [], id="fewer than five values say nothing"),
        pytest.param([7.0] * 50, [], id="a constant"),
        pytest.param([math.nan] * 50, [], id="nothing but gaps"),
        pytest.param([1.0] * 30 + [2.0] * 30, [30], id="a step without noise"),
        pytest.param(list(range(100)), [], id="a straight line"),
        pytest.param([abs(index - 60.0) for index in range(120)], [60], id="a trend that turns"),
        pytest.param([10.0] * 50 + [500.0] + [10.0] * 49, [], id="a lone spike is no step"),
        pytest.param([1.0] * 20 + [math.nan] * 10 + [4.0] * 20, [30], id="a step across a gap begins after it"),
        pytest.param([math.nan] * 5 + [1.0] * 20 + [math.inf] + [4.0] * 20, [26], id="infinite is missing"),
    ],
)
def test_plain_series_have_the_obvious_answer(values: list[float], expected: list[int]) -> None:
    """No noise, no doubt."""
    assert detect(values) == expected


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9, 0.97])
def test_wander_is_no_change(correlation: float) -> None:
    """A day of minutes that only wanders has no change point, however slowly it wanders."""
    rows = np.array([np.exp(noisy(1440, seed=seed, scale=0.3, correlation=correlation)) for seed in range(8)])

    assert detect_many(rows) == [[]] * 8


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_a_step_is_found_within_its_autocorrelated_noise(correlation: float) -> None:
    """Half as much again, from one minute to the next."""
    for seed in range(5):
        values = noisy(1440, seed=seed, scale=0.2, correlation=correlation)
        values[900:] += math.log(1.5)
        [point] = detect(np.exp(values))

        assert abs(point - 900) <= 5


def test_a_doubling_is_found_ten_runs_later_in_a_short_history() -> None:
    """At the end of a noisy history of runs the rank-based look finds what squared errors do not."""
    found = 0
    for seed in range(20):
        values = np.exp(noisy(110, seed=seed, scale=0.3))
        values[100:] *= 2
        found += any(abs(point - 100) <= 2 for point in detect(values))

    assert found >= 19


def test_steady_histories_of_runs_are_left_alone() -> None:
    """At most 0.7 false change points in a thousand runs."""
    rows = np.array([np.exp(noisy(100, seed=seed, scale=0.4)) for seed in range(60)])

    assert sum(map(len, detect_many(rows))) <= 0.7 * 6


def test_a_matrix_gives_what_its_rows_give() -> None:
    """Rows do not influence each other, whatever is missing in them."""
    rows = np.array([noisy(400, seed=seed) + (np.arange(400) >= 100 * seed) * 5 for seed in range(5)])
    rows[1, ::3] = np.nan
    rows[2] = np.nan
    rows[3] = 4.0

    assert detect_many(rows) == [detect(row) for row in rows]


def test_a_trend_is_one_segment() -> None:
    """Models of levels alone cut a ramp into stairs; a line is one segment here."""
    assert detect(np.arange(600) * 0.05 + noisy(600, seed=3)) == []


def test_the_wrong_shape_is_refused_with_what_to_do() -> None:
    """One series and many series are two functions."""
    with pytest.raises(ValueError, match="use detect_many"):
        detect(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="one series per row"):
        detect_many(np.zeros(3))
