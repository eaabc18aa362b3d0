"""When a stage becomes a bottleneck and when it no longer is; and pressure on the machines while cards wait."""

import pytest

from jelmon_analyzers.bottleneck.verdict.episodes import LEAVE_SECONDS, Episodes
from jelmon_analyzers.bottleneck.verdict.resource_contention import ResourceContention


def test_an_episode_begins_at_50_and_ends_after_two_minutes_below_40() -> None:
    """A figure that trembles at the limit is one episode, and no verdict changes nothing."""
    episodes = Episodes()
    seen = [
        episodes.update(severity, now)
        for now, severity in (
            (0, 45.0),
            (15, 51.0),
            (30, 48.0),
            (45, 52.0),
            (60, 39.0),
            (90, 41.0),
            (100, 30.0),
            (150, None),
        )
    ]

    assert seen == [False, True, False, False, False, False, False, False]
    assert episodes.since == 15

    episodes.update(30.0, 100 + LEAVE_SECONDS - 1)

    assert episodes.since == 15

    episodes.update(30.0, 100 + LEAVE_SECONDS)

    assert episodes.since is None
    assert episodes.update(80.0, 400)
    assert episodes.count == 2


def test_pressure_is_the_share_of_the_waiting_that_fell_on_hot_moments() -> None:
    """Three cards waited while the CPU was hot, one while it was not; what is older than the window is forgotten."""
    pressure = ResourceContention(window_seconds=100)
    pressure.update(0, {"a": 50}, {"cpu": 0.1, "io": 0.1})
    pressure.update(110, {"a": 3, "b": 0}, {"cpu": 0.95, "io": 0.5})
    pressure.update(120, {"a": 1}, {"cpu": 0.85, "io": 0.5})

    assert pressure.ratios("a") == {"cpu": pytest.approx(0.75), "io": 0.0}
    assert pressure.ratios("b") == {}
