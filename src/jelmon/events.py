"""What Jelmore tells us: the event vocabulary, as frozen structs, and the only place that knows names on the wire.

Every event is a CloudEvents 1.0 JSON object. ``type`` is ``jelmore.<noun>.<verb>``, ``subject`` is the id of the thing
the event is about (the card's, for cards and stages), ``time`` is when it happened by the producer's clock. The same
``id`` means the same event, however often it arrives. Attributes and data fields we do not know are ignored, so that
a newer producer can talk to an older consumer.
"""

import contextlib
import difflib
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, inspect

from jelmon.errors import EventError, Rejection

MAX_EVENT_BYTES = 65_536
MAX_BATCH_EVENTS = 100

# --- field types: the limits stand here once, for the decoder, the JSON Schema and the documents ---

Id = Annotated[str, Meta(min_length=1, max_length=256)]
CONTROL = re.compile("[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]")
Name = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"not": {"pattern": CONTROL.pattern}})]
"""A name that may become a label value. Control characters are looked for by `parse`: a pattern for the decoder costs
each event as much as all other decoding, and a look at the payload as a whole is enough for almost all."""
Reason = Annotated[str, Meta(max_length=128)]
Time = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Attempt = Annotated[int, Meta(ge=1, le=1_000_000)]


class Outcome(StrEnum):
    """How a piece of work ended. ``failure``: the work failed; ``error``: the system failed (OpenTelemetry CI/CD)."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """What a quality gate said."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"


class TestOutcome(StrEnum):
    """How a test ended."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """How bad a security finding is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


# --- data: what is particular to each type ---


