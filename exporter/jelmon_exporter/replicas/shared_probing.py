"""Who probes, and where the results go: with a shared store one replica probes and commits, and all show the same.

Results live in the store as a partition's series do, under a lease and fenced. So the next to probe goes on with the
counters of the one before, and no target is missing from any replica while it begins.
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
from jelmon_exporter.replicas.singleton import PROBES, Singleton, StoreTurn, Turn, turn_at
from jelmon_exporter.series.cells import Key, SeriesTable, Value, real
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.model import Changes, Position
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)

PART = "probes"
"""The name of what probes contribute to the view."""
COMMIT_SECONDS = 1.0


def probing(
    store: StateStore, leadership: Turn | None, own: SeriesTable, view: View, mirror: Mirror
) -> tuple[Prober, Singleton]:
    """What probes, and what lets it work when it is our turn."""
    turn = turn_at(store, PROBES, leadership)
    if isinstance(turn, StoreTurn):
        shared = SharedProbes(turn, store, view, mirror)
        return shared.prober, Singleton(turn, shared.run, shared.stopped)
    prober = Prober((), own)
    return prober, Singleton(turn, prober.run, prober.forget)


class SharedProbes:
    """Probes while it is our turn, and commits what it finds."""

    def __init__(
        self, turn: StoreTurn, store: StateStore, view: View, mirror: Mirror, clock: Callable[[], float] = time.time
    ) -> None:
        self._turn = turn
        self._store = store
        self._view = view
        self._mirror = mirror
        self._clock = clock
        self._table = SeriesTable()
        self._claim: Claim | None = None  # the one under which the stored results were taken up
        self._position = Position()
        self._pending: dict[Key, Value] = {}
        self.prober = Prober((), self._table)

    async def run(self) -> None:
        """Probe until cancelled."""
        self._mirror.own(PROBES)
        self._take_up(self._view.contribution(PART))  # all that we know while nobody can be asked
        await all_of(asyncio.create_task(self.prober.run()), asyncio.create_task(self._keep()))

    def stopped(self) -> None:
        """Somebody else probes from now on."""
        self._claim, self._pending = None, {}
        self.prober.forget()
        self._mirror.disown(PROBES)

    async def _keep(self) -> None:
        while True:
            self._pending.update(self._table.drain())
            if self._pending:
                await self._show()
            await asyncio.sleep(COMMIT_SECONDS)

    async def _show(self) -> None:
        """Commit what is new, then show it; while the store is away it is shown all the same."""
        try:
            if self._turn.claim is not None:
                await self._commit(self._turn.claim)
        except FencedError:
            return  # it is no longer our turn, which we are told in a moment
        except StoreUnavailableError as error:
            logger.debug("results of probes are not stored", extra={"error": error.message})
            self._view.update(PART, self._pending)
            return
        self._view.update(PART, self._pending)
        if self._turn.claim is not None:
            self._pending = {}

    async def _commit(self, claim: Claim) -> None:
        if claim != self._claim:
            await self._take_over(claim)
        position = replace(self._position, version=self._position.version + 1, time=self._clock())
        changes = Changes(series=dict(self._pending))
        try:
            await self._store.commit(PROBES, claim=claim, position=position, changes=changes)
        except FellBackError:
            changes = Changes(series=self._everything())
            await self._store.commit(PROBES, claim=claim, position=position, changes=changes, whole=True)
        self._position = position

    def _everything(self) -> dict[Key, Value]:
        return {key: cell.snapshot() for key, cell in self._table.cells.items()}

    async def _take_over(self, claim: Claim) -> None:
        """Go on with the results of the one before, but for what we found out since."""
        snapshot = await self._store.load(PROBES)
        gone = self._take_up(snapshot.series)
        self._pending.update(gone | self._everything())
        self._position, self._claim = snapshot.position, claim

    def _take_up(self, series: Mapping[Key, Value]) -> dict[Key, Value]:
        """Go on with these values where they know more than we; returns what belongs to no target of ours, as gone."""
        names = {real(name) for name in self.prober.names}
        gone: dict[Key, Value] = {}
        for (name, labels), value in series.items():
            metric = c.BY_NAME.get(name)
            if metric is None or len(labels) != len(metric.labels) or labels[0] not in names:
                gone[name, labels] = None
                continue
            cell = self._table.cells.get((name, labels))
            if cell is None or _knows_more(metric, value, cell.snapshot()):
                self._table.restore(metric, labels, value)
        return gone


def _knows_more(metric: c.Metric, value: Value, own: Value) -> bool:
    """Whether a value counted more than our own, or is a gauge that we have not."""
    if isinstance(value, tuple) and isinstance(own, tuple):
        return sum(value[1]) > sum(own[1])
    return own is None if isinstance(metric, c.Gauge) else (value or 0) > (own or 0)  # type: ignore[operator]
