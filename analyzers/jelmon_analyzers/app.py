"""The analyzer put together: an HTTP server, and the analyzers that it was asked to run beside each other."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from aiohttp import web

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.service.lifecycle import BackgroundTasks
from jelmon.service.metrics_page import metrics_handler
from jelmon.service.registry import Instruments
from jelmon.service.web import Check, Link, Server, WebConfig, landing_page

logger = logging.getLogger(__name__)


class Runner(Protocol):
    """One analyzer: runs until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled."""

    def checks(self) -> Mapping[str, Check]:
        """The state of what it depends on."""


MakeRunner = Callable[[Instruments], Runner]


class Analyzer:
    """The service, as production and tests start it."""

    def __init__(
        self, makers: Mapping[str, MakeRunner], *, listen: ListenAddress, web_config: Path | None = None
    ) -> None:
        self._listen = listen
        self._instruments = Instruments(Service.ANALYZER)
        self.runners = {name: make(self._instruments) for name, make in makers.items()}
        config = WebConfig.load(web_config) if web_config else None
        self.server = Server("analyzer", checks=self._checks, config=config)
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
        """Listen and run.

        Raises:
            ConfigError: the port is taken.
        """
        await self.server.start(self._listen)
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
