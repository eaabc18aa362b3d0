"""Decodes messages of the stream into events, and sets aside those that cannot be read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from jelmon.errors import EventError
from jelmon.events import Event, parse, parse_all, parse_batch, split
from jelmon.nats.consumer_messages import Message, origin


@dataclass(frozen=True, slots=True)
class Part:
    """One event as it arrived, and its origin. ``index`` counts from 0 within a batch message."""

    payload: bytes
    sequence: int
    index: int | None
    subject: str


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that cannot be read or counted, and why."""

    part: Part
    error: EventError


def decode(messages: Collection[Message]) -> tuple[list[Event], list[ParkedEvent]]:
    """Return the events of the messages in order, and what cannot be read."""
    unreadable: list[ParkedEvent] = []
    try:
        return parse_all([payload for payload, _, _ in messages]), unreadable
    except EventError:
        return _decode_each(messages, unreadable), unreadable


def _decode_each(messages: Collection[Message], unreadable: list[ParkedEvent]) -> list[Event]:
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
            for part, read in decode_parts(message):
                if isinstance(read, EventError):
                    unreadable.append(ParkedEvent(part, read))
                else:
                    events.append(read)
    return events


def decode_parts(message: Message) -> Iterator[tuple[Part, Event | EventError]]:
    """Yield each event of a message, decoded or with the reason why it cannot be."""
    payload, subject, reply = message
    sequence = origin(reply).sequence
    try:
        parts = split(payload)
    except EventError as error:
        yield Part(payload, sequence, None, subject.decode()), error
        return
    for index, part in enumerate(parts):
        arrived = Part(part, sequence, index if len(parts) > 1 else None, subject.decode())
        try:
            yield arrived, parse(part)
        except EventError as error:
            yield arrived, error
