"""The store put together: HTTP server, database, and what runs beside them."""

import asyncio
import contextlib
import logging
import time

from aiohttp import web

from jelmon import __version__
from jelmon.catalogue import (
    STORE_EXACT,
    STORE_INFO,
    STORE_MAINTENANCE,
    STORE_QUEUE,
    STORE_QUEUE_LIMIT,
    STORE_SERIES,
    STORE_SERIES_CREATED,
    STORE_SPOOL,
    STORE_SUCCESS,
    STORE_UP,
    Service,
)
from jelmon.database.postgres import Connection, PostgresDatabase
from jelmon.errors import SourceError
from jelmon.service.lifecycle import BackgroundTasks, every
from jelmon.service.registry import Instruments
from jelmon.service.web import Check, Link, Server, WebConfig, landing_page
from jelmon.service.web.metrics import metrics_handler
from jelmon_store.ha.deduplication import HaDeduplication
from jelmon_store.ha.leases import HaLeases
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.read.api import ReadApi
from jelmon_store.schema import SCHEMA
from jelmon_store.series.cache import SeriesCache
from jelmon_store.series.registry import SeriesRegistry
from jelmon_store.settings import StoreSettings
from jelmon_store.spool.files import SpoolFiles
from jelmon_store.spool.receiver import SpoolingReceiver
from jelmon_store.write.api import MAX_BODY_BYTES, WriteApi
from jelmon_store.write.api import PATH as WRITE_PATH
from jelmon_store.write.rate import SampleRate
from jelmon_store.write.receiver import Receiver
from jelmon_store.write.writer import Writer

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 5.0
_WRITING_CONNECTIONS = 2
_RETENTION_SECONDS = 60.0


class Store:
    """The service, as production and tests start it."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._instruments = Instruments(Service.STORE)
        # while one connection waits for its commit, another one writes series of other targets
        self._samples = [PostgresDatabase(settings.database_url, SCHEMA) for _ in range(_WRITING_CONNECTIONS)]
        self._lookups = PostgresDatabase(settings.database_url, SCHEMA)
        limits = settings.limits
        self._cache = SeriesCache(limits.cached_series)
        self._registry = SeriesRegistry(self._lookups, self._cache, series_per_metric=limits.series_per_metric)
        self._writer = Writer(self._samples, self._cache, max_queue=limits.queued_samples)
        receiver = Receiver(
            self._cache,
            self._registry,
            self._writer,
            pairs=HaDeduplication(
                HaLeases(self._lookups), cluster_label=settings.cluster_label, replica_label=settings.replica_label
            ),
            rate=SampleRate(limits.samples_per_second),
            limits=limits.wire,
        )
        self._spool = (
            SpoolingReceiver(receiver, SpoolFiles(settings.spool, limit=settings.spool_bytes))
            if settings.spool is not None
            else None
        )
        self._write_api = WriteApi(self._spool or receiver, self._instruments, tenant_header=settings.tenant_header)
        self._read_api = ReadApi(
            settings.database_url, settings.reading, self._instruments, tenant_of=self._write_api.tenant_of
        )
        self._maintenance = Maintenance(settings.database_url, settings.retention, succeeded=self._maintained)
        self._check = Check(True, "not used yet")
        self._counted = {STORE_EXACT: 0, STORE_SERIES_CREATED: 0}
        config = WebConfig.load(settings.web_config) if settings.web_config else None
        self.server = Server(
            "store", checks=self._checks, config=config, max_body=MAX_BODY_BYTES, repeated=(WRITE_PATH,)
        )
        self.server.app.add_routes(self._routes())
        self.background = BackgroundTasks()

    async def start(self) -> None:
        """Migrate the database and listen. Without the database, listen and answer with 503 until it responds.

        Raises:
            ConfigError: a setting can never work.
        """
        self._instruments.set(STORE_INFO, 1, version=__version__)
        self._instruments.set(STORE_SUCCESS, time.time())
        self._instruments.set(STORE_MAINTENANCE, time.time())
        self._instruments.set(STORE_QUEUE_LIMIT, self._settings.limits.queued_samples)
        with contextlib.suppress(SourceError):  # the check reports it
            await self._samples[0].start()
        try:
            for number in range(len(self._samples)):
                self.background.start(self._writer.run(number), name=f"writer {number}")
            if self._spool is not None:
                self.background.start(self._spool.run(), name="spool")
            self.background.start(every(_CHECK_SECONDS, self._check_database), name="check")
            self.background.start(
                every(_RETENTION_SECONDS, self._registry.refresh_retention, suppress=(SourceError,)), name="retention"
            )
            self.background.start(self._maintenance.run(), name="maintenance")
            await self.server.start(self._settings.listen)
        except BaseException:
            await self.stop()
            raise
        logger.info("store listens", extra={"url": self.server.url})

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, then close the database. No task and no thread is left."""
        await self.server.stop()
        try:
            await self.background.stop()
        finally:
            if self._spool is not None:
                self._spool.close()
            await asyncio.gather(
                *(one.stop() for one in (*self._samples, self._lookups)),
                self._read_api.stop(),
            )

    def _maintained(self) -> None:
        self._instruments.set(STORE_MAINTENANCE, time.time())

    async def _check_database(self) -> None:
        try:
            await self._samples[0].read(_ping)
        except SourceError as error:
            if self._check.ok:
                logger.warning("the database does not respond", extra={"error": error.message})
            self._check = Check(False, "does not respond")
        else:
            self._check = Check(True, f"{len(self._cache)} series in use")

    def _checks(self) -> dict[str, Check]:
        return {"database": self._check}

    def _routes(self) -> list[web.RouteDef]:
        links = [Link("/metrics", "Metrics"), Link("/health", "Health")]
        return [
            web.get("/", landing_page("jelmon store", links, self._checks, lambda: "")),
            web.get("/metrics", self._metrics),
            *self._write_api.routes(),
            *self._read_api.routes(),
        ]

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        show = self._instruments.set
        show(STORE_UP, self._check.ok)
        show(STORE_QUEUE, self._writer.queued)
        show(STORE_SERIES, len(self._cache))
        show(STORE_SPOOL, self._spool.size if self._spool is not None else 0)
        for metric, total in ((STORE_EXACT, self._writer.exact), (STORE_SERIES_CREATED, self._registry.created)):
            self._instruments.inc(metric, total - self._counted[metric])
            self._counted[metric] = total
        return await metrics_handler(self._instruments)(request)


async def _ping(connection: Connection) -> None:
    await connection.execute("SELECT 1")
