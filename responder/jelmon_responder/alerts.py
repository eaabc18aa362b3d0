"""Alerts as Alertmanager reports them, normalized: times in UTC and in milliseconds, text without NUL characters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from jelmon.catalogue import ALERT_SEVERITIES

MAX_CLOCK_SKEW = timedelta(hours=1)
"""A start or end that lies further ahead is the fault of some clock."""

ActiveAlerts = dict[str, list[datetime]]
"""Alerts that are active in Alertmanager: fingerprint -> start times."""


class Status(StrEnum):
    """Whether an alert is firing."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a webhook call. ``ends_at`` is set if and only if it is resolved."""

    fingerprint: str
    starts_at: datetime
    status: Status = Status.FIRING
    ends_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook call. ``truncated`` is the number of alerts that Alertmanager left out (its ``max_alerts``)."""

    receiver: str
    alerts: tuple[Alert, ...]
    truncated: int = 0


def known_severity(severity: str) -> str:
    """Return the severity if the catalogue has it, else ``none``: a label value from a closed set."""
    return severity if severity in ALERT_SEVERITIES else "none"


def to_utc(moment: datetime) -> datetime:
    """Return the moment in UTC, truncated to milliseconds: Alertmanager's API truncates, its webhook does not.

    A time without a zone is taken as UTC; one that leaves the calendar when shifted keeps its digits.
    """
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """Return the time as RFC 3339 text in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_nul(text: str) -> str:
    """Replace NUL characters, which PostgreSQL cannot store, by U+FFFD."""
    return text.replace("\x00", "\ufffd")
