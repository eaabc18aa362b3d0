"""What becomes of the history, without any database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon_responder.alerts import Alert, Delivery, Status
from jelmon_responder.history.episode import Change, ChangeKind, ClosedBy, Episode, Key
from jelmon_responder.history.fold import fold_active, fold_delivery
from jelmon_responder.http.webhook import MAX_ALERTS

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=6)
LABELS = {"alertname": "PipelineStalled", "severity": "critical", "pipeline": "review", "stage": "build"}


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def firing(start: float = 0, **labels: str) -> Alert:
    return Alert(fingerprint="f1", starts_at=minutes(start), labels=LABELS | labels)


def resolved(start: float = 0, end: float = 10, **labels: str) -> Alert:
    return replace(firing(start, **labels), status=Status.RESOLVED, ends_at=minutes(end))


def delivered(*alerts: Alert) -> tuple[dict[Key, Episode], list[Change]]:
    """The history and the news after one webhook call for each alert, a second apart."""
    rows: dict[Key, Episode] = {}
    changes: list[Change] = []
    for number, alert in enumerate(alerts):
        folded = fold_delivery(
            rows.values(), Delivery(receiver="r", alerts=(alert,)), now=NOW + timedelta(seconds=number)
        )
        rows |= folded.episodes
        changes += folded.changes
    return rows, changes


def test_a_new_alert_becomes_a_row() -> None:
    """Names that people filter by are columns; everything is in the labels."""
    rows, changes = delivered(firing(escalation_level="2"))

    (row,) = rows.values()
    expected = Episode(
        fingerprint="f1",
        starts_at=NOON,
        ends_at=None,
        status=Status.FIRING,
        closed_by=None,
        alertname="PipelineStalled",
        severity="critical",
        pipeline="review",
        stage="build",
        escalation_level=2,
        receiver="r",
        labels=LABELS | {"escalation_level": "2"},
        annotations={},
        first_seen=NOW,
        last_seen=NOW,
        fired_at=NOW,
        notifications=1,
    )
    assert expected == row
    assert [Change(ChangeKind.FIRING, row)] == changes


@pytest.mark.parametrize(
    ("alerts", "news", "status", "closed_by"),
    [
        pytest.param((firing(), firing(), firing()), ["firing"], "firing", None, id="a repeat is no news"),
        pytest.param(
            (firing(), resolved()), ["firing", "resolved"], "resolved", "resolved", id="the end closes the row"
        ),
        pytest.param(
            (firing(), resolved(), resolved()), ["firing", "resolved"], "resolved", "resolved", id="it ends once"
        ),
        pytest.param((resolved(), firing()), ["resolved"], "resolved", "resolved", id="the end overtook the start"),
        pytest.param(
            (firing(), resolved(), firing()),
            ["firing", "resolved", "firing"],
            "firing",
            None,
            id="Alertmanager gave it up too early",
        ),
    ],
)
def test_one_row_for_each_start(alerts: Sequence[Alert], news: list[str], status: str, closed_by: str | None) -> None:
    """Repeated notifications keep one row, and each change is reported once."""
    rows, changes = delivered(*alerts)

    (row,) = rows.values()
    assert (news, status, closed_by, len(alerts)) == (
        [change.kind for change in changes],
        row.status,
        row.closed_by,
        row.notifications,
    )
    assert row.ends_at == (minutes(10) if status == "resolved" else None)


def test_a_restarted_alert_closes_its_earlier_row() -> None:
    """The end was never reported, so it is bounded by the next start, and there is no duration."""
    rows, changes = delivered(firing(0), firing(30))

    old, new = rows["f1", minutes(0)], rows["f1", minutes(30)]
    assert (ClosedBy.SUPERSEDED, minutes(30), None) == (old.closed_by, old.ends_at, old.duration_seconds)
    assert Status.FIRING is new.status
    assert [change.kind for change in changes] == [ChangeKind.FIRING, ChangeKind.FIRING, ChangeKind.RESOLVED]


def test_a_late_start_does_not_reopen_a_closed_row() -> None:
    """An alert that arrives after its successor is stored as resolved, however often it is repeated."""
    rows, changes = delivered(firing(30), firing(0), firing(0))

    assert ClosedBy.SUPERSEDED is rows["f1", minutes(0)].closed_by
    assert Status.FIRING is rows["f1", minutes(30)].status
    assert [minutes(30)] == [change.episode.starts_at for change in changes]


def test_the_true_end_corrects_an_inferred_one() -> None:
    """A resolve that comes after all is kept, and is not counted a second time."""
    rows, _ = delivered(firing())
    rows |= fold_active(rows.values(), {}, polled_at=NOW + timedelta(minutes=1)).episodes
    folded = fold_delivery(rows.values(), Delivery(receiver="r", alerts=(resolved(),)), now=NOW)

    (row,) = folded.episodes.values()
    assert (ClosedBy.RESOLVED, minutes(10), []) == (row.closed_by, row.ends_at, folded.changes)


@pytest.mark.parametrize(
    ("active", "polled_at", "closes"),
    [
        pytest.param({}, NOW + timedelta(minutes=1), True, id="Alertmanager has it no more"),
        pytest.param({"f1": [NOON]}, NOW + timedelta(minutes=1), False, id="it fires"),
        pytest.param(
            {"f1": [NOON - timedelta(microseconds=900)]}, NOW + timedelta(minutes=1), False, id="times are cut to ms"
        ),
        pytest.param({"f1": [minutes(30)]}, NOW + timedelta(minutes=1), True, id="it ended and began again"),
        pytest.param({}, NOW, False, id="told after the poll began"),
    ],
)
def test_what_alertmanager_no_longer_has_is_closed(
    active: dict[str, list[datetime]], polled_at: datetime, closes: bool
) -> None:
    """An alert that ended while silenced is closed at the time of the poll, and marked so."""
    rows, _ = delivered(firing())

    folded = fold_active(rows.values(), active, polled_at=polled_at)

    expected = [(ClosedBy.RECONCILED, polled_at)] if closes else []
    assert expected == [(row.closed_by, row.ends_at) for row in folded.episodes.values()]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0, 10, 600.0, id="start to end"),
        pytest.param(10, 0, 0.0, id="an end before the start counts as no time"),
        pytest.param(-60 * 24 * 365 * 30, 0, None, id="a start in the last century is nonsense"),
    ],
)
def test_durations(start: float, end: float, expected: float | None) -> None:
    """Nonsense from outside does not spoil the mean time to restore."""
    rows, _ = delivered(resolved(start, end))

    (row,) = rows.values()
    assert expected == row.duration_seconds


@pytest.mark.parametrize(
    ("level", "expected"), [("", 0), ("3", 3), ("high", 0), ("-1", 0), ("99999", 32767), ("9" * 5000, 0), ("²", 0)]
)
def test_escalation_levels(level: str, expected: int) -> None:
    """Whatever the label holds, the column is a small number."""
    rows, _ = delivered(firing(escalation_level=level))

    (row,) = rows.values()
    assert expected == row.escalation_level


@given(st.permutations([firing(0), resolved(0, 10), firing(30), resolved(30, 40), firing(60)]))
def test_order_does_not_matter_unless_an_alert_reopens(alerts: list[Alert]) -> None:
    """Calls that overtake each other end in the same history: ends are kept, only the newest may be open."""
    rows, _ = delivered(*alerts)

    ends = {row.starts_at: row.ends_at for row in rows.values()}
    expected = {minutes(0): minutes(10), minutes(30): minutes(40), minutes(60): None}
    assert expected == ends


@given(st.lists(st.sampled_from([firing(0), resolved(0, 10), firing(30), resolved(30, 40), firing(60)]), max_size=12))
def test_what_always_holds(alerts: list[Alert]) -> None:
    """At most the newest row fires; each telling is counted; a batch gives the rows that single calls give."""
    rows, _ = delivered(*alerts)
    batch = fold_delivery([], Delivery(receiver="r", alerts=tuple(alerts)), now=NOW)

    fires = [row.starts_at for row in rows.values() if row.status is Status.FIRING]
    assert fires in ([], [max(row.starts_at for row in rows.values())] if rows else [])
    assert len(alerts) == sum(row.notifications for row in rows.values())
    assert {key: (row.status, row.ends_at, row.closed_by) for key, row in rows.items()} == {
        key: (row.status, row.ends_at, row.closed_by) for key, row in batch.episodes.items()
    }


def test_many_starts_of_one_alert_cost_little() -> None:
    """A call with the largest number of alerts, all with the same fingerprint, is no way to keep us busy."""
    alerts = tuple(firing(number) for number in range(MAX_ALERTS))

    folded = fold_delivery([], Delivery(receiver="r", alerts=alerts), now=NOW)

    assert [minutes(MAX_ALERTS - 1)] == [
        row.starts_at for row in folded.episodes.values() if row.status is Status.FIRING
    ]


def test_a_start_in_the_future_does_not_hide_later_alerts() -> None:
    """Once the clock of Prometheus is corrected, alerts are new again and the early one is closed."""
    rows, changes = delivered(firing(8 * 24 * 60), firing(0))

    ahead, new = rows["f1", minutes(8 * 24 * 60)], rows["f1", NOON]
    assert (new.status, ahead.closed_by, ahead.duration_seconds) == (Status.FIRING, ClosedBy.SUPERSEDED, None)
    assert [change.kind for change in changes] == [ChangeKind.FIRING, ChangeKind.FIRING, ChangeKind.RESOLVED]
