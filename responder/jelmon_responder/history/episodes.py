"""What becomes of the history when Alertmanager tells something: pure functions, the same for every database.

An *episode* is one row of the history: an alert from its start to its end. Its key is fingerprint and start.
"""

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from jelmon.catalogue import ALERT_SEVERITIES
from jelmon_responder.http.webhook import Alert, Delivery, Status

Key = tuple[str, datetime]

MAX_COLUMN_CHARACTERS = 512
"""Longer names are cut in the columns (an index of PostgreSQL takes 2,700 bytes); the labels keep them whole."""
SAME_MOMENT = timedelta(milliseconds=1)
"""Times are cut to milliseconds, after a rounding to microseconds."""
_MAX_LEVEL = 32_767
_EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)
"""A start before it is nonsense, and so is the duration that follows from it."""


class ClosedBy(StrEnum):
    """How we learnt that an episode is over."""

    RESOLVED = "resolved"  # Alertmanager told us
    RECONCILED = "reconciled"  # Alertmanager no longer has it: it ended while silenced or inhibited
    SUPERSEDED = "superseded"  # the same alert began again later, so it must have ended before


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One row of the alert history. ``fired_at`` is when we first heard it fire; None if we only heard the end."""

    fingerprint: str
    starts_at: datetime
    ends_at: datetime | None
    status: Status
    closed_by: ClosedBy | None
    alertname: str
    severity: str
    pipeline: str
    stage: str
    escalation_level: int
    receiver: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    first_seen: datetime
    last_seen: datetime
    fired_at: datetime | None
    notifications: int

    @property
    def key(self) -> Key:
        return self.fingerprint, self.starts_at

    @property
    def is_drill(self) -> bool:
        """True for a test alert: kept and shown, but no part of any statistics."""
        return self.labels.get("drill") == "true"

    @property
    def duration_seconds(self) -> float | None:
        """How long it lasted; None while it fires, and when start or end is not to be believed."""
        if self.ends_at is None or self.starts_at < _EARLIEST_START or self.closed_by is ClosedBy.SUPERSEDED:
            return None
        return max(0.0, (self.ends_at - self.starts_at).total_seconds())


class What(StrEnum):
    """What happened to an episode."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Change:
    """Something new in the history; a repeat is none."""

    what: What
    episode: Episode


@dataclass(slots=True)
class Folded:
    """What to write, and what of it is news."""

    episodes: dict[Key, Episode] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


def known_severity(severity: str) -> str:
    """The severity as a label value: one of the catalogue's, ``none`` for any other."""
    return severity if severity in ALERT_SEVERITIES else "none"


def fold_delivery(known: Iterable[Episode], delivery: Delivery, *, now: datetime) -> Folded:
    """Add one webhook call to the history.

    ``known`` must hold, of each fingerprint in the delivery: the rows with a start in the delivery, the rows that
    fire, and the newest row. The result does not depend on the order of a firing and its end.
    """
    rows: dict[Key, Episode] = {}
    starts: dict[str, list[datetime]] = {}  # in order
    fires: dict[str, set[Key]] = {}
    folded = Folded()

    def put(episode: Episode) -> None:
        if episode.key not in rows:
            bisect.insort(starts.setdefault(episode.fingerprint, []), episode.starts_at)
        rows[episode.key] = episode
        change = set.add if episode.status is Status.FIRING else set.discard
        change(fires.setdefault(episode.fingerprint, set()), episode.key)

    def write(episode: Episode, what: What | None) -> None:
        put(episode)
        folded.episodes[episode.key] = episode
        if what is not None:
            folded.changes.append(Change(what, episode))

    for episode in known:
        put(episode)
    for alert in delivery.alerts:
        of_it = starts.get(alert.fingerprint, [])
        place = bisect.bisect_right(of_it, alert.starts_at)
        later = of_it[place] if place < len(of_it) else None
        row = rows.get((alert.fingerprint, alert.starts_at))
        if row is not None:
            write(*_repeated(row, alert, delivery.receiver, now, is_newest=later is None))
            continue
        episode = _new(alert, delivery.receiver, now)
        if alert.status is Status.FIRING and later is not None:  # told late: the alert has begun anew since then
            write(_closed(episode, later, ClosedBy.SUPERSEDED), None)
            continue
        write(episode, What(alert.status))
        for other in [rows[key] for key in fires[alert.fingerprint]]:
            if other.starts_at < alert.starts_at:
                write(_closed(other, alert.starts_at, ClosedBy.SUPERSEDED), What.RESOLVED)
    return folded


def fold_active(rows: Iterable[Episode], active: Mapping[str, Iterable[datetime]], *, polled_at: datetime) -> Folded:
    """Close what Alertmanager no longer has, and open again what it has. ``active``: fingerprint -> starts.

    What we were told of after the poll began stays as it is: the poll may not have seen it yet.
    """
    folded = Folded()
    for row in rows:
        is_active = any(abs(start - row.starts_at) <= SAME_MOMENT for start in active.get(row.fingerprint, ()))
        fires = row.status is Status.FIRING
        if is_active is fires or row.last_seen >= polled_at:
            continue
        row = _opened(row) if is_active else _closed(row, polled_at, ClosedBy.RECONCILED)
        folded.episodes[row.key] = row
        folded.changes.append(Change(What.FIRING if is_active else What.RESOLVED, row))
    return folded


def _repeated(
    row: Episode, alert: Alert, receiver: str, now: datetime, *, is_newest: bool
) -> tuple[Episode, What | None]:
    heard = replace(
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
            return _closed(heard, alert.ends_at, ClosedBy.RESOLVED), What.RESOLVED
        case Status.RESOLVED, Status.RESOLVED if row.closed_by is not ClosedBy.RESOLVED:
            # the true end, told after we had inferred one; not news, and its duration has been counted
            return replace(heard, ends_at=alert.ends_at, closed_by=ClosedBy.RESOLVED), None
        case Status.RESOLVED, Status.FIRING if row.fired_at is None:
            # the end overtook the start
            return replace(heard, fired_at=now), None
        case Status.RESOLVED, Status.FIRING if is_newest:
            # Alertmanager gave it up (no word from Prometheus for minutes) and now has it again
            return _opened(heard), What.FIRING
        case _:
            return heard, None


def _opened(episode: Episode) -> Episode:
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