class Data(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Base of the ``data`` member."""


class CardData(Data, frozen=True, kw_only=True):
    pipeline: Annotated[Name, Meta(description="the pipeline that the card runs through")]


class CardFinishedData(CardData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the card ended")]
    reason: Annotated[Reason, Meta(description="why, in a few words; never a label")] = ""


class StageData(CardData, frozen=True, kw_only=True):
    stage: Annotated[Name, Meta(description="the stage")]
    attempt: Annotated[Attempt, Meta(description="1 for the first try of this card in this stage")] = 1


class StageStartedData(StageData, frozen=True, kw_only=True):
    worker: Annotated[Name, Meta(description="who serves the card; never a label")] | None = None


class StageFinishedData(StageStartedData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how this attempt ended")]
    next_stage: Annotated[Name, Meta(description="where the card goes next")] | None = None
    held_up: Annotated[bool, Meta(description="the next stage has no room, so the card still occupies this one")] = (
        False
    )
    last: Annotated[bool, Meta(description="this was the card's last step")] = False
    reason: Annotated[Reason, Meta(description="why, in a few words; never a label")] = ""


class StageRetriedData(StageData, frozen=True, kw_only=True):
    """``attempt`` is the attempt that follows, so 2 or more."""

    reason: Annotated[Reason, Meta(description="why, in a few words; never a label")] = ""


class GateEvaluatedData(CardData, frozen=True, kw_only=True):
    gate: Annotated[Name, Meta(description="the quality gate")]
    verdict: Annotated[Verdict, Meta(description="what the gate said")]
    stage: Annotated[Name, Meta(description="the stage the gate belongs to")] | None = None


class TestFinishedData(CardData, frozen=True, kw_only=True):
    __test__ = False

    category: Annotated[Name, Meta(description="unit, integration, e2e, performance, ...")]
    outcome: Annotated[TestOutcome, Meta(description="how the test ended")]
    duration_seconds: Annotated[Seconds, Meta(description="how long it ran, in seconds")] | None = None
    failure_reason: (
        Annotated[Name, Meta(description="class of failure: assertion, timeout, flaky, ...; a label")] | None
    ) = None
    name: Annotated[str, Meta(max_length=1024, description="the test's own name; never a label")] = ""


class ScanFinishedData(CardData, frozen=True, kw_only=True):
    scanner: Annotated[Name, Meta(description="the tool: sast, dependencies, secrets, ...")]
    outcome: Annotated[Outcome, Meta(description="how the scan itself ended")]
    findings: Annotated[dict[Severity, Count], Meta(description="new findings of this scan, by severity")] = {}
    duration_seconds: Annotated[Seconds, Meta(description="how long it ran, in seconds")] | None = None


class SessionData(Data, frozen=True, kw_only=True):
    kind: Annotated[Name, Meta(description="what sort of session: interactive, agent, batch, ...")] = "default"
    pipeline: Annotated[Name, Meta(description="the pipeline it works for")] | None = None


class SessionFinishedData(SessionData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the session ended")]


class CallFinishedData(Data, frozen=True, kw_only=True):
    target: Annotated[Name, Meta(description="the service that was called")]
    outcome: Annotated[Outcome, Meta(description="how the call ended")]
    duration_seconds: Annotated[Seconds, Meta(description="how long it took, in seconds")]
    error: Annotated[Name, Meta(description="class of error: connect, timeout, http_5xx, ...; a label")] | None = None


class ActionData(Data, frozen=True, kw_only=True):
    action: Annotated[Name, Meta(description="scale_up, enable_throttling, restart_pipeline, check_dependencies, ...")]
    pipeline: Annotated[Name, Meta(description="the pipeline it is for")] | None = None
    stage: Annotated[Name, Meta(description="the stage it is for")] | None = None


class ActionRequestedData(ActionData, frozen=True, kw_only=True):
    requested_by: Annotated[Name, Meta(description="the alert or person that asked")]


class ActionFinishedData(ActionData, frozen=True, kw_only=True):
    outcome: Annotated[Outcome, Meta(description="how the action ended")]
    reason: Annotated[Reason, Meta(description="why, in a few words; never a label")] = ""


class WorkRecordedData(Data, frozen=True, kw_only=True):
    tool: Annotated[Name, Meta(description="the tool whose hook reports: an editor, a coding agent, a build tool")]
    kind: Annotated[Name, Meta(description="what was done: edit, command, task, ...")]
    outcome: Annotated[Outcome, Meta(description="how it ended")] = Outcome.SUCCESS
    duration_seconds: Annotated[Seconds, Meta(description="how long it took, in seconds")] | None = None
    pipeline: Annotated[Name, Meta(description="the pipeline it is for")] | None = None


class StageDeclaration(Data, frozen=True, kw_only=True):
    """One stage of a declared pipeline."""

    stage: Annotated[Name, Meta(description="the stage")]
    workers: Annotated[int, Meta(ge=1, le=1_000_000, description="how many cards it can serve at once")] | None = None
    queue_capacity: Annotated[Count, Meta(description="how many cards may wait for it")] | None = None
    time_limit_seconds: (
        Annotated[Seconds, Meta(description="a run longer than this is a timeout, in seconds")] | None
    ) = None


class PipelineDeclaredData(CardData, frozen=True, kw_only=True):
    stages: Annotated[tuple[StageDeclaration, ...], Meta(max_length=1000, description="in the order cards pass them")]
    stall_limit_seconds: (
        Annotated[Seconds, Meta(description="work in hand and no activity for longer than this is a stall, in seconds")]
        | None
    ) = None
    card_target_seconds: (
        Annotated[Seconds, Meta(description="how long a card should take from start to finish, in seconds")] | None
    ) = None


# --- events: the envelope, and one class for each type ---


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="type"):
    """The CloudEvents attributes. ``specversion`` has no default, so that an event without one is refused."""

    specversion: Literal["1.0"]
    id: Annotated[Id, Meta(description="unique for source and event; the same id is the same event")]
    source: Annotated[Id, Meta(description="who tells it, a URI reference such as /ci/runner-7")]
    time: Annotated[Time, Meta(description="when it happened, RFC 3339 with a zone")]
    traceparent: Annotated[str, Meta(max_length=64, description="W3C trace context")] | None = None


class _About(Envelope, frozen=True, kw_only=True):
    """An envelope whose ``subject`` must be there."""

    subject: Annotated[Id, Meta(description="the id of the card, session or action")]


class CardQueued(_About, tag="jelmore.card.queued", frozen=True, kw_only=True):
    """A card arrived and waits for its first stage."""

    data: CardData


class CardStarted(_About, tag="jelmore.card.started", frozen=True, kw_only=True):
    """The first work on a card began."""

    data: CardData


class CardFinished(_About, tag="jelmore.card.finished", frozen=True, kw_only=True):
    """A card left the pipeline."""

    data: CardFinishedData


class StageQueued(_About, tag="jelmore.stage.queued", frozen=True, kw_only=True):
    """A card began to wait for a stage."""

    data: StageData


class StageStarted(_About, tag="jelmore.stage.started", frozen=True, kw_only=True):
    """A worker took the card."""

    data: StageStartedData


class StageFinished(_About, tag="jelmore.stage.finished", frozen=True, kw_only=True):
    """An attempt of a stage ended."""

    data: StageFinishedData


class StageRetried(_About, tag="jelmore.stage.retried", frozen=True, kw_only=True):
    """Another attempt was decided on."""

    data: StageRetriedData


class GateEvaluated(_About, tag="jelmore.gate.evaluated", frozen=True, kw_only=True):
    """A quality gate gave its verdict on a card."""

    data: GateEvaluatedData


class TestFinished(_About, tag="jelmore.test.finished", frozen=True, kw_only=True):
    """A test of a card ended."""

    __test__ = False

    data: TestFinishedData


class ScanFinished(_About, tag="jelmore.scan.finished", frozen=True, kw_only=True):
    """A security scan of a card ended."""

    data: ScanFinishedData


class SessionStarted(_About, tag="jelmore.session.started", frozen=True, kw_only=True):
    """A session began; ``subject`` is the session id."""

    data: SessionData


class SessionFinished(_About, tag="jelmore.session.finished", frozen=True, kw_only=True):
    """A session ended."""

    data: SessionFinishedData


class CallFinished(Envelope, tag="jelmore.call.finished", frozen=True, kw_only=True):
    """A call to a service ended."""

    subject: Id | None = None
    data: CallFinishedData


class ActionRequested(_About, tag="jelmore.action.requested", frozen=True, kw_only=True):
    """Something automatic was asked for; ``subject`` is the action's own id."""

    data: ActionRequestedData


class ActionFinished(_About, tag="jelmore.action.finished", frozen=True, kw_only=True):
    """Something automatic was done, or could not be."""

    data: ActionFinishedData


class WorkRecorded(Envelope, tag="jelmore.work.recorded", frozen=True, kw_only=True):
    """A hook of an outside tool reports work done."""

    subject: Id | None = None
    data: WorkRecordedData


class PipelineDeclared(Envelope, tag="jelmore.pipeline.declared", frozen=True, kw_only=True):
    """A pipeline says what it is made of. The newest declaration (by ``time``) counts."""

    subject: Id | None = None
    data: PipelineDeclaredData


Event = (
    CardQueued
    | CardStarted
    | CardFinished
    | StageQueued
    | StageStarted
    | StageFinished
    | StageRetried
    | GateEvaluated
    | TestFinished
    | ScanFinished
    | SessionStarted
    | SessionFinished
    | CallFinished
    | ActionRequested
    | ActionFinished
    | WorkRecorded
    | PipelineDeclared
)

EVENT_TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}
"""``type`` on the wire -> class."""

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_list_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])
_batch_decoder: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()

