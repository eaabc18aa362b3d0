"""The exporter as a whole: sources, state, `/metrics` and health. Tests start it as production does."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from aiohttp import web as http
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from jelmon import __version__
from jelmon import catalogue as c
from jelmon.errors import ConfigError
from jelmon.nats.subjects import PARTITIONS
from jelmon.service import web
from jelmon.service.lifecycle import BackgroundTasks
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.reloading import PATH as RELOAD_PATH
from jelmon_exporter.reloading import Files, Reloader
from jelmon_exporter.replicas.leadership import Leadership
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.shared_probing import PART as PROBES_PART
from jelmon_exporter.replicas.shared_probing import probing
from jelmon_exporter.replicas.singleton import PROBES
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.serving.compression import PageCompressor
from jelmon_exporter.serving.exposition import Format, accepts_gzip, choose_format, pieces
from jelmon_exporter.serving.overview import overview
from jelmon_exporter.serving.realtime import RealtimeFigures
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.http import PATH as EVENTS_PATH
from jelmon_exporter.sources.jetstream import JetStreamSource
from jelmon_exporter.sources.table import SourceContext, open_event_source, open_sources
from jelmon_exporter.state.disk import DiskStore
from jelmon_exporter.state.memory import MemoryStore
from jelmon_exporter.state.redis import RedisStore
from jelmon_exporter.state.store import StateStore

logger = logging.getLogger(__name__)

STOP_SECONDS = 4.0
MAX_SCRAPES = 8
REFRESH_SECONDS = 0.5
"""How long a scrape waits for the state store before it gets the values known so far."""


def open_store(settings: ExporterSettings) -> StateStore:
    """Return the state store that the settings ask for."""
    if settings.redis_url is not None:
        return RedisStore(settings.redis_url, password=settings.redis_password, prefix=settings.redis_prefix)
    return DiskStore(settings.state_path, sole=settings.nats is None) if settings.state_path else MemoryStore()


class Exporter:
    """One exporter. Between `start` and `stop` it serves, whatever happens to NATS or Redis."""

    def __init__(
        self,
        settings: ExporterSettings,
        *,
        store: StateStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the files that the settings name. ``store`` replaces the one from the settings.

        Raises:
            ConfigError, DefinitionError: a file is invalid.
        """
        self._settings = settings
        self._clock = clock
        self.process_series = SeriesTable()
        resets = self.process_series.cell(c.EXPORTER_RESETS, "rollback")
        self.view = View(PARTITIONS, on_reset=resets.add)
        self.store = store or open_store(settings)
        self.leadership = (
            Leadership(settings.nats, self.view, self.process_series.cell(c.EXPORTER_RESETS, "takeover"))
            if settings.nats is not None and isinstance(self.store, DiskStore)
            else None
        )
        self._process_view = View()  # exposed while another replica exposes what was counted
        counting = CountingContext(
            store=self.store,
            view=self.view,
            process_series=self.process_series,
            limits=settings.limits,
            admission=Admission(settings.label_limit),
            partitions=PARTITIONS,
            clock=clock,
            leadership=self.leadership,
        )
        self._scheduler = counting.scheduler
        store_up = self.process_series.cell(c.STATE_STORE_UP)
        self.mirror = Mirror(self.store, self.view, PARTITIONS, up=store_up, extra_parts={PROBES: PROBES_PART})
        self.source, self.sink = open_event_source(settings, counting, self.mirror)
        self.realtime = RealtimeFigures(self.store, self.view, clock) if isinstance(self.store, RedisStore) else None
        self.prober, singleton = probing(self.store, self.leadership, self.process_series, self.view, self.mirror)
        self.sources = open_sources(
            SourceContext(
                settings=settings,
                counting=counting,
                prober=self.prober,
                probing=singleton,
                events=self.source,
                sink=self.sink,
            )
        )
        self.process_series.cell(c.EXPORTER_INFO, __version__, self.store.name).set(1)
        self.process_series.cell(c.STATE_STORE_UP).set(1)
        self._use(Files.read(settings))
        self.reloader = Reloader(settings, self.process_series, self._use, clock=clock)
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)
        config = web.WebConfig.load(settings.web_config_file) if settings.web_config_file else None
        accounts = web.Accounts(EVENTS_PATH, frozenset(settings.events_users))
        if unknown := accounts.unknown(config.users if config else ()):
            raise ConfigError(
                f"--web.events-users: {unknown[0]!r} is not a user of {settings.web_config_file}",
                hint="add it to basic_auth_users",
            )
        self.server = web.Server(
            "exporter",
            checks=self.checks,
            config=config,
            accounts=accounts,
            writable=f"POST {EVENTS_PATH}" if settings.events else "",
            on_reload=self.process_series.cell(c.EXPORTER_WEB_CONFIG_RELOADED).set,
        )
        self.server.app.router.add_get(settings.telemetry_path, self._metrics)
        self.server.app.add_routes(route for source in self.sources for route in source.routes())
        self.server.app.router.add_post(RELOAD_PATH, self.reloader.answer)
        links = [web.Link(settings.telemetry_path, "Metrics"), web.Link("/health", "Health")]
        self.server.app.router.add_get("/", web.landing_page("jelmon exporter", links, self.checks, self._overview))
        self._compressors = {form: PageCompressor() for form in Format}
        self._scrapes = 0
        self.background = BackgroundTasks()
        self._counting: asyncio.Task[None] | None = None

    def _use(self, files: Files) -> None:
        self.view.redeclare("file", files.pipelines)
        self.prober.set_targets(files.targets)

    @property
    def url(self) -> str:
        """The URL that it listens on, after `start`."""
        return self.server.url

    async def start(self) -> None:
        """Listen and start counting.

        Raises:
            ConfigError: the port is in use.
        """
        await self.server.start(self._settings.listen_address)
        start = self.background.start
        for source in self.sources:
            task = start(source.run(), name=source.name)
            if source is self.source:
                self._counting = task
        start(self.mirror.run(), name="mirror")
        if self.realtime is not None:
            start(self.realtime.run(), name="real-time figures")
        if self.leadership is not None and isinstance(self.source, JetStreamSource):
            start(self.leadership.run(self.source), name="leadership")
        logger.info("exporter listens", extra={"url": f"{self.url}{self._settings.telemetry_path}"})

    async def stop(self) -> None:
        """Commit what was received, close everything, and leave no task behind."""
        self.source.stop()
        try:
            if self._counting is not None:
                done, _ = await asyncio.wait([self._counting], timeout=STOP_SECONDS)
                if not done:
                    logger.warning("stopped without a last checkpoint: NATS or the state store does not answer")
            await self.background.stop()
        finally:
            await self.server.stop()
            await self.store.close()

    def checks(self) -> Mapping[str, web.Check]:
        """Return the state of each dependency. Ready: events come in, and everything counted so far is loaded."""
        store_up = self.process_series.cell(c.STATE_STORE_UP).value == 1
        warm = self.view.complete and (self.realtime is None or self.realtime.warm)
        checks = {
            "events": web.Check(self.source.up, self.source.trouble),
            "state": web.Check(store_up and warm, "" if warm else "not loaded yet"),
        }
        if self.leadership is not None:
            checks["lease"] = web.Check(*self.leadership.state())
        return checks

    def notes(self) -> list[str]:
        """Return lines for ``--check-config``."""
        return [
            *(f"warning: {warning}" for warning in self.server.warnings(self._settings.listen_address)),
            *(note for source in self.sources for note in source.notes()),
        ]

    # --- pages ---

    def _exposed(self) -> View:
        """Return what to expose now: everything, or only this process's series while another replica leads."""
        changes = self.process_series.drain()
        self.view.update("process", changes)
        if self.leadership is None:
            return self.view
        self._process_view.update(
            "process", {key: value for key, value in changes.items() if key[0] != c.PARTITION_OWNED.name}
        )
        return self.view if self.leadership.exposes else self._process_view

    def _overview(self) -> str:
        return overview(self._exposed(), self.prober.results, now=self._clock())

    def _page(self, form: Format) -> list[str]:
        """Return the page at ``/metrics``, in pieces."""
        self.view.accept_decreases()
        encode = openmetrics.generate_latest if form is Format.OPENMETRICS else generate_latest
        page = list(pieces(self._exposed(), form, self._leave_out))
        more: dict[str, Callable[[], str]] = {
            source.name: partial(source.render, openmetrics=form is Format.OPENMETRICS) for source in self.sources
        }
        more["process"] = lambda: bytes(encode(self._process)).decode()
        for name, text in more.items():
            try:
                page.append(text())
            except Exception as error:
                self._leave_out(name, error)
        if form is Format.OPENMETRICS and not page[-1].endswith("# EOF\n"):
            page.append("# EOF\n")
        return page

    def _leave_out(self, name: str, error: Exception) -> None:
        """Count a part of the page that cannot be rendered; all others are exposed."""
        failed = self.process_series.cell(c.EXPOSITION_FAULTS, name)
        if not failed.value:
            logger.error("left out of /metrics", extra={"family": name, "error": repr(error)[:500]})
        failed.add()

    async def _metrics(self, request: http.Request) -> http.Response:
        if self._scrapes >= MAX_SCRAPES:
            return http.Response(status=503, text="too many scrapes at once\n", headers={"Retry-After": "1"})
        self._scrapes += 1
        try:
            with self._scheduler.scrape():
                return await self._answer(request)
        finally:
            self._scrapes -= 1

    async def _answer(self, request: http.Request) -> http.Response:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.mirror.refresh(), REFRESH_SECONDS)
        form = choose_format(request.headers.get("Accept", ""))
        page = self._page(form)
        headers = {"Content-Type": form.value, "Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return http.Response(body=self._compressors[form].compress(page), headers=headers)
        return http.Response(body="".join(page).encode(), headers=headers)
