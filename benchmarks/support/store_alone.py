"""The receiver alone: from the body of a request to the COPY buffer, without HTTP and database."""

import struct
import time
from collections.abc import Iterator

import numpy as np

from jelmon_store.series.cache import SLOT_MASK, SeriesCache
from jelmon_store.series.labels import SeriesKey
from jelmon_store.wire import messages, snappy, v1, v2
from jelmon_store.wire.decoded import Decoded, WireLimits
from jelmon_store.wire.symbols import SymbolTable
from jelmon_store.write.rows import sample_rows
from support.store_bodies import STEP_MS, Bodies


class Alone:
    """The decoder, the split by watermarks and the COPY buffer."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._cache = SeriesCache()
        self._table = self._cache.table("", version)
        self._symbols = SymbolTable()

    def decode(self, body: bytes) -> Decoded:
        message = snappy.decompress(body)
        if self._version == "1.0":
            return v1.decode(message, self._table, WireLimits())
        return v2.decode(message, self._table, self._symbols, self._cache.metric, WireLimits())

    def learn(self, body: bytes) -> None:
        for number, (key, labels) in enumerate(self.decode(body).unknown.items()):
            series = SeriesKey.of("", labels)
            slot = self._cache.add(number + 1, group=series.group, metric=number % 20, kept=False, new=True)
            self._cache.remember(self._table, key, slot)
        self.decode(body)  # and the order of its series

    def receive(self, body: bytes) -> int:
        decoded = self.decode(body)
        slots = decoded.codes & SLOT_MASK
        fast = decoded.times > self._cache.watermark[slots]
        np.maximum.at(self._cache.watermark, slots, decoded.times)
        return len(sample_rows(self._cache.series_id[slots][fast], decoded.times[fast], decoded.bits[fast])) // 38


def receiver_alone(version: str, *, drift: int, count: int = 60, rounds: int = 5) -> float:
    """Million samples a second of one core, in the best of some rounds."""
    made = _bodies(version, count, drift)
    best = 0.0
    for _ in range(rounds):
        alone = Alone(version)
        alone.learn(made[0])
        begun = time.process_time()
        samples = sum(alone.receive(body) for body in made)
        best = max(best, samples / (time.process_time() - begun) / 1e6)
    return best


def ordinary_walk(count: int = 10) -> float:
    """The same, as one writes it first: every label of every series, then rows of tuples."""
    made = _bodies("1.0", count, 0)
    ids: dict[tuple[tuple[str, str], ...], int] = {}
    begun = time.process_time()
    samples = sum(len(list(walk(body, ids))) for body in made)
    return samples / (time.process_time() - begun) / 1e6


def walk(body: bytes, ids: dict[tuple[tuple[str, str], ...], int]) -> Iterator[tuple[int, int, float]]:
    request = messages.WriteRequest.FromString(snappy.decompress(body))
    for raw in request.timeseries:
        series = messages.TimeSeries.FromString(raw)
        pairs = map(messages.Label.FromString, series.labels)
        labels = tuple(sorted((pair.name.decode(), pair.value.decode()) for pair in pairs))
        number = ids.setdefault(labels, len(ids) + 1)
        for one in series.samples:
            yield number, one.timestamp, struct.unpack("<d", struct.pack("<Q", one.value))[0]


def _bodies(version: str, count: int, drift: int) -> list[bytes]:
    bodies = Bodies(0, drift=drift)
    start = int(time.time() * 1000) - count * STEP_MS
    make = bodies.v1 if version == "1.0" else bodies.v2
    return [make(start + step * STEP_MS) for step in range(count)]
