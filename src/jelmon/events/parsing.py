"""Parse events, and explain why one is invalid. `parse`, `parse_all` and `parse_batch` are the hot path."""

import contextlib
import difflib
from collections.abc import Iterator
from functools import cache, lru_cache
from operator import attrgetter
from typing import TypeVar

import msgspec
from msgspec import inspect

from jelmon.errors import EventError, Rejection
from jelmon.events.encoding import encode, type_of
from jelmon.events.envelope import Data, Envelope
from jelmon.events.fields import CONTROL, EARLIEST
from jelmon.events.vocabulary import EVENT_TYPES, Event

MAX_EVENT_BYTES = 65_536
MAX_BATCH_EVENTS = 100

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_list_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])
_time = attrgetter("time")
_batch_decoder: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])

_E = TypeVar("_E", bound=Envelope)


def parse(payload: bytes) -> Event:
    """Parse one CloudEvents JSON object.

    Raises:
        EventError: too large, not JSON, of unknown type, or with an invalid field; ``reason`` says which.
    """
    if len(payload) > MAX_EVENT_BYTES:
        raise EventError(
            f"the event of {len(payload)} bytes exceeds {MAX_EVENT_BYTES} bytes",
            reason=Rejection.OVERSIZED,
            hint="store logs and artifacts elsewhere and send their URL",
        )
    try:
        event = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise _explained(payload, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(
            f"the event is not JSON: {error}", reason=Rejection.MALFORMED, hint="send one CloudEvents 1.0 JSON object"
        ) from error
    if event.time < EARLIEST:
        raise EventError(
            f"{type_of(event)}: {event.time.isoformat()} is before the year {EARLIEST.year} - at `$.time`",
            reason=Rejection.INVALID,
            hint="set time to when the event happened; a default date means that the producer did not set it",
        )
    if _may_hold_control(payload):
        _check_names(event)
    return event


def parse_all(payloads: list[bytes]) -> list[Event]:
    """Parse messages of one event each, all at once; fast, but without saying which message is invalid.

    Raises:
        EventError: some message is not a single valid event, or needs `parse` for a closer look.
    """
    if max(map(len, payloads), default=0) <= MAX_EVENT_BYTES and not _may_hold_control(b"".join(payloads)):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = list(map(_decoder.decode, payloads))
            if not events or min(map(_time, events)) >= EARLIEST:
                return events
    raise EventError("not every message is a single valid event", reason=Rejection.INVALID, hint="parse each of them")


def split(payload: bytes) -> list[bytes]:
    """Return the events of a message, unparsed: one for a JSON object, several for a JSON array (CloudEvents batch).

    Raises:
        EventError: the array is malformed, empty or longer than `MAX_BATCH_EVENTS`.
    """
    if payload[:64].lstrip()[:1] != b"[":
        return [payload]
    if len(payload) > MAX_EVENT_BYTES * MAX_BATCH_EVENTS:
        raise EventError(
            f"the batch of {len(payload)} bytes is too large", reason=Rejection.OVERSIZED, hint="send smaller batches"
        )
    try:
        parts = _batch_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(
            f"the batch is not JSON: {error}", reason=Rejection.MALFORMED, hint="send a JSON array of CloudEvents"
        ) from error
    if not 1 <= len(parts) <= MAX_BATCH_EVENTS:
        raise EventError(
            f"the batch has {len(parts)} events; 1 to {MAX_BATCH_EVENTS} are allowed",
            reason=Rejection.OVERSIZED if parts else Rejection.INVALID,
            hint="split it",
        )
    return [bytes(part) for part in parts]


def parse_batch(payload: bytes) -> list[Event]:
    """Parse a JSON array of events, all at once; fast, but without saying which event is invalid.

    Raises:
        EventError: not an array of valid events, or so large that one of them might be too large.
    """
    if len(payload) <= MAX_EVENT_BYTES:
        try:
            events = _list_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = []
        if _may_hold_control(payload):
            for event in events:
                _check_names(event)
        if 1 <= len(events) <= MAX_BATCH_EVENTS and min(map(_time, events)) >= EARLIEST:
            return events
    raise EventError("the batch is not an array of valid events", reason=Rejection.INVALID, hint="split it")


def _may_hold_control(payload: bytes) -> bool:
    """Return whether a text may contain a control character: it has an escape, or a byte that starts one."""
    return 0x5C in payload or 0x7F in payload or 0xC2 in payload or 0xE2 in payload


def _check_names(event: Event) -> None:
    """Reject control characters in names that may become label values: they garble pages and logs."""
    for path, name in _names(event.data, _name_fields(type(event.data)), "$.data"):
        character = _control_in(name)
        if character:
            raise EventError(
                f"{type_of(event)}: Control character {character!r} - at `{path}`",
                reason=Rejection.INVALID,
                hint="names become labels: remove line breaks, tabs, NUL and other control characters",
            )


@lru_cache(maxsize=10_000)
def _control_in(name: str) -> str:
    """Return the first control character, or an empty string."""
    match = CONTROL.search(name)
    return match[0] if match else ""


_NameFields = dict[str, "_NameFields | None"]
"""Field -> None if it holds a name, or the name fields of the structs that it holds."""


def _names(data: Data, fields: _NameFields, path: str) -> Iterator[tuple[str, str]]:
    for field, inner in fields.items():
        value = getattr(data, field)
        if inner is not None:
            for index, part in enumerate(value):
                yield from _names(part, inner, f"{path}.{field}[{index}]")
        elif value is not None:
            yield f"{path}.{field}", value


@cache
def _name_fields(kind: type[Data]) -> _NameFields:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    fields: _NameFields = {}
    for field in described.fields:
        for choice in field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,):
            match choice:
                case inspect.Metadata(extra_json_schema={"not": _}):
                    fields[field.name] = None
                case inspect.Metadata(type=inspect.VarTupleType(item_type=inspect.StructType(cls=part))):
                    fields[field.name] = _name_fields(part)
    return fields


class _TypeOnly(msgspec.Struct):
    type: str = ""


def _explained(payload: bytes, error: msgspec.ValidationError) -> EventError:
    """Convert msgspec's error into ours. This is off the hot path, so the payload may be decoded again."""
    try:
        kind = msgspec.json.decode(payload, type=_TypeOnly).type
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
    ):  # the part after the fault has not been decoded yet
        return EventError(
            f"not a CloudEvent: {error}", reason=Rejection.INVALID, hint="send one CloudEvents 1.0 JSON object"
        )
    if kind in EVENT_TYPES:
        return EventError(
            f"{kind}: {error}", reason=Rejection.INVALID, hint="see docs/events.md for the fields of this type"
        )
    near = difflib.get_close_matches(kind[:128], EVENT_TYPES, n=1)
    return EventError(
        f"unknown event type {kind[:128]!r}",
        reason=Rejection.UNKNOWN_TYPE,
        hint=f"did you mean {near[0]!r}?" if near else "the types are listed in docs/events.md",
    )


def validated(event: _E) -> _E:
    """Return the same event if `parse` accepts it.

    Raises:
        EventError: a consumer would reject it.
    """
    parse(encode(event))
    return event
