"""How webhook calls and polls change the history: pure functions, the same for both databases."""

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jelmon_responder.alerts import MAX_CLOCK_SKEW, Alert, Delivery, Status
from jelmon_responder.history.episode import Change, ChangeKind, ClosedBy, Episode, Key

MAX_COLUMN_CHARACTERS = 512
"""Longer names are truncated in the columns (a PostgreSQL index row holds 2,700 bytes); the labels keep them whole."""
SAME_MOMENT = timedelta(milliseconds=1)
"""Alertmanager rounds times to microseconds, then truncates them to milliseconds."""
_MAX_LEVEL = 32_767


@dataclass(slots=True)
class Folded:
    """The episodes to write, and the changes among them that are news."""

    episodes: dict[Key, Episode] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


def fold_delivery(known: Iterable[Episode], delivery: Delivery, *, now: datetime) -> Folded:
    """Apply one webhook call to the history.

    For each fingerprint in the delivery, ``known`` must hold the rows that start when its alerts start, the rows that
    are firing, and the newest row. The result does not depend on the order in which a start and its end arrive.
    """
    rows: dict[Key, Episode] = {}
    starts: dict[str, list[datetime]] = {}  # sorted
    firing: dict[str, set[Key]] = {}
    folded = Folded()

    def put(episode: Episode) -> None:
        if episode.key not in rows:
            bisect.insort(starts.setdefault(episode.fingerprint, []), episode.starts_at)
        rows[episode.key] = episode
        update = set.add if episode.status is Status.FIRING else set.discard
        update(firing.setdefault(episode.fingerprint, set()), episode.key)

    def write(episode: Episode, kind: ChangeKind | None) -> None:
        put(episode)
        folded.episodes[episode.key] = episode
        if kind is not None:
            folded.changes.append(Change(kind, episode))

    for episode in known:
        put(episode)
    for alert in delivery.alerts:
        next_start = _next(starts.get(alert.fingerprint, []), alert.starts_at, before=now + MAX_CLOCK_SKEW)
        row = rows.get((alert.fingerprint, alert.starts_at))
        if row is not None:
            write(*_repeated(row, alert, delivery.receiver, now, is_newest=next_start is None))
            continue
        episode = _new(alert, delivery.receiver, now)
        if alert.status is Status.FIRING and next_start is not None:  # late: the alert has started again since then
            write(_closed(episode, next_start, ClosedBy.SUPERSEDED), None)
            continue
        write(episode, ChangeKind(alert.status))
        for other in [rows[key] for key in firing[alert.fingerprint]]:
            if other.starts_at < alert.starts_at or other.starts_at > max(alert.starts_at, now + MAX_CLOCK_SKEW):
                write(_closed(other, alert.starts_at, ClosedBy.SUPERSEDED), ChangeKind.RESOLVED)
    return folded


def fold_active(rows: Iterable[Episode], active: Mapping[str, Iterable[datetime]], *, polled_at: datetime) -> Folded:
    """Close episodes that Alertmanager no longer has and reopen those it has. ``active``: fingerprint -> starts.

    Episodes updated after the poll began stay unchanged: the poll may not have seen the update.
    """
    folded = Folded()
    for row in rows:
        is_active = any(abs(start - row.starts_at) <= SAME_MOMENT for start in active.get(row.fingerprint, ()))
        is_firing = row.status is Status.FIRING
        if is_active is is_firing or row.last_seen >= polled_at:
            continue
        row = _reopened(row) if is_active else _closed(row, polled_at, ClosedBy.RECONCILED)
        folded.episodes[row.key] = row
        folded.changes.append(Change(ChangeKind.FIRING if is_active else ChangeKind.RESOLVED, row))
    return folded


def _next(starts: list[datetime], start: datetime, *, before: datetime) -> datetime | None:
    """Return the start that follows; one in the future says nothing about which alert is the newest."""
    index = bisect.bisect_right(starts, start)
    return starts[index] if index < len(starts) and starts[index] <= before else None


def _repeated(
    row: Episode, alert: Alert, receiver: str, now: datetime, *, is_newest: bool
) -> tuple[Episode, ChangeKind | None]:
    updated = replace(
        row,
        receiver=_column(receiver),
        labels=alert.labels,
        annotations=alert.annotations,
        last_seen=max(row.last_seen, now),
        notifications=row.notifications + 1,
    )
    match row.status, alert.status:
        case Status.FIRING, Status.RESOLVED:
            assert alert.ends_at is not None
            return _closed(updated, alert.ends_at, ClosedBy.RESOLVED), ChangeKind.RESOLVED
        case Status.RESOLVED, Status.RESOLVED if row.closed_by is not ClosedBy.RESOLVED:
            # the true end, after an inferred one: not news, and its duration has been observed already
            return replace(updated, ends_at=alert.ends_at, closed_by=ClosedBy.RESOLVED), None
        case Status.RESOLVED, Status.FIRING if row.fired_at is None:
            # the end arrived before the start
            return replace(updated, fired_at=now), None
        case Status.RESOLVED, Status.FIRING if is_newest:
            # Alertmanager dropped it (Prometheus was silent for minutes) and has it again
            return _reopened(updated), ChangeKind.FIRING
        case _:
            return updated, None


def _reopened(episode: Episode) -> Episode:
    return replace(episode, status=Status.FIRING, ends_at=None, closed_by=None)


def _closed(episode: Episode, ends_at: datetime, closed_by: ClosedBy) -> Episode:
    return replace(episode, status=Status.RESOLVED, ends_at=ends_at, closed_by=closed_by)


def _new(alert: Alert, receiver: str, now: datetime) -> Episode:
    resolved = alert.status is Status.RESOLVED
    level = alert.labels.get("escalation_level", "")
    return Episode(
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        status=alert.status,
        closed_by=ClosedBy.RESOLVED if resolved else None,
        alertname=_column(alert.labels.get("alertname", "")),
        severity=_column(alert.labels.get("severity", "")),
        pipeline=_column(alert.labels.get("pipeline", "")),
        stage=_column(alert.labels.get("stage", "")),
        escalation_level=min(int(level), _MAX_LEVEL) if level.isascii() and level.isdigit() and len(level) < 6 else 0,
        receiver=_column(receiver),
        labels=alert.labels,
        annotations=alert.annotations,
        first_seen=now,
        last_seen=now,
        fired_at=None if resolved else now,
        notifications=1,
    )


def _column(text: str) -> str:
    return text[:MAX_COLUMN_CHARACTERS]
