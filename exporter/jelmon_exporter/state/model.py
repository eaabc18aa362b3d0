"""What a partition's owner keeps besides series: cards and sessions in flight, declarations, ids seen lately."""

from collections import deque
from dataclasses import dataclass, field

import msgspec

from jelmon.events import PipelineDeclaredData
from jelmon_exporter.series.cells import Exemplar, Key, Value
from jelmon_exporter.state.lifecycle import Life

RunKey = str | tuple[str, int]
"""A run of a card: its stage if it is the first attempt, which nearly all are; else stage and attempt."""


def stage_of(key: RunKey) -> str:
    """The stage of a run."""
    return key if isinstance(key, str) else key[0]


def attempt_of(key: RunKey) -> int:
    """The attempt of a run."""
    return 1 if isinstance(key, str) else key[1]


class Card(Life, gc=False, array_like=True, tag="card"):
    """A card in flight, or finished a short while ago so that late events still find it."""

    pipeline: str = ""
    id: str = ""
    touched: float = 0.0  # when the newest of its events arrived, seconds
    runs: dict[RunKey, Life] = msgspec.field(default_factory=dict)
    held: dict[str, str] | None = None  # stage -> the next one, which has no room
    left: str = ""  # the stage it left without saying where to


class Session(Life, gc=False, array_like=True, tag="session"):
    """A session that is open, or ended a short while ago."""

    kind: str = ""
    id: str = ""
    touched: float = 0.0


class Declaration(msgspec.Struct, frozen=True, array_like=True, tag="declaration"):
    """What a pipeline last said it is made of, and when (seconds)."""

    time: float
    data: PipelineDeclaredData


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Card | Session | Declaration] = msgspec.msgpack.Decoder(Card | Session | Declaration)


def encode_entry(entry: Card | Session | Declaration) -> bytes:
    """An entry as it is stored."""
    return _encoder.encode(entry)


def decode_entry(stored: bytes) -> Card | Session | Declaration:
    """An entry as it was stored."""
    return _decoder.decode(stored)


def card_key(pipeline: str, card: str) -> str:
    """Under which name a card is stored. A length comes first, as both parts may hold any character."""
    return f"c{len(pipeline)}:{pipeline}:{card}"


def session_key(session: str) -> str:
    """Under which name a session is stored."""
    return f"s{session}"


@dataclass(slots=True)
class Changes:
    """What one batch of events changed, as absolute values: writing them twice does no harm."""

    series: dict[Key, Value] = field(default_factory=dict)  # None: absent
    entries: dict[str, bytes | None] = field(default_factory=dict)  # None: gone
    declared: dict[str, Declaration] = field(default_factory=dict)  # by pipeline
    ids: list[str] = field(default_factory=list)  # seen in this batch
    exemplars: dict[Key, dict[int, Exemplar]] = field(default_factory=dict)  # shown by the owner, kept by nobody
    forgotten: int = 0  # how many batches of ids, from the oldest, are beyond the horizon

    def __bool__(self) -> bool:
        return bool(self.series or self.entries or self.declared or self.ids or self.forgotten)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is counted. ``stream`` names the stream's incarnation: its time of creation."""

    version: int = 0  # number of commits
    sequence: int = 0  # stream sequence of the last message counted
    stream: str = ""
    time: float = 0.0  # when that message arrived in the stream, seconds


@dataclass(slots=True)
class Snapshot:
    """All that is stored of a partition."""

    position: Position = field(default_factory=Position)
    series: dict[Key, Value] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)
    declared: dict[str, Declaration] = field(default_factory=dict)
    ids: list[tuple[float, list[str]]] = field(default_factory=list)  # oldest first, with the time of each batch


class Horizon:
    """The ids seen lately, to tell duplicates: those of the last ``seconds``, at most ``limit`` of them."""

    def __init__(self, *, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._batches: deque[tuple[float, list[str]]] = deque()
        self.fresh: list[str] = []  # those of the batch under way; whoever adds here adds to `known`, too
        self.known: set[str] = set()

    def admit(self, ids: list[str]) -> bool:
        """Remember ids if all of them are new; otherwise remember none of them."""
        new = set(ids)
        if len(new) < len(ids) or not new.isdisjoint(self.known):
            return False
        self.known |= new
        self.fresh += ids
        return True

    def restore(self, batches: list[tuple[float, list[str]]]) -> None:
        """Put back what was taken."""
        self._batches.extend(batches)
        for _, ids in batches:
            self.known.update(ids)

    def collapse(self, now: float) -> list[str]:
        """All ids, which are one batch from now on."""
        ids = list(self.known)
        self.fresh = []
        self._batches = deque([(now, ids)] if ids else [])
        return ids

    def take(self, now: float) -> tuple[list[str], int]:
        """The ids of the batch that ends now, and how many old batches are forgotten."""
        ids, forgotten = self.fresh, 0
        if ids:
            self._batches.append((now, ids))
            self.fresh = []
        while self._batches and (self._batches[0][0] < now - self._seconds or len(self.known) > self._limit):
            if self._batches[0][1] is ids:
                break
            self.known.difference_update(self._batches.popleft()[1])
            forgotten += 1
        return ids, forgotten
