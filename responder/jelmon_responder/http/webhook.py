"""Alertmanager's webhook (version 4): the only module that knows the field names of its payload."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jelmon.errors import JelmonError
from jelmon_responder.alerts import MAX_CLOCK_SKEW, Alert, Delivery, Status, to_utc, without_nul

MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
MAX_ALERTS = 20_000
MAX_LABELS = 256

_UNSET_YEAR = 1
"""Go's zero time, 0001-01-01, means *not set*."""


class WebhookError(JelmonError):
    """The request is not an Alertmanager webhook; the client gets the message with status 400."""


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


def too_large(detail: str) -> WebhookError:
    """Return the error for a payload above the limit; ``detail`` is its message."""
    return WebhookError(detail, hint="set max_alerts in Alertmanager's webhook_config")


def parse(payload: bytes, *, now: datetime) -> Delivery:
    """Parse one webhook call. ``now`` is the end of an alert that is resolved without an end, or with a future one.

    Raises:
        WebhookError: too large, not JSON, another version, or an invalid field; the message says which.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise too_large(f"the webhook payload of {len(payload)} bytes exceeds {MAX_PAYLOAD_BYTES} bytes")
    try:
        wire = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise WebhookError(
            f"not an Alertmanager webhook: {error}", hint='expected the JSON of webhook version "4"'
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookError(f"not JSON: {error}", hint="expected the JSON of Alertmanager's webhook") from error
    return Delivery(
        receiver=without_nul(wire.receiver),
        alerts=tuple(_alert(alert, now) for alert in wire.alerts),
        truncated=max(0, wire.truncated_alerts),
    )


def _alert(wire: _WireAlert, now: datetime) -> Alert:
    ends_at = None
    if wire.status is Status.RESOLVED:
        is_set = wire.ends_at is not None and wire.ends_at.year > _UNSET_YEAR
        ends_at = to_utc(wire.ends_at) if wire.ends_at is not None and is_set else now
        if ends_at > now + MAX_CLOCK_SKEW:  # it is resolved because its end has passed
            ends_at = now
    return Alert(
        fingerprint=without_nul(wire.fingerprint),
        starts_at=to_utc(wire.starts_at),
        status=wire.status,
        ends_at=ends_at,
        labels=_sorted(wire.labels),
        annotations=_sorted(wire.annotations),
    )


def _sorted(labels: Mapping[str, str]) -> dict[str, str]:
    return {without_nul(name): without_nul(value) for name, value in sorted(labels.items())}
