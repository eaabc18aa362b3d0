"""Create and encode events."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from jelmon.events.envelope import Data, Envelope

_encoder = msgspec.json.Encoder()

_E = TypeVar("_E", bound=Envelope)


def type_of(event: Envelope) -> str:
    """Return the event's ``type``, for example ``jelmore.stage.finished``."""
    return str(event.__struct_config__.tag)


def make(
    kind: type[_E],
    data: Data,
    *,
    source: str,
    subject: str | None = None,
    time: datetime | None = None,
    id: str | None = None,  # noqa: A002 (the attribute's name in CloudEvents)
    traceparent: str | None = None,
) -> _E:
    """Build an event of the given kind. ``time`` is now and ``id`` is random (UUID 4) unless given.

    The values are not checked, so that `parse` may reject the encoded event; `validated` checks them.
    """
    attributes: dict[str, Any] = {} if subject is None else {"subject": subject}
    return kind(
        specversion="1.0",
        id=id or str(uuid.uuid4()),
        source=source,
        time=time or datetime.now(UTC),
        traceparent=traceparent,
        data=data,  # type: ignore[call-arg] # every concrete kind has one; the base class does not declare it
        **attributes,
    )


def identity(event: Envelope) -> str:
    """Return what identifies an event, also as message id: CloudEvents are the same if source and id are."""
    return f"{event.source} {event.id}"


def encode(event: Envelope) -> bytes:
    """Return the event as CloudEvents JSON (structured mode)."""
    return _encoder.encode(event)


def encode_batch(events: Iterable[Envelope]) -> bytes:
    """Return the events as a CloudEvents JSON batch."""
    return _encoder.encode(list(events))