E = TypeVar("E", bound=Envelope)


def type_of(event: Envelope) -> str:
    """The event's ``type``, for example ``jelmore.stage.finished``."""
    return str(event.__struct_config__.tag)


def make(
    kind: type[E],
    data: Data,
    *,
    source: str,
    subject: str | None = None,
    time: datetime | None = None,
    id: str | None = None,  # noqa: A002 (the attribute's name in CloudEvents)
    traceparent: str | None = None,
) -> E:
    """Build an event of the given kind. ``time`` is now and ``id`` is random (UUID 4) unless given.

    Structs do not check what they are given; `encode` after `make` writes what `parse` may refuse. `validated` checks.
    """
    attributes: dict[str, Any] = {} if subject is None else {"subject": subject}
    return kind(
        specversion="1.0",
        id=id or str(uuid.uuid4()),
        source=source,
        time=time or datetime.now(UTC),
        traceparent=traceparent,
        data=data,  # type: ignore[call-arg] # every concrete kind has one; the base cannot say which
        **attributes,
    )


def validated(event: E) -> E:
    """The same event, after the checks that `parse` makes.

    Raises:
        EventError: a consumer would refuse it.
    """
    parse(encode(event))
    return event


def encode(event: Envelope) -> bytes:
    """The event as CloudEvents JSON (structured mode)."""
    return _encoder.encode(event)


def encode_batch(events: Iterable[Envelope]) -> bytes:
    """Events as a CloudEvents JSON batch."""
    return _encoder.encode(list(events))


