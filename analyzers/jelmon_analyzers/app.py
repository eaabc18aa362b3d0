"""The analyzer service: an HTTP server and the analyzers that this process runs."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp import web

from jelmon.catalogue import ANALYZER_WEB_CONFIG_RELOADED, Service
from jelmon.service.lifecycle import BackgroundTasks
from jelmon.service.registry import Instruments
from jelmon.service.web import Check, Link, Server, WebConfig, landing_page
from jelmon.service.web.metrics import metrics_handler
from jelmon_analyzers.settings import AnalyzerSettings

logger = logging.getLogger(__name__)


class Runner(Protocol):
    """One analyzer."""

    async def run(self) -> None:
        """Analyze until cancelled."""

    def checks(self) -> Mapping[str, Check]:
        """Return the state of each dependency."""


MakeRunner = Callable[[Instruments], Runner]


class Analyzer:
    """The service, as production and tests start it."""

    def __init__(self, makers: Mapping[str, MakeRunner], settings: AnalyzerSettings) -> None:
        self._settings = settings
        self._instruments = Instruments(Service.ANALYZER)
        self.runners = {name: make(self._instruments) for name, make in makers.items()}
        config = WebConfig.load(settings.web_config) if settings.web_config else None
        self.server = Server(
            "analyzer",
            checks=self._checks,
            config=config,
            on_reload=lambda good: self._instruments.set(ANALYZER_WEB_CONFIG_RELOADED, good),
        )
        links = [Link("/metrics", "Metrics"), Link("/health", "Health")]
        title = f"jelmon analyzer ({', '.join(self.runners)})"
        self.server.app.add_routes(
            [
                web.get("/", landing_page(title, links, self._checks, lambda: "")),
                web.get("/metrics", metrics_handler(self._instruments)),
            ]
        )
        self.background = BackgroundTasks()

    async def start(self) -> None:
        """Listen and start the analyzers.

        Raises:
            ConfigError: the service cannot listen on its address.
        """
        await self.server.start(self._settings.listen)
        for name, runner in self.runners.items():
            self.background.start(runner.run(), name=name)
        logger.info("analyzer listens", extra={"url": self.server.url, "analyzers": ", ".join(self.runners)})

    async def stop(self) -> None:
        """Stop listening and end the analyzers. No task is left."""
        await self.server.stop()
        await self.background.stop()

    def _checks(self) -> dict[str, Check]:
        return {
            f"{name} {what}" if len(self.runners) > 1 else what: check
            for name, runner in self.runners.items()
            for what, check in runner.checks().items()
        }
