"""An episode: one row of the history, an alert from its start to its end. Its key is fingerprint and start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from jelmon_responder.alerts import Status

Key = tuple[str, datetime]

_EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier start is implausible, and so is the duration computed from it."""


class ClosedBy(StrEnum):
    """How the end of an episode became known."""

    RESOLVED = "resolved"  # Alertmanager reported it
    RECONCILED = "reconciled"  # Alertmanager no longer has it: it ended while silenced or inhibited
    SUPERSEDED = "superseded"  # the same alert started again later, so this one must have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One row of the alert history.

    ``fired_at`` is when the first firing notification arrived; None if only the end was received.
    """

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
        """True for a test alert: stored and shown, but excluded from statistics and actions."""
        return self.labels.get("drill") == "true"

    @property
    def duration_seconds(self) -> float | None:
        """How long it lasted; None while it is firing, and when its start or end is not reliable."""
        if self.ends_at is None or self.starts_at < _EARLIEST_START or self.closed_by is ClosedBy.SUPERSEDED:
            return None
        return max(0.0, (self.ends_at - self.starts_at).total_seconds())


class ChangeKind(StrEnum):
    """What happened to an episode."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an episode that is news; a repeated notification is not."""

    kind: ChangeKind
    episode: Episode