def parse(payload: bytes) -> Event:
    """Read one CloudEvents JSON object.

    Raises:
        EventError: too large, not JSON, of unknown type, or with a wrong field; ``reason`` says which.
    """
    if len(payload) > MAX_EVENT_BYTES:
        raise EventError(
            f"event of {len(payload)} bytes is larger than {MAX_EVENT_BYTES}",
            reason=Rejection.OVERSIZED,
            hint="events tell what happened; put logs and artefacts elsewhere and send their address",
        )
    try:
        event = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise _explained(payload, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(
            f"event is not JSON: {error}", reason=Rejection.MALFORMED, hint="send one CloudEvents 1.0 JSON object"
        ) from error
    if _may_hold_control(payload):
        _check_names(event)
    return event


def parse_all(payloads: list[bytes]) -> list[Event]:
    """Read messages of one event each that are all good, in one go; `parse` says what is wrong with a bad one.

    Raises:
        EventError: there is another kind of message among them, or one that needs a second look.
    """
    if max(map(len, payloads), default=0) <= MAX_EVENT_BYTES and not _may_hold_control(b"".join(payloads)):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return list(map(_decoder.decode, payloads))
    raise EventError("messages are not good as a whole", reason=Rejection.INVALID, hint="parse each")


def split(payload: bytes) -> list[bytes]:
    """The events of a message: one for a JSON object, several for a JSON array (CloudEvents batch), unparsed.

    Raises:
        EventError: an array that is broken, empty or of more than `MAX_BATCH_EVENTS`.
    """
    if payload[:64].lstrip()[:1] != b"[":
        return [payload]
    if len(payload) > MAX_EVENT_BYTES * MAX_BATCH_EVENTS:
        raise EventError(
            f"batch of {len(payload)} bytes is too large", reason=Rejection.OVERSIZED, hint="send smaller batches"
        )
    try:
        parts = _batch_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(
            f"batch is not JSON: {error}", reason=Rejection.MALFORMED, hint="send a JSON array of CloudEvents"
        ) from error
    if not 1 <= len(parts) <= MAX_BATCH_EVENTS:
        raise EventError(
            f"batch of {len(parts)} events, allowed are 1 to {MAX_BATCH_EVENTS}",
            reason=Rejection.OVERSIZED if parts else Rejection.INVALID,
            hint="split it",
        )
    return [bytes(part) for part in parts]


def parse_batch(payload: bytes) -> list[Event]:
    """Read a JSON array of events that are all good, in one go; `split` and `parse` say what is wrong with a bad one.

    Raises:
        EventError: not such an array, or too large to be sure that each event is not.
    """
    if len(payload) <= MAX_EVENT_BYTES:
        try:
            events = _list_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = []
        if _may_hold_control(payload):
            for event in events:
                _check_names(event)
        if 1 <= len(events) <= MAX_BATCH_EVENTS:
            return events
    raise EventError("batch is not good as a whole", reason=Rejection.INVALID, hint="split it")


def _may_hold_control(payload: bytes) -> bool:
    """Whether a text in the JSON may have a control character: something is escaped, or a byte begins one."""
    return 0x5C in payload or 0x7F in payload or 0xC2 in payload or 0xE2 in payload


def _check_names(event: Event) -> None:
    """Refuse control characters in what may become a label value: they garble pages, logs and what reads them."""
    for path, name in _names(event.data, _name_fields(type(event.data)), "$.data"):
        found = _control_in(name)
        if found:
            raise EventError(
                f"{type_of(event)}: Control character {found!r} - at `{path}`",
                reason=Rejection.INVALID,
                hint="names become labels: leave out line ends, tabs, NUL and the like",
            )


@lru_cache(maxsize=10_000)
def _control_in(name: str) -> str:
    """The first control character; empty if there is none."""
    found = CONTROL.search(name)
    return found[0] if found else ""


_NameFields = dict[str, "_NameFields | None"]
"""Fields that hold a name (None), and fields that hold structs with such fields."""


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
    found: _NameFields = {}
    for field in described.fields:
        for choice in field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,):
            match choice:
                case inspect.Metadata(extra_json_schema={"not": _}):
                    found[field.name] = None
                case inspect.Metadata(type=inspect.VarTupleType(item_type=inspect.StructType(cls=part))):
                    found[field.name] = _name_fields(part)
    return found


class _TypeOnly(msgspec.Struct):
    type: str = ""


def _explained(payload: bytes, error: msgspec.ValidationError) -> EventError:
    """Turn msgspec's message into ours; off the hot path, so a second look at the payload is fine."""
    try:
        kind = msgspec.json.decode(payload, type=_TypeOnly).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # what comes after the fault was not read yet
        return EventError(
            f"event is not a CloudEvent: {error}", reason=Rejection.INVALID, hint="send one CloudEvents 1.0 JSON object"
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


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one event, as `parse` accepts it; plus ``$defs`` for every part."""
    return msgspec.json.schema(Event)
