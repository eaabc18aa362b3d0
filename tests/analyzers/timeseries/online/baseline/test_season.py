"""The curve of the day."""

import numpy as np
import pytest

from jelmon_analyzers.timeseries.online.baseline.season import Season
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

MONDAY = 1_700_438_400.0
DAY = 1440


def test_the_usual_value_follows_the_day() -> None:
    """After a week the curve is the shape of the day, and flat where there is no shape."""
    layout = Layout(60, MONDAY)
    season = Season(layout, 2)
    random = np.random.default_rng(2)
    shape = np.sin(2 * np.pi * np.arange(DAY) / DAY)
    for day in range(5):
        for slot in range(DAY):
            season.add(day, slot, np.array([shape[slot], 0.0]) + random.normal(0, 0.2, 2))
        season.next_day(day + 1, 0)

        assert not (season.borrowed.any() and day < 4), "only Saturday has no day of its class yet"
    curve = np.array([season.at(slot) for slot in range(DAY)])

    assert np.abs(curve[:, 0] - shape).max() < 0.1
    assert np.abs(curve[:, 1]).max() < 0.05
    assert season.borrowed.all()


def test_a_series_that_grows_is_usual_on_saturday_as_on_friday() -> None:
    """The last weekend was a week ago: 3 % a day later, its level would be a fifth too low."""
    layout = Layout(60, MONDAY)
    season = Season(layout, 2)
    random = np.random.default_rng(4)
    for day in range(12):
        for slot in range(DAY):
            season.add(day, slot, 0.03 * np.array([day, 0]) + random.normal(0, 0.1, 2))
        season.next_day(day + 1, 0)  # the last is a Saturday

    assert season.at(DAY // 2)[0] == pytest.approx(0.03 * 12, abs=0.03)
    assert season.at(DAY // 2)[1] == pytest.approx(0, abs=0.03)
