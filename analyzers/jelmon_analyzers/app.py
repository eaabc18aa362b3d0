"""The analyzer put together: an HTTP server, and the analyzers that it was asked to run beside each other."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from aiohttp import web

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.service import tasks
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
                web.get("/metrics", self._metrics),
            ]
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] | None = None
        """Done with an error when an analyzer ends, which none may."""

    async def start(self) -> None:
        """Listen and run.

        Raises:
            ConfigError: the port is taken.
        """
        self.failed = asyncio.get_running_loop().create_future()
        await self.server.start(self._listen)
        for name, runner in self.runners.items():
            task = asyncio.create_task(runner.run(), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        logger.info("analyzer listens", extra={"url": self.server.url, "analyzers": ", ".join(self.runners)})

    async def stop(self) -> None:
        """Stop listening and running; leaves no task."""
        await self.server.stop()
        await asyncio.gather(*(tasks.end(task) for task in self._tasks), return_exceptions=True)
        self._tasks.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.failed is None or self.failed.done():
            return
        error = task.exception()
        self.failed.set_exception(error if error is not None else RuntimeError(f"{task.get_name()} ended"))

    def _checks(self) -> dict[str, Check]:
        return {
            f"{name} {what}" if len(self.runners) > 1 else what: check
            for name, runner in self.runners.items()
            for what, check in runner.checks().items()
        }

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._instruments.render(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response
