"""The sources besides the stream, together: events over HTTP, probes of services, collectors that users add."""

import asyncio

from aiohttp import web as http

from jelmon.service.tasks import all_of
from jelmon_exporter.collectors.custom import LIMIT_SECONDS, CustomCollectors
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.replicas.singleton import Singleton
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.forwarding import Forwarding
from jelmon_exporter.sources.http import HttpSource, Keeper


class OtherSources:
    """What `run` keeps going until it is cancelled."""

    def __init__(
        self, settings: ExporterSettings, table: SeriesTable, prober: Prober, turns: Singleton, keeper: Keeper
    ) -> None:
        """Load the installed collectors. ``keeper`` takes events over HTTP; ``turns`` let ``prober`` work."""
        self._interval = settings.collection_interval
        self._http = HttpSource(keeper, table)
        self.keeper = keeper
        self.prober = prober
        self._probing = settings.targets_file is not None
        self._turns = turns
        self.custom = CustomCollectors(table, limit=min(LIMIT_SECONDS, self._interval))

    def routes(self) -> list[http.RouteDef]:
        """What to add to the server."""
        return self._http.routes()

    def notes(self) -> list[str]:
        """What was found, for people."""
        return [
            f"targets to probe: {', '.join(self.prober.names) or 'none'}",
            f"collectors installed: {', '.join(self.custom.names) or 'none'}",
        ]

    async def run(self) -> None:
        """Serve, probe and collect until cancelled."""
        work = [
            self._collect(),
            *([self.keeper.run()] if isinstance(self.keeper, Forwarding) else ()),
            *([self._turns.run()] if self._probing else ()),
        ]
        await all_of(*(asyncio.create_task(one) for one in work))

    async def _collect(self) -> None:
        while True:
            await self.custom.collect()
            await asyncio.sleep(self._interval)
