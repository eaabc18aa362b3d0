"""Takes the body of a request into the database: decode, look up series, queue, wait for the commit."""

from dataclasses import dataclass

from jelmon_store.ha.deduplication import HaDeduplication
from jelmon_store.series.cache import KeyTable, SeriesCache
from jelmon_store.series.labels import SeriesKey
from jelmon_store.series.registry import SeriesRegistry, UnknownSeries
from jelmon_store.wire import v1, v2
from jelmon_store.wire.decoded import Decoded, Refusals, WireLimits
from jelmon_store.wire.errors import BusyError
from jelmon_store.wire.negotiation import Protocol
from jelmon_store.wire.snappy import decompress
from jelmon_store.wire.symbols import SymbolTable
from jelmon_store.write.rate import SampleRate
from jelmon_store.write.writer import Writer

_ATTEMPTS = 5


@dataclass(slots=True)
class Receipt:
    """What became of a request: how much of it is stored, or left out for good reason, and what was refused."""

    samples: int
    histograms: int
    exemplars: int
    duplicates: int
    deduplicated: int
    refusals: Refusals


class Receiver:
    """Decodes requests and hands them to the writer."""

    def __init__(
        self,
        cache: SeriesCache,
        registry: SeriesRegistry,
        writer: Writer,
        *,
        pairs: HaDeduplication,
        rate: SampleRate,
        limits: WireLimits,
    ) -> None:
        self._cache = cache
        self._registry = registry
        self._writer = writer
        self._pairs = pairs
        self._rate = rate
        self._limits = limits
        self._symbols = SymbolTable()

    async def receive(self, body: bytes, protocol: Protocol, *, tenant: str, retried: bool) -> Receipt:
        """Store a request; return when it is committed.

        Series and leases that are not known are looked up in the database, and the request decoded again: what is
        decoded belongs to the series in the cache only until this task waits.

        Raises:
            RequestError: it is malformed.
            BusyError: the queue is full, or the tenant over its rate.
            SourceError: the database does not respond.
        """
        message = decompress(body)
        over: dict[bytes, str] = {}  # keys of series beyond the limit of their metric
        for _ in range(_ATTEMPTS):
            table = self._table(tenant, protocol)
            decoded = self._decode(message, protocol, table)
            unknown = [self._unknown(tenant, key, labels) for key, labels in decoded.unknown.items() if key not in over]
            due = self._pairs.due(decoded)
            if not unknown and not due:
                for metric in over.values():
                    decoded.refusals.add("limit", f"metric {metric} has too many series")
                return await self._submit(decoded, tenant, retried=retried)
            if self._writer.full:
                break
            if unknown:
                for refused in await self._registry.resolve(tenant, table, unknown):
                    over[refused.cache_key] = refused.series.metric
            await self._pairs.extend(due)
        raise BusyError("too many requests with new series at a time", hint="send again later")

    def inspect(self, body: bytes, protocol: Protocol, *, tenant: str) -> Receipt:
        """Return what `receive` would find in a request, without the database.

        Raises:
            RequestError: it is malformed.
        """
        decoded = self._decode(decompress(body), protocol, self._table(tenant, protocol))
        samples, histograms, exemplars = decoded.waiting
        return Receipt(
            len(decoded.codes) + samples,
            len(decoded.histograms) + histograms,
            len(decoded.exemplars) + exemplars,
            0,
            0,
            decoded.refusals,
        )

    async def _submit(self, decoded: Decoded, tenant: str, *, retried: bool) -> Receipt:
        self._rate.spend(tenant, len(decoded.codes) + len(decoded.histograms))
        kept, dropped = self._pairs.drop(decoded)
        outcome = await self._writer.submit(kept, retried=retried)
        # what a losing replica sent counts as written: its sender would drop or repeat the request
        return Receipt(
            outcome.samples + dropped.samples,
            outcome.histograms + dropped.histograms,
            outcome.exemplars + dropped.exemplars,
            outcome.duplicates,
            dropped.samples + dropped.histograms,
            decoded.refusals,
        )

    def _unknown(self, tenant: str, key: bytes, labels: dict[str, str]) -> UnknownSeries:
        source = self._pairs.take_source(tenant, labels)
        return UnknownSeries(key, SeriesKey.of(tenant, labels), source)

    def _table(self, tenant: str, protocol: Protocol) -> KeyTable:
        if protocol is Protocol.V2 and self._symbols.full:
            self._symbols = SymbolTable()
            self._cache.forget_keys(Protocol.V2)
        return self._cache.table(tenant, protocol)

    def _decode(self, message: bytes, protocol: Protocol, table: KeyTable) -> Decoded:
        if protocol is Protocol.V1:
            return v1.decode(message, table, self._limits)
        return v2.decode(message, table, self._symbols, self._cache.metric, self._limits)
