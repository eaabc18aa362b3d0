"""Decodes messages of the stream into events, and sets aside those that cannot be read."""

from collections.abc import Collection
from dataclasses import dataclass

from jelmon.errors import EventError
from jelmon.events import Event, parse, parse_all, parse_batch, split
from jelmon.nats.consumer_messages import Message, origin


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """An event that cannot be read, and its origin. ``index`` counts from 0 within a batch message."""

    payload: bytes
    error: EventError
    sequence: int
    index: int | None
    subject: str


def decode(messages: Collection[Message]) -> tuple[list[Event], list[UnreadableEvent]]:
    """Return the events of the messages in order, and what cannot be read."""
    unreadable: list[UnreadableEvent] = []
    try:
        return parse_all([payload for payload, _, _ in messages]), unreadable
    except EventError:
        return _decode_each(messages, unreadable), unreadable


def _decode_each(messages: Collection[Message], unreadable: list[UnreadableEvent]) -> list[Event]:
    """Decode messages one by one: some are batches or unreadable."""
    events: list[Event] = []
    for message in messages:
        payload = message[0]
        try:
            if payload.startswith(b"["):
                events += parse_batch(payload)
            else:
                events.append(parse(payload))
        except EventError:
            _decode_parts(message, events, unreadable)
    return events


def _decode_parts(message: Message, events: list[Event], unreadable: list[UnreadableEvent]) -> None:
    """Decode the readable parts of a message that cannot be decoded as a whole."""
    payload, subject, reply = message
    sequence = origin(reply).sequence

    def set_aside(part: bytes, error: EventError, index: int | None) -> None:
        unreadable.append(UnreadableEvent(part, error, sequence, index, subject.decode()))

    try:
        parts = split(payload)
    except EventError as error:
        set_aside(payload, error, None)
        return
    for index, part in enumerate(parts):
        try:
            events.append(parse(part))
        except EventError as error:
            set_aside(part, error, index if len(parts) > 1 else None)
