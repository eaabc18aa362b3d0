"""What Alertmanager posts to us (webhook version 4), and the only place that knows its field names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jelmon.errors import JelmonError

MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
MAX_ALERTS = 20_000
MAX_LABELS = 256

_UNSET_YEAR = 1
"""Go's zero time, 0001-01-01, stands for *not set*."""


class WebhookError(JelmonError):
    """A call that is not an Alertmanager webhook; the caller gets the message with status 400."""


class Status(StrEnum):
    """Whether an alert fires."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as Alertmanager tells it. ``ends_at`` is set exactly when it is resolved."""

    fingerprint: str
    starts_at: datetime
    status: Status = Status.FIRING
    ends_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook call. ``truncated`` alerts were left out by Alertmanager (its ``max_alerts``)."""

    receiver: str
    alerts: tuple[Alert, ...]
    truncated: int = 0


_Labels = Annotated[dict[Annotated[str, Meta(max_length=1024)], str], Meta(max_length=MAX_LABELS)]


class _WireAlert(msgspec.Struct, rename="camel"):
    status: Status
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64)]
    starts_at: datetime
    ends_at: datetime | None = None
    labels: _Labels = {}
    annotations: _Labels = {}


class _WirePayload(msgspec.Struct, rename="camel"):
    version: Literal["4"]
    alerts: Annotated[list[_WireAlert], Meta(max_length=MAX_ALERTS)]
    receiver: str = ""
    truncated_alerts: int = 0


_decoder: msgspec.json.Decoder[_WirePayload] = msgspec.json.Decoder(_WirePayload)


def parse(payload: bytes, *, now: datetime) -> Delivery:
    """Read one webhook call. ``now`` ends an alert that is resolved but does not say since when.

    Raises:
        WebhookError: too large, not JSON, another version, or a wrong field; the message says which.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WebhookError(
            f"webhook of {len(payload)} bytes is larger than {MAX_PAYLOAD_BYTES}",
            hint="set max_alerts in the webhook_config of Alertmanager",
        )
    try:
        wire = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise WebhookError(
            f"not an Alertmanager webhook: {error}", hint='expected is the JSON of webhook version "4"'
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookError(f"not JSON: {error}", hint="expected is the JSON of Alertmanager's webhook") from error
    return Delivery(
        receiver=clean(wire.receiver),
        alerts=tuple(_alert(alert, now) for alert in wire.alerts),
        truncated=max(0, wire.truncated_alerts),
    )


def _alert(wire: _WireAlert, now: datetime) -> Alert:
    ends_at = None
    if wire.status is Status.RESOLVED:
        is_set = wire.ends_at is not None and wire.ends_at.year > _UNSET_YEAR
        ends_at = in_utc(wire.ends_at) if wire.ends_at is not None and is_set else now
    return Alert(
        fingerprint=clean(wire.fingerprint),
        starts_at=in_utc(wire.starts_at),
        status=wire.status,
        ends_at=ends_at,
        labels=_cleaned(wire.labels),
        annotations=_cleaned(wire.annotations),
    )


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC and cut to milliseconds, as Alertmanager's API cuts it and its webhook does not.

    One without a zone is taken as UTC, one outside the calendar as its edge.
    """
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def clean(text: str) -> str:
    """The text without NUL characters, which PostgreSQL cannot keep; each becomes U+FFFD."""
    return text.replace("\x00", "\ufffd")


def _cleaned(labels: Mapping[str, str]) -> dict[str, str]:
    return {clean(name): clean(value) for name, value in sorted(labels.items())}
