"""When a stage becomes a bottleneck and when it no longer is one."""

from jelmon_analyzers.bottleneck.verdict.episodes import LEAVE_SECONDS, Episodes


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
