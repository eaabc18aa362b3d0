"""Records in the order in which they came, so that the next ones are recognised many at a time.

A Prometheus sends its series in the same order again and again, only cut into requests at other places. So the records
that came after one another are kept after one another, and what comes is compared with them as arrays: one operation
for thousands of records. What differs is looked up as before; nothing is recognised without comparing every byte.
"""

from enum import Enum, auto
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Items = NDArray[Any]
Array = TypeVar("Array", bound=NDArray[Any])

_FIRST_CHUNK = 1 << 14
_LARGEST_CHUNK = 1 << 18
_RECORD_BYTES = 20
_TRIES = 24  # look-ups in one request, before the rest of it is looked up as a whole
_MISSES = 4  # series one after another that are in no order
_SHORT = 32  # records between two breaks: below that on average, the order is learned again
_PAUSE = 63  # requests
_SLOT = 0xFFFFFFFF  # of a code


class Room:
    """How many bytes all runs together may still take."""

    def __init__(self, left: int = 1 << 26) -> None:
        self.left = left


class Places:
    """At which record of its table the series of a slot is, -1 for none."""

    def __init__(self, slots: int = 1024) -> None:
        self.of_slot: NDArray[np.int32] = np.full(slots, -1, np.int32)

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        more = np.full(max(slots - len(self.of_slot), 0), -1, np.int32)
        self.of_slot = np.concatenate([self.of_slot, more])

    def forget(self) -> None:
        """Forget all places."""
        self.of_slot[:] = -1


class Met(Enum):
    """What to do with a record that is not the expected one, by its place."""

    ELSEWHERE = auto()  # go on from its place
    ALONE = auto()  # take it alone
    STOP = auto()  # look all others up


class Walk:
    """The way through one request: which record is expected next, -1 for none."""

    def __init__(self) -> None:
        self.record = -1
        self.followed = self.broken = 0
        self._tries = self._misses = 0

    def go(self, count: int) -> None:
        """Note that records came as expected."""
        self.record += count
        self.followed += count
        self._misses = 0

    def meet(self, place: int) -> Met:
        """Note that another record came, whose place is known by a look-up, -1 if it has none."""
        self._tries += 1
        if place < 0:  # it is new: the expected one may be the next
            self._misses += 1
            return Met.STOP if self._misses > _MISSES or self._tries > _TRIES else Met.ALONE
        self.broken += self.record >= 0
        if self._tries > _TRIES:
            return Met.STOP
        if place == self.record:  # the expected one in another form
            self.record += 1
            return Met.ALONE
        self.record = place
        return Met.ELSEWHERE


class Runs:
    """Records, one after another in ``items``; record ``i`` lies between ``ends[i]`` and ``ends[i + 1]``."""

    def __init__(self, items: Items, room: Room, places: Places) -> None:
        self.items = items[:0]
        self.ends: Ints = np.zeros(1, np.int64)
        self.values: Ints = np.zeros(0, np.int64)
        self.count = 0
        self.places = places
        self._room = room
        self._taken = 0
        self._followed = self._broken = 0
        self._patience = 1
        self._pause = self._skip = 0

    def place_of(self, slot: int) -> int:
        """Return the record of a slot, -1 if there is none."""
        places = self.places.of_slot
        return int(places[slot]) if slot < len(places) else -1

    def append(self, items: Items, lengths: Ints, values: Ints) -> bool:
        """Keep records, if there is room for them; ``values`` are what they stand for."""
        size = items.nbytes + _RECORD_BYTES * len(lengths)
        if not len(lengths) or self._room.left < size:
            return False
        self._room.left -= size
        self._taken += size
        used, count = int(self.ends[self.count]), self.count + len(lengths)
        self.items = room_for(self.items, used + len(items))
        self.ends = room_for(self.ends, count + 1)
        self.values = room_for(self.values, count)
        self.items[used : used + len(items)] = items
        self.ends[self.count + 1 : count + 1] = used + np.cumsum(lengths)
        self.values[self.count : count] = values
        self.count = count
        return True

    def follow(self, record: int, items: Items, at: int) -> int:
        """Return how many records, from ``record`` on, are the same as ``items`` from ``at`` on."""
        first, chunk = record, _FIRST_CHUNK
        ends = self.ends[: self.count + 1]
        while 0 <= record < self.count:
            begin, left = int(ends[record]), len(items) - at
            last = int(np.searchsorted(ends, begin + min(chunk, left), side="right")) - 1
            longest, chunk = chunk >= min(left, _LARGEST_CHUNK), min(chunk * 16, _LARGEST_CHUNK)
            if last == record:
                if longest:
                    break
                continue
            length = int(ends[last]) - begin
            different = self.first_difference(record, last, items[at : at + length])
            if different >= 0:
                record = int(np.searchsorted(ends, begin + different, side="right")) - 1
                break
            record, at = last, at + length
        return record - first

    def first_difference(self, record: int, last: int, items: Items) -> int:
        """Return the position of the first item that is not as in the records up to ``last``, -1 if all are."""
        mine = self.items[int(self.ends[record]) : int(self.ends[last])]
        different = mine != items
        return int(different.argmax()) if different.any() else -1

    # --- when it is worth it ---

    @property
    def worthwhile(self) -> bool:
        """Whether to follow the records of this request, after requests that had no order."""
        if self._skip:
            self._skip -= 1
            return False
        return self.count > 0

    def note(self, walk: "Walk") -> None:
        """Note how far the order held in a request."""
        self._followed += walk.followed
        self._broken += walk.broken
        if walk.broken < _TRIES // 2 or walk.followed >= walk.broken * _SHORT:
            self._pause = 0
        else:
            self._pause = self._skip = min(2 * self._pause + 1, _PAUSE)
        if self._broken > self._patience * _TRIES:
            if self._followed < self._broken * _SHORT:
                self.forget()
                self._patience = min(2 * self._patience, 1024)
            self._followed = self._broken = 0

    def forget(self) -> None:
        """Forget all records, to learn their order again."""
        of_slot = self.places.of_slot
        slots = self.values[: self.count] & _SLOT
        of_slot[slots[slots < len(of_slot)]] = -1
        self._room.left += self._taken
        self._taken = self.count = 0
        self.items, self.values, self.ends = self.items[:0].copy(), self.values[:0].copy(), np.zeros(1, np.int64)


def room_for(array: Array, size: int) -> Array:
    """Return an array with room for ``size`` items, with what it had."""
    if size <= len(array):
        return array
    larger = np.empty(max(size, len(array) + len(array) // 2), array.dtype)
    larger[: len(array)] = array
    return larger  # type: ignore[return-value]
