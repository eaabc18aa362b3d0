"""The stored state of a partition: series, cards and sessions, declarations, recent ids, and the position."""

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from jelmon.events import PipelineDeclaredData
from jelmon_exporter.series.cells import Exemplar, Key, Value
from jelmon_exporter.state.lifecycle import Lifecycle

RunKey = str | tuple[str, int]
"""A run of a card: the stage for a first attempt, as nearly all are; else stage and attempt."""


def stage_of(key: RunKey) -> str:
    """Return the stage of a run."""
    return key if isinstance(key, str) else key[0]


def attempt_of(key: RunKey) -> int:
    """Return the attempt of a run."""
    return 1 if isinstance(key, str) else key[1]


class Card(Lifecycle, gc=False, array_like=True, tag="card"):
    """A card in flight, or finished recently, for late events."""

    pipeline: str = ""
    id: str = ""
    touched: float = 0.0  # when the newest of its events arrived, seconds
    runs: dict[RunKey, Lifecycle] = msgspec.field(default_factory=dict)
    held: dict[str, str] | None = None  # stage -> the next one, which is blocked
    left: str = ""  # the stage that it left for an unknown next one
    retried: list[tuple[str, int]] | None = None  # stage and attempt of the retries that are counted


class Session(Lifecycle, gc=False, array_like=True, tag="session"):
    """A session that is open, or finished recently."""

    kind: str = ""
    id: str = ""
    touched: float = 0.0


class Declaration(msgspec.Struct, frozen=True, array_like=True, tag="declaration"):
    """The latest declaration of a pipeline, and its time in seconds."""

    time: float
    data: PipelineDeclaredData


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Card | Session | Declaration] = msgspec.msgpack.Decoder(Card | Session | Declaration)


def encode_entry(entry: Card | Session | Declaration) -> bytes:
    """Encode an entry for storage."""
    return _encoder.encode(entry)


def decode_entry(stored: bytes) -> Card | Session | Declaration:
    """Decode a stored entry."""
    return _decoder.decode(stored)


ENTRY_FAULTS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What `read_entry` raises; a UnicodeDecodeError is a ValueError."""


def read_entry(key: str, stored: bytes) -> Card | Session:
    """Decode the card or session that is stored under a key.

    Raises:
        `ENTRY_FAULTS`: it is something else.
    """
    entry = decode_entry(stored)
    if not isinstance(entry, Card | Session) or entry_key(entry) != key:
        raise ValueError("it is not what its name says")
    moments = [moment for life in _lives(entry) for moment in (life.queued, life.started, life.finished)]
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise ValueError("a time has no time zone")
    return entry


def _lives(entry: Card | Session) -> list[Lifecycle]:
    return [entry, *entry.runs.values()] if isinstance(entry, Card) else [entry]


def card_key(pipeline: str, card: str) -> str:
    """Return the key of a stored card. It begins with a length, as both parts may contain any character."""
    return f"c{len(pipeline)}:{pipeline}:{card}"


def session_key(session: str) -> str:
    """Return the key of a stored session."""
    return f"s{session}"


def entry_key(entry: Card | Session) -> str:
    """Return the key of a stored card or session."""
    return card_key(entry.pipeline, entry.id) if isinstance(entry, Card) else session_key(entry.id)


@dataclass(slots=True)
class Changes:
    """The changes of one batch of events, as absolute values: writing them twice does no harm."""

    series: dict[Key, Value] = field(default_factory=dict)  # None: absent
    entries: dict[str, bytes | None] = field(default_factory=dict)  # None: removed
    declared: dict[str, Declaration] = field(default_factory=dict)  # by pipeline
    ids: list[str] = field(default_factory=list)  # of events seen in this batch, each with its source
    exemplars: dict[Key, dict[int, Exemplar]] = field(default_factory=dict)  # exposed by the owner, not stored
    expired_batches: int = 0  # how many batches of ids, from the oldest, left the deduplication window

    def __bool__(self) -> bool:
        return bool(self.series or self.entries or self.declared or self.ids or self.expired_batches)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is counted. ``stream`` is the creation time of the stream, which identifies it."""

    version: int = 0  # number of commits
    sequence: int = 0  # stream sequence of the last message counted
    stream: str = ""
    time: float = 0.0  # when that message arrived in the stream, seconds


class Unreadable(NamedTuple):
    """Something stored that cannot be used, and why."""

    part: str  # ``series``, ``entries``, ``declared`` or ``ids``
    field: bytes
    value: bytes
    reason: str


class Lost(NamedTuple):
    """A partition whose parts no longer belong together: everything of it is counted again from the stream."""

    part: str
    reason: str  # a label value of ``jelmore_exporter_state_resets_total``
    detail: str


@dataclass(slots=True)
class Snapshot:
    """Everything that is stored of a partition, except for what cannot be used."""

    position: Position = field(default_factory=Position)
    series: dict[Key, Value] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)
    declared: dict[str, Declaration] = field(default_factory=dict)
    ids: list[tuple[float, list[str]]] = field(default_factory=list)  # oldest first, with the time of each batch
    unreadable: list[Unreadable] = field(default_factory=list)
    lost: Lost | None = None
