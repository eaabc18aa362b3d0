"""Decoders with a cache that knows what they have decoded, without a database."""

from collections.abc import Iterable
from typing import Any

from jelmon_store.series.cache import KeyTable, SeriesCache
from jelmon_store.series.labels import SeriesKey
from jelmon_store.wire import v1 as decoder_v1
from jelmon_store.wire import v2 as decoder_v2
from jelmon_store.wire.decoded import Decoded, WireLimits
from jelmon_store.wire.symbols import SymbolTable


class NothingAtOnce(KeyTable):
    """Keys that are only found one by one, so that everything takes the protobuf parser."""

    def codes(self, keys: Iterable[bytes]) -> list[int]:
        return [-1 for _ in keys]


class Decoder:
    """A decoder with a cache that knows the series of what it has decoded, without a database."""

    def __init__(self, version: str, table: KeyTable) -> None:
        self.version = version
        self.table = table
        self.cache = SeriesCache()
        self.symbols = SymbolTable()
        self.ids: dict[bytes, int] = {}

    def decode(self, message: bytes) -> Decoded:
        table = self.table
        for _ in range(2):
            if self.version == "1.0":
                decoded = decoder_v1.decode(message, table, WireLimits())
            else:
                decoded = decoder_v2.decode(message, table, self.symbols, self.cache.metric, WireLimits())
            for key, labels in decoded.unknown.items():
                series = SeriesKey.of("", labels)
                number = self.ids.setdefault(series.fingerprint, len(self.ids) + 1)
                slot = self.cache.add(number, group=series.group, metric=1, kept=False, new=True)
                self.cache.remember(table, key, slot)
        assert not decoded.unknown
        return decoded


def content(decoder: Decoder, decoded: Decoded) -> Any:
    """What a decoded request says, whichever way it was decoded."""
    ids = decoder.cache.series_id[decoded.codes].tolist()
    return (
        sorted(zip(ids, decoded.times.tolist(), decoded.bits.tolist(), strict=True)),
        sorted((int(decoder.cache.series_id[row.code]), row.time, row.payload) for row in decoded.histograms),
        sorted((int(decoder.cache.series_id[row.code]), row.time, row.bits, row.labels) for row in decoded.exemplars),
        sorted((int(decoder.cache.series_id[code]), start) for code, start in decoded.starts),
        decoded.refusals.count,
    )
