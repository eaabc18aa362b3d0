"""The symbols of this process: a request of version 2.0 numbers its strings anew, so they get numbers that last."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.runs import Met, Places, Room, Runs, Walk
from jelmon_store.wire.decoded import Metadata, read_metadata
from jelmon_store.wire.fields import field, field_at, field_size, field_sizes

Numbers = NDArray[np.uint32]

_TAG = 0x22
_METADATA_KEPT = 100_000
_RUN_BYTES = 64 * 1024 * 1024
_EMPTY = np.zeros(0, np.uint32)


class Symbols(NamedTuple):
    """The symbols of one request by their numbers in this process, and where they end in its message."""

    numbers: Numbers
    end: int


class SymbolTable:
    """Numbers strings, as bytes. When it is `full`, begin a new one, together with the keys made of its numbers."""

    def __init__(self, *, limit: int = 4_000_000, limit_bytes: int = 256 * 1024 * 1024) -> None:
        self._numbers: dict[bytes, int] = {}
        self.texts: list[bytes] = []
        """The strings by number."""
        self._limit = limit
        self._left_bytes = limit_bytes
        self._metadata: dict[tuple[int, int, int], Metadata] = {}
        self._places = Places()
        self._runs = Runs(np.zeros(0, np.uint8), Room(_RUN_BYTES), self._places)

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return len(self._numbers) >= self._limit or self._left_bytes <= 0

    def numbers(self, symbols: Iterable[bytes]) -> Numbers:
        """Return the number of each string."""
        found = list(map(self._numbers.get, symbols))
        if None in found:
            return np.array([self._number(symbol) for symbol in symbols], np.uint32)
        return np.array(found, np.uint32)

    def read(self, message: bytes, stream: NDArray[np.uint8]) -> Symbols:
        """Read the symbols at the begin of a message that come in an order that was learned."""
        runs = self._runs
        if not runs.worthwhile:
            return Symbols(_EMPTY, 0)
        parts: list[Numbers] = []
        at, walk = 0, Walk()
        while at < len(message) and message[at] == _TAG:
            record = walk.record
            count = runs.follow(record, stream, at)
            if count:
                parts.append(runs.values[record : record + count].astype(np.uint32))
                at += int(runs.ends[record + count] - runs.ends[record])
                walk.go(count)
                continue
            symbol = field_at(message, at, _TAG)
            if symbol is None:
                break
            number = self._number(symbol)
            met = walk.meet(runs.place_of(number))
            if met is Met.STOP:
                break
            if met is Met.ALONE:
                parts.append(np.array([number], np.uint32))
                at += field_size(len(symbol))
        runs.note(walk)
        return Symbols(np.concatenate(parts) if parts else _EMPTY, at)

    def learn(self, message: bytes, stream: NDArray[np.uint8], at: int, symbols: list[bytes], numbers: Numbers) -> None:
        """Keep the order of symbols that begin at a position of a message, those that have no place in it yet."""
        if len(self._places.of_slot) < len(self.texts):
            self._places.grow(2 * len(self.texts))
        of_slot = self._places.of_slot
        fresh = np.flatnonzero(of_slot[numbers] < 0)
        if not len(fresh) or not message.startswith(b"".join([field(_TAG, symbol) for symbol in symbols]), at):
            return
        sizes = field_sizes(np.fromiter(map(len, symbols), np.int64, len(symbols)))
        ends = at + np.cumsum(sizes)
        for part in np.split(fresh, np.flatnonzero(np.diff(fresh) != 1) + 1):
            before = self._runs.count
            records = stream[ends[part[0]] - sizes[part[0]] : ends[part[-1]]]
            if not self._runs.append(records, sizes[part], numbers[part].astype(np.int64)):
                return
            of_slot[numbers[part]] = np.arange(before, self._runs.count)

    def metadata(self, kind: int, help_number: int, unit_number: int) -> Metadata:
        """Return metadata from its type and the numbers of its strings."""
        key = (kind, help_number, unit_number)
        found = self._metadata.get(key)
        if found is None:
            if len(self._metadata) >= _METADATA_KEPT:
                self._metadata.clear()
            found = self._metadata[key] = read_metadata(kind, self.texts[help_number], self.texts[unit_number])
        return found

    def _number(self, symbol: bytes) -> int:
        number = self._numbers.get(symbol)
        if number is None:
            number = self._numbers[symbol] = len(self.texts)
            self.texts.append(symbol)
            self._left_bytes -= len(symbol)
        return number
