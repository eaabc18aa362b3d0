"""The series that this process has seen: raw label bytes to a slot, and what is known of the series in each slot.

A request names its series by bytes that hardly ever change from one request to the next, so the bytes of a label set
as they came are the key; only label sets that were parsed and checked become keys. Everything about a series is in
numpy arrays by slot, so that a request of thousands of series needs a few operations on arrays.

The cache is bounded: keys live in two generations, and a key not used during one of them is forgotten. A slot without
keys is free for another series one generation later.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.runs import Places, Room, Runs

NEVER = np.iinfo(np.int64).min
SLOT_BITS = 32
SLOT_MASK = (1 << SLOT_BITS) - 1
_RUN_BYTES = 150  # of a key, in the order in which its series comes

Ints = NDArray[np.int64]


class KeyTable:
    """The keys of one tenant and protocol. A code is the slot of a series, and the number of an HA source above it.

    ``runs``, which the decoder makes, are the series in the order in which they came.
    """

    def __init__(self, room: Room | None = None, places: Places | None = None) -> None:
        self.young: dict[bytes, int] = {}
        self.old: dict[bytes, int] = {}
        self.room = room or Room()
        self.places = places or Places()
        self.runs: Runs | None = None

    def codes(self, keys: Iterable[bytes]) -> list[int]:
        """Return the code of each key, -1 where it is unknown."""
        found = list(map(self.young.get, keys))
        if None not in found:
            return found  # type: ignore[return-value]
        return [self.code(key) if code is None else code for key, code in zip(keys, found, strict=True)]

    def code(self, key: bytes) -> int:
        """Return the code of one key, -1 if it is unknown."""
        code = self.young.get(key)
        if code is None:
            code = self.old.get(key)
            if code is None:
                return -1
            self.young[key] = code
        return code


class SeriesCache:
    """All keys and slots. ``capacity`` is the number of keys kept."""

    def __init__(self, capacity: int = 2_000_000) -> None:
        self._capacity = capacity
        self._room = Room(capacity * _RUN_BYTES)
        self._places: dict[str, Places] = {}
        self._remembered = 0
        self._tables: dict[tuple[str, str], KeyTable] = {}
        self._slots: dict[int, int] = {}  # by series id
        self._free: list[int] = []
        self._resting: list[int] = []  # free one generation later
        self._used = 0
        self.series_id: Ints = np.zeros(1024, np.int64)
        self.group: NDArray[np.int32] = np.zeros(1024, np.int32)
        self.kept: NDArray[np.bool_] = np.zeros(1024, np.bool_)  # the metric has a longer retention
        self.metric: NDArray[np.int32] = np.zeros(1024, np.int32)
        self.watermark: Ints = np.full(1024, NEVER, np.int64)
        """The newest time, in milliseconds, that was accepted, or known to be stored."""
        self.known: NDArray[np.bool_] = np.zeros(1024, np.bool_)
        """Whether the watermark includes everything that anybody has stored."""

        self.start: Ints = np.zeros(1024, np.int64)  # the start that the sender stated last

    def table(self, tenant: str, protocol: str) -> KeyTable:
        """Return the keys of a tenant and protocol."""
        table = self._tables.get((tenant, protocol))
        if table is None:
            places = self._places.setdefault(protocol, Places(len(self.series_id)))
            table = self._tables[tenant, protocol] = KeyTable(self._room, places)
        return table

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def keys(self) -> int:
        """How many keys are kept."""
        return sum(len(table.young) + len(table.old) for table in self._tables.values())

    def add(self, series_id: int, *, group: int, metric: int, kept: bool, new: bool) -> int:
        """Return the slot of a series, which is made if there is none.

        ``new``: the database has just made the series for this process, so that nothing can be stored yet.
        """
        slot = self._slots.get(series_id)
        if slot is None:
            slot = self._slots[series_id] = self._take()
            self.series_id[slot] = series_id
            self.group[slot] = group
            self.metric[slot] = metric
            self.kept[slot] = kept
            self.watermark[slot] = NEVER
            self.known[slot] = new
            self.start[slot] = 0
        return slot

    def remember(self, table: KeyTable, key: bytes, code: int) -> None:
        """Keep the code of a key."""
        table.young[key] = code
        self._remembered += 1
        if self._remembered % 1024 == 0 and self.young_keys > self._capacity // 2:
            self.rotate()

    @property
    def young_keys(self) -> int:
        """How many keys were used in this generation."""
        return sum(len(table.young) for table in self._tables.values())

    def rotate(self) -> None:
        """Begin a generation: forget the keys that were not used in the last one, and the slots without keys."""
        for name, table in list(self._tables.items()):
            table.old, table.young = table.young, {}
            # series that are followed in their order are not looked up: once in each generation they must be
            if table.runs is not None:
                table.runs.forget()
            if not table.old:
                del self._tables[name]
        self._free += self._resting
        codes = np.fromiter(chain.from_iterable(table.old.values() for table in self._tables.values()), np.int64)
        live = np.zeros(self._used, np.bool_)
        live[codes & SLOT_MASK] = True
        dead = [(series_id, slot) for series_id, slot in self._slots.items() if not live[slot]]
        for series_id, _ in dead:
            del self._slots[series_id]
        self._resting = [slot for _, slot in dead]
        self.series_id[self._resting] = 0

    def forget_keys(self, protocol: str) -> None:
        """Forget all keys of a protocol; the slots stay until nothing else uses them.

        Requests in progress keep the tables they have, which are not used for others any more.
        """
        for name, table in list(self._tables.items()):
            if name[1] == protocol:
                if table.runs is not None:
                    table.runs.forget()
                del self._tables[name]

    def lose(self, groups: Ints) -> None:
        """Note that others may have written the series of some groups."""
        self.known[: self._used][np.isin(self.group[: self._used], groups)] = False

    def set_kept(self, metrics: list[int]) -> None:
        """Note which metrics have a longer retention."""
        self.kept[: self._used] = np.isin(self.metric[: self._used], metrics)

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        if self._used == len(self.series_id):
            for name in ("series_id", "group", "kept", "metric", "watermark", "known", "start"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
            for places in self._places.values():
                places.grow(len(self.series_id))
        self._used += 1
        return self._used - 1
