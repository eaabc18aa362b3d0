"""Pauses between attempts of what the mail server refused for now."""

from datetime import UTC, datetime, timedelta

from jelmon_responder.history.protocol import Notification
from jelmon_responder.mail.retries import FIRST_PAUSE, GIVE_UP_AFTER, LONGEST_PAUSE, Retries

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE = Notification(id="1", created_at=NOON, urgent=False, subject="s", body="b")


def test_pauses_double_up_to_half_an_hour_and_end_after_a_day() -> None:
    """About fifty attempts in a day, then it is given up."""
    retries, now, pauses = Retries(), NOON, []
    while not retries.failed((ONE,), now=now):
        assert retries.due([ONE], now=now) == []
        began = now
        while not retries.due([ONE], now=now):
            now += timedelta(seconds=5)
        pauses.append(now - began)

    assert (pauses[0], pauses[1], pauses[-1]) == (FIRST_PAUSE, FIRST_PAUSE * 2, LONGEST_PAUSE)
    assert GIVE_UP_AFTER < now - NOON <= GIVE_UP_AFTER + LONGEST_PAUSE
    assert len(pauses) < 60


def test_a_clock_that_is_set_back_prolongs_no_pause() -> None:
    """The pause was noted while the clock ran a day ahead."""
    retries = Retries()
    retries.failed((ONE,), now=NOON + timedelta(days=1))

    assert retries.due([ONE], now=NOON) == [ONE]


def test_what_no_longer_waits_is_forgotten() -> None:
    """No state is kept for notifications that were sent here or by another responder."""
    retries = Retries()
    retries.failed((ONE,), now=NOON)
    retries.due([], now=NOON)

    assert retries.due([ONE], now=NOON) == [ONE]
