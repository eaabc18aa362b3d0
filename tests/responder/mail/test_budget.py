"""The hourly budget holds for any sequence of alerts, and every notification is sent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon_responder.history.protocol import EMAIL_WINDOW, Email, Notification
from jelmon_responder.mail.budget import select_emails

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def notification(number: int, *, urgent: bool = False, at: datetime = NOON) -> Notification:
    return Notification(id=f"n{number}", created_at=at, urgent=urgent, subject=f"s{number}", body="")


def run(arrivals: Sequence[tuple[int, bool]], max_per_hour: int) -> list[tuple[datetime, Email]]:
    """Notices that come so many seconds after one another, and a look every minute until none waits."""
    times: list[tuple[datetime, Notification]] = []
    now = NOON
    for number, (seconds, urgent) in enumerate(arrivals):
        now += timedelta(seconds=seconds)
        times.append((now, notification(number, urgent=urgent, at=now)))
    sent: list[tuple[datetime, Email]] = []
    waiting: list[Notification] = []
    looks = sorted({moment for moment, _ in times} | {NOON + timedelta(minutes=m) for m in range(60 * 24)})
    for look in looks:
        waiting += [item for moment, item in times if moment == look]
        if not waiting:
            continue
        for email in select_emails(waiting, [moment for moment, _ in sent], max_per_hour=max_per_hour, now=look):
            sent.append((look, email))
            waiting = [item for item in waiting if item not in email]
    assert waiting == []
    return sent


ARRIVALS = st.lists(st.tuples(st.integers(0, 1200), st.booleans()), max_size=40)
PATIENT = st.lists(st.tuples(st.integers(0, 1200), st.just(False)), max_size=40)


@given(PATIENT, st.integers(1, 6))
def test_never_more_than_allowed_in_any_hour(arrivals: list[tuple[int, bool]], max_per_hour: int) -> None:
    """No hour that starts with an e-mail has more than the allowed number."""
    sent = [moment for moment, _ in run(arrivals, max_per_hour)]

    assert all(sum(first <= moment < first + EMAIL_WINDOW for moment in sent) <= max_per_hour for first in sent)


@given(ARRIVALS, st.integers(1, 6))
def test_every_notification_is_sent_once_and_urgent_ones_immediately(
    arrivals: list[tuple[int, bool]], max_per_hour: int
) -> None:
    """Nothing is lost or sent twice; urgent notifications are sent at once and count against the budget."""
    sent = run(arrivals, max_per_hour)

    told = [item for _, email in sent for item in email]
    assert sorted(item.id for item in told) == sorted(f"n{number}" for number in range(len(arrivals)))
    for place, (moment, email) in enumerate(sent):
        if email[0].urgent:
            assert (len(email), email[0].created_at) == (1, moment)
        else:
            assert sum(earlier > moment - EMAIL_WINDOW for earlier, _ in sent[:place]) < max_per_hour


@pytest.mark.parametrize(
    ("waiting", "left", "expected"),
    [
        pytest.param(3, 0, [1, 1, 1], id="room for each"),
        pytest.param(4, 0, [1, 1, 1, 1], id="the last place is kept"),
        pytest.param(5, 0, [5], id="they do not fit one by one"),
        pytest.param(1, 4, [1], id="the last place is used"),
        pytest.param(7, 4, [7], id="the last place takes all"),
        pytest.param(7, 5, [], id="no room"),
        pytest.param(0, 0, [], id="nothing to tell"),
    ],
)
def test_individually_or_as_a_digest(waiting: int, left: int, expected: list[int]) -> None:
    """With five e-mails an hour."""
    moments = [NOON - timedelta(minutes=number + 1) for number in range(left)]

    found = select_emails([notification(number) for number in range(waiting)], moments, max_per_hour=5, now=NOON)
    assert expected == [len(email) for email in found]


def test_an_email_of_an_hour_ago_no_longer_counts() -> None:
    """The window excludes its start."""
    waiting, begin = [notification(1)], NOON - EMAIL_WINDOW
    assert select_emails(waiting, [begin], max_per_hour=1, now=NOON) == [(notification(1),)]
    assert select_emails(waiting, [begin + timedelta(microseconds=1)], max_per_hour=1, now=NOON) == []
