"""The collectors as sources: host metrics, probes of services, and collectors that users install."""

import logging
import time
from collections.abc import Callable, Sequence

from jelmon import catalogue as c
from jelmon.service.lifecycle import every
from jelmon_exporter.collectors.custom import LIMIT_SECONDS, CustomCollectors
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.collectors.system import SystemCollector
from jelmon_exporter.replicas.singleton import Singleton
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.sources.source import Source

logger = logging.getLogger(__name__)


class SystemSource(Source):
    """Reads host metrics every ``interval`` seconds."""

    name = "system collector"

    def __init__(
        self, table: SeriesTable, *, host: str, interval: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._interval = interval
        self._clock = clock
        self.collector = SystemCollector(table, host)

    async def run(self) -> None:
        """Collect until cancelled."""
        await every(self._interval, self._collect)

    async def _collect(self) -> None:
        """Collect once; expose and log a failure."""
        name = self.collector.name
        up = self._table.cell(c.COLLECTOR_UP, name)
        started = time.perf_counter()
        try:
            self.collector.collect()
            up.set(1)
        except Exception as error:  # what the system says may have any form; everything else goes on
            if up.value != 0:
                logger.error("collector failed", extra={"collector": name, "error": str(error)})
            up.set(0)
        self._table.cell(c.COLLECTOR_TIME, name).set(time.perf_counter() - started)
        self._table.cell(c.COLLECTED).set(self._clock())


class ProbeSource(Source):
    """Probes services, if there is a file of targets. ``singleton`` runs ``prober`` on one replica."""

    name = "probes"

    def __init__(self, prober: Prober, singleton: Singleton, *, enabled: bool) -> None:
        self._prober = prober
        self._singleton = singleton
        self._enabled = enabled

    async def run(self) -> None:
        """Probe until cancelled."""
        await (self._singleton.run() if self._enabled else super().run())

    def notes(self) -> Sequence[str]:
        """Return the names of the targets."""
        return [f"targets to probe: {', '.join(self._prober.names) or 'none'}"]


class CustomSource(Source):
    """Runs the installed collectors every ``interval`` seconds."""

    name = "installed collectors"

    def __init__(self, table: SeriesTable, *, interval: float) -> None:
        """Load the installed collectors."""
        self._interval = interval
        self._collectors = CustomCollectors(table, limit=min(LIMIT_SECONDS, interval))

    async def run(self) -> None:
        """Collect until cancelled."""
        await every(self._interval, self._collectors.collect)

    def render(self, *, openmetrics: bool) -> str:
        """Return the samples of the last run."""
        return self._collectors.render(openmetrics=openmetrics)

    def notes(self) -> Sequence[str]:
        """Return the names of the collectors."""
        return [f"collectors installed: {', '.join(self._collectors.names) or 'none'}"]
