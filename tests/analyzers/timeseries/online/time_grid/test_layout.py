"""The time grid."""

import pytest

from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

MONDAY = 1_700_438_400.0


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(60, (360, 360, 360, 720, 1440, 1440), id="minutes"),
        pytest.param(3600, (12, 24, 24), id="hours"),
        pytest.param(86400, (12,), id="days"),
    ],
)
def test_short_windows_have_near_references(step: float, expected: tuple[int, ...]) -> None:
    """Six hours at least, twelve times the window, a day at most."""
    assert Layout(step, MONDAY).references == expected
