"""Probing by one of several replicas: with a shared store one of them probes and commits, and all expose the results.

Results are stored like a partition's series, under a fenced lease. The next replica to probe continues the counters of
its predecessor, and no target is missing on any replica meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from jelmon import catalogue as c
from jelmon.service.tasks import all_of
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.singleton import PROBES, Election, Singleton, StoreElection, election_for
from jelmon_exporter.series.cells import Key, SeriesTable, Value, real
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.model import Changes, Position
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)

PART = "probes"
"""The name of what probes contribute to the view."""
COMMIT_SECONDS = 1.0


def probing(
    store: StateStore, leadership: Election | None, table: SeriesTable, view: View, mirror: Mirror
) -> tuple[Prober, Singleton]:
    """Return the prober, and the singleton that runs it on the elected replica. ``table`` is for unshared results."""
    election = election_for(store, PROBES, leadership)
    if isinstance(election, StoreElection):
        shared = SharedProbes(election, store, view, mirror)
        return shared.prober, Singleton(election, shared.run, shared.stopped)
    prober = Prober((), table)
    return prober, Singleton(election, prober.run, prober.forget)


class SharedProbes:
    """Probes while elected, and commits the results."""

    def __init__(
        self,
        election: StoreElection,
        store: StateStore,
        view: View,
        mirror: Mirror,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._election = election
        self._store = store
        self._view = view
        self._mirror = mirror
        self._clock = clock
        self._table = SeriesTable()
        self._claim: Claim | None = None  # the claim under which the stored results were loaded
        self._position = Position()
        self._pending: dict[Key, Value] = {}
        self.prober = Prober((), self._table)

    async def run(self) -> None:
        """Probe until cancelled."""
        self._mirror.exclude(PROBES)
        self._merge(self._view.contribution(PART))  # all that is known while the store does not answer
        await all_of(asyncio.create_task(self.prober.run()), asyncio.create_task(self._publish()))

    def stopped(self) -> None:
        """Discard local results: another replica probes now."""
        self._claim, self._pending = None, {}
        self.prober.forget()
        self._mirror.include(PROBES)

    async def _publish(self) -> None:
        while True:
            self._pending.update(self._table.drain())
            if self._pending:
                await self._publish_pending()
            await asyncio.sleep(COMMIT_SECONDS)

    async def _publish_pending(self) -> None:
        """Commit pending results, then expose them; while the store does not answer, only expose them."""
        try:
            if self._election.claim is not None:
                await self._commit(self._election.claim)
        except FencedError:
            return  # another replica was elected; `Singleton` stops this one in a moment
        except StoreUnavailableError as error:
            logger.debug("probe results are not stored", extra={"error": error.message})
            self._view.update(PART, self._pending)
            return
        self._view.update(PART, self._pending)
        if self._election.claim is not None:
            self._pending = {}

    async def _commit(self, claim: Claim) -> None:
        if claim != self._claim:
            await self._load(claim)
        position = replace(self._position, version=self._position.version + 1, time=self._clock())
        changes = Changes(series=dict(self._pending))
        try:
            await self._store.commit(PROBES, claim=claim, position=position, changes=changes)
        except FellBackError:
            changes = Changes(series=self._snapshot())
            await self._store.commit(PROBES, claim=claim, position=position, changes=changes, whole=True)
        self._position = position

    def _snapshot(self) -> dict[Key, Value]:
        return {key: cell.snapshot() for key, cell in self._table.cells.items()}

    async def _load(self, claim: Claim) -> None:
        """Continue the predecessor's results, except where newer ones are known here."""
        snapshot = await self._store.load(PROBES)
        if snapshot.lost or snapshot.unreadable:
            logger.error("stored results of probes cannot be read: %s", snapshot.lost or snapshot.unreadable[0])
        gone = self._merge(snapshot.series)
        self._pending.update(gone | self._snapshot())
        self._position, self._claim = snapshot.position, claim

    def _merge(self, series: Mapping[Key, Value]) -> dict[Key, Value]:
        """Continue from these values where they have counted more; return those of unknown targets, as removed."""
        names = {real(name) for name in self.prober.names}
        gone: dict[Key, Value] = {}
        for (name, labels), value in series.items():
            metric = c.BY_NAME.get(name)
            if metric is None or len(labels) != len(metric.labels) or labels[0] not in names:
                gone[name, labels] = None
                continue
            cell = self._table.cells.get((name, labels))
            if cell is None or _counted_more(metric, value, cell.snapshot()):
                self._table.restore(metric, labels, value)
        return gone


def _counted_more(metric: c.Metric, value: Value, local: Value) -> bool:
    """Return whether ``value`` has counted more than ``local``, or is a gauge that is absent here."""
    if isinstance(value, tuple) and isinstance(local, tuple):
        return sum(value[1]) > sum(local[1])
    return local is None if isinstance(metric, c.Gauge) else (value or 0) > (local or 0)  # type: ignore[operator]
