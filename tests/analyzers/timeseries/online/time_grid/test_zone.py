"""Local time."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from jelmon_analyzers import OnlineDetector
from jelmon_analyzers.timeseries.online.time_grid.zone import Zone

MONDAY = 1_700_438_400.0


def test_days_follow_the_clock_of_their_zone() -> None:
    """The hour that an office opens is usual also on the days after the clocks changed, in UTC it is not."""
    spring = datetime(2024, 3, 25, tzinfo=UTC).timestamp()  # a Monday; Berlin changes on Sunday the 31st
    berlin = ZoneInfo("Europe/Berlin")
    random = np.random.default_rng(6)
    local, utc = OnlineDetector(3, 300, spring, zone="Europe/Berlin"), OnlineDetector(3, 300, spring)
    apart: dict[str, list[float]] = {"local": [], "utc": []}
    for slot in range(10 * 288):
        moment = datetime.fromtimestamp(spring + 300 * slot, berlin)
        values = np.exp(random.normal(0, 0.1, 3)) * (3.0 if 8 <= moment.hour < 18 else 1.0)
        local.update_many(values)
        utc.update_many(values)
        if moment.date() == date(2024, 4, 1) and moment.hour in (8, 18):
            apart["local"].append(float(np.abs(np.log(local.usual()[0] / values)).mean()))
            apart["utc"].append(float(np.abs(np.log(utc.usual()[0] / values)).mean()))

    assert np.mean(apart["local"]) < 0.4 < np.mean(apart["utc"])
    again = OnlineDetector.load(local.save())
    assert (again.zone, again.clock.offset) == ("Europe/Berlin", 7200)


def test_an_unknown_zone_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"no time zone 'Berlin': write a name such as Europe/Berlin"):
        OnlineDetector(1, 60, MONDAY, zone="Berlin")
    assert Zone("Asia/Kolkata").offset(MONDAY) == 19800
