"""Trend and forecast."""

import numpy as np
import pytest

from jelmon_analyzers.regression.forecast import Slope, slope, time_to


def test_a_slope_is_found_despite_outliers() -> None:
    """Theil-Sen, its interval, and no slope in noise."""
    random = np.random.default_rng(1)
    values = 5 + 0.01 * np.arange(72) + random.normal(0, 0.05, 72)
    values[[5, 20, 60]] += 10
    found = slope(values, 300.0)
    assert found is not None

    assert found.lower < 0.01 / 300 < found.upper
    assert found.lower > 0
    flat = slope(random.normal(0, 1, 72), 300.0)
    assert flat is not None
    assert flat.lower < 0 < flat.upper
    assert slope(np.full(72, np.nan), 300.0) is None


@pytest.mark.parametrize(
    ("trend", "expected"),
    [
        pytest.param(Slope(2.0, 1.0, 3.0), 25.0, id="every end leads there"),
        pytest.param(Slope(0.5, -0.1, 1.0), None, id="the ends do not agree"),
        pytest.param(Slope(-1.0, -2.0, -0.5), None, id="it leads away"),
    ],
)
def test_a_forecast_needs_both_ends(trend: Slope, expected: float | None) -> None:
    """From 50 to 100."""
    assert time_to(100.0, 50.0, trend) == expected
