"""Noise by time of day."""

import numpy as np
import pytest

from jelmon_analyzers.timeseries.online.baseline.spread import Spread
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

MONDAY = 1_700_438_400.0
DAY = 1440


def test_noise_has_the_shape_of_the_day_if_it_has_one() -> None:
    """Three times as noisy by night; a series with the same noise all day has no factors, but for chance."""
    layout = Layout(60, MONDAY)
    spread = Spread(layout, 2)
    random = np.random.default_rng(3)
    for day in range(5):
        for slot in range(DAY):
            spread.add(day, slot, np.abs(random.normal(0, [3.0 if slot < DAY / 2 else 1.0, 1.0])))
        spread.next_day(day + 1, 0)
    night, noon = spread.at(DAY // 4), spread.at(3 * DAY // 4)

    assert night[0] / noon[0] == pytest.approx(3, rel=0.15)
    assert spread.factors[:, 1] == pytest.approx(1, abs=0.1)
    assert spread.over(DAY // 4)[:, 0] == pytest.approx(night[0], rel=0.1), (
        "a window within the night is as noisy as it"
    )
    assert noon[0] < spread.over(DAY // 2 + 60)[-1, 0] < night[0], "one that reaches into it is noisier than the day"
