"""The series of requests of 1.0 in the order in which they came: everything but times and values is compared."""

from typing import NamedTuple

import numpy as np

from jelmon_store.series.cache import SLOT_MASK, KeyTable
from jelmon_store.series.runs import Met, Places, Room, Runs, Walk, room_for
from jelmon_store.wire.fields import field_at, field_size
from jelmon_store.wire.tails import SAMPLE, TIME, VALUE, ZERO, Bytes, Ints, Words, read_times, words_at

_WORD = 8
_SERIES_TAG = 0x0A


class SampleRuns(Runs):
    """Series as they are on the wire, each with the tag and the length in front and one sample at the end."""

    def __init__(self, room: Room, places: Places) -> None:
        super().__init__(np.zeros(0, np.uint8), room, places)
        self._zero = np.zeros(0, np.bool_)
        self._scratch = np.zeros(0, np.uint64)

    def learn(self, stream: Bytes, begins: Ints, ends: Ints, codes: Ints, zero: "np.typing.NDArray[np.bool_]") -> None:
        """Keep the series that have no record yet, those that follow one another together."""
        slots = np.where(codes >= 0, codes & SLOT_MASK, 0)
        of_slot = self.places.of_slot
        fresh = np.flatnonzero((codes >= 0) & (of_slot[slots] < 0))
        for part in np.split(fresh, np.flatnonzero(np.diff(fresh) != 1) + 1):
            if not len(part):
                continue
            before, first, last = self.count, part[0], part[-1] + 1
            records = stream[begins[first] : ends[last - 1]]
            if not self.append(records, ends[first:last] - begins[first:last], codes[first:last]):
                return
            self._zero = room_for(self._zero, self.count)
            self._zero[before : self.count] = zero[first:last]
            of_slot[slots[first:last]] = np.arange(before, self.count)

    def first_difference(self, record: int, last: int, items: Bytes) -> int:
        begin, length = int(self.ends[record]), len(items)
        if len(self._scratch) * _WORD < length:
            self._scratch = np.zeros(length // _WORD + 1024, np.uint64)
        scratch = self._scratch.view(np.uint8)
        scratch[length : length + _WORD] = 0
        np.bitwise_xor(self.items[begin : begin + length], items, out=scratch[:length])
        ends = self.ends[record + 1 : last + 1] - begin
        _clear(scratch, ends - TIME, TIME)
        zero = self._zero[record:last]
        _clear(scratch, (ends[~zero] if zero.any() else ends) - VALUE, _WORD)
        if not self._scratch[: (length + _WORD - 1) // _WORD].max():
            return -1
        return int((scratch[:length] != 0).argmax())

    def samples(self, record: int, count: int, stream: Bytes, at: int) -> tuple[Ints, Words, int]:
        """Return times and bits of records that `follow` found, up to one whose time is not usual; and their number."""
        ends = self.ends[record + 1 : record + count + 1] - (int(self.ends[record]) - at)
        times, right = read_times(words_at(stream, ends - _WORD))
        if not right.all():
            count = int((~right).argmax())
            ends, times = ends[:count], times[:count]
        bits = words_at(stream, np.maximum(ends - VALUE, 0))
        zero = self._zero[record : record + count]
        return times, np.where(zero, np.uint64(0), bits) if zero.any() else bits, count


class Followed(NamedTuple):
    """What was recognised by its order, what else was between, as series, and where the rest begins."""

    codes: list[Ints]
    times: list[Ints]
    bits: list[Words]
    others: list[bytes]
    end: int


def follow(message: bytes, stream: Bytes, runs: SampleRuns, keys: KeyTable) -> Followed:
    """Recognise series by their order."""
    found = Followed([], [], [], [], 0)
    if not runs.worthwhile:
        return found
    at, walk = 0, Walk()
    while at < len(message):
        record = walk.record
        count = runs.follow(record, stream, at)
        if count:
            times, bits, count = runs.samples(record, count, stream, at)
        if count:
            found.codes.append(runs.values[record : record + count])
            found.times.append(times)
            found.bits.append(bits)
            at += int(runs.ends[record + count] - runs.ends[record])
            walk.go(count)
            continue
        series = field_at(message, at, _SERIES_TAG)
        if series is None:
            break
        code = keys.code(series[:-SAMPLE])
        if code < 0:
            code = keys.code(series[:-ZERO])
        met = walk.meet(runs.place_of(code & SLOT_MASK) if code >= 0 else -1)
        if met is Met.STOP:
            break
        if met is Met.ALONE:
            found.others.append(series)
            at += field_size(len(series))
    runs.note(walk)
    return found._replace(end=at)


def _clear(scratch: Bytes, positions: Ints, size: int) -> None:
    """Set ``size`` bytes from each position to zero."""
    view: np.typing.NDArray[np.void] = np.ndarray((max(len(scratch) - size + 1, 0),), f"V{size}", scratch, strides=(1,))
    view[positions] = np.zeros(1, f"V{size}")
