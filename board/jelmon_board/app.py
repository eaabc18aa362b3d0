"""The board put together: HTTP server, collector, pages."""

import contextlib
import logging

from aiohttp import web

from jelmon import __version__
from jelmon.catalogue import BOARD_INFO, BOARD_WEB_CONFIG_RELOADED, Service
from jelmon.service.lifecycle import BackgroundTasks, every
from jelmon.service.registry import Instruments
from jelmon.service.web import Check, Server, WebConfig
from jelmon.service.web.metrics import metrics_handler
from jelmon_board.collection import Collector
from jelmon_board.pages.handlers import Pages
from jelmon_board.settings import BoardSettings

logger = logging.getLogger(__name__)


class Board:
    """The service, as production and tests start it."""

    def __init__(self, settings: BoardSettings) -> None:
        self._settings = settings
        self._instruments = Instruments(Service.BOARD)
        self.collector = Collector(settings.sources, self._instruments)
        link = settings.sources.alertmanager_link or settings.sources.alertmanager
        self._pages = Pages(
            self.collector, self._instruments, alertmanager_link=link, enable_actions=settings.enable_actions
        )
        config = WebConfig.load(settings.web_config) if settings.web_config else None
        self.server = Server(
            "board",
            checks=self._checks,
            config=config,
            require=self._require,
            writable="POST /actions" if settings.enable_actions else "",
            on_reload=lambda good: self._instruments.set(BOARD_WEB_CONFIG_RELOADED, good),
        )
        self.server.app.add_routes([web.get("/metrics", metrics_handler(self._instruments)), *self._pages.routes()])
        self.background = BackgroundTasks()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Read the sources once, and listen. Sources that do not answer are asked again.

        Raises:
            ConfigError: a setting can never work.
        """
        kind = "embedded" if self._settings.sources.embedded else "prometheus"
        self._instruments.set(BOARD_INFO, 1, version=__version__, lines=kind)
        await self.collector.start()
        self._stack.push_async_callback(self.collector.stop)
        try:
            await self.server.start(self._settings.listen)
            self.background.start(every(self._settings.refresh_seconds, self._collect), name="collector")
        except BaseException:
            await self.stop()
            raise
        logger.info("board listens", extra={"url": self.server.url})

    async def stop(self) -> None:
        """Stop listening and close the connections. No task and no thread is left."""
        self._pages.close()
        await self.server.stop()
        try:
            await self.background.stop()
        finally:
            await self._stack.aclose()

    async def _collect(self) -> None:
        """Read the sources. Whatever one of them sends, the board goes on and shows what it knew."""
        try:
            await self.collector.collect()
        except Exception:
            logger.exception("cannot use what the sources sent; they are read again")

    def _require(self, config: WebConfig) -> None:
        if self._pages.actions is not None:
            self._pages.actions.require(config, self._settings.listen)

    def _checks(self) -> dict[str, Check]:
        """Return the state of the sources. The board needs none of them: what is missing is on its pages."""
        return {
            name.lower(): Check(state.ok, state.problem, needed=False)
            for name, state in self.collector.snapshot.sources.items()
        }
