"""The files of targets and pipelines, which are read again at SIGHUP and, if that is enabled, at ``POST /-/reload``.

As with Prometheus: all files are taken or none, a bad one keeps the old in force, and two gauges tell how it went.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiohttp import web as http

from jelmon import catalogue as c
from jelmon.errors import JelmonError
from jelmon_exporter.collectors.targets import Target, load_targets
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.pipelines_file import load_pipelines
from jelmon_exporter.state.model import Declaration

logger = logging.getLogger(__name__)

PATH = "/-/reload"


class Files(NamedTuple):
    """What the files say."""

    targets: tuple[Target, ...]
    pipelines: Mapping[str, Declaration]

    @classmethod
    def read(cls, settings: ExporterSettings) -> "Files":
        """Read them; one that is not asked for is empty.

        Raises:
            DefinitionError: with every fault of the first file that is wrong, and its line.
        """
        return cls(
            load_targets(settings.targets_file) if settings.targets_file is not None else (),
            load_pipelines(settings.pipelines_file) if settings.pipelines_file is not None else {},
        )


class Reloader:
    """Reads the files again and hands them on. They were read once, and good, when this is made."""

    def __init__(
        self,
        settings: ExporterSettings,
        table: SeriesTable,
        take: Callable[[Files], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._take = take
        self._clock = clock
        self._good = table.cell(c.CONFIG_RELOADED)
        self._when = table.cell(c.CONFIG_RELOAD_TIME)
        self._note()

    def _note(self) -> None:
        self._good.set(1)
        self._when.set(self._clock())

    def reload(self) -> str:
        """Read them again; returns what is wrong, nothing if they are in force now."""
        try:
            files = Files.read(self._settings)
        except JelmonError as error:
            self._good.set(0)
            logger.error("files cannot be used, what was read before stays in force: %s", error)
            return str(error)
        self._take(files)
        self._note()
        logger.info("files read again", extra={"targets": len(files.targets), "pipelines": len(files.pipelines)})
        return ""

    async def answer(self, _: http.Request) -> http.Response:
        """``POST /-/reload``."""
        if not self._settings.lifecycle:
            return http.Response(status=403, text="start the exporter with --web.enable-lifecycle to allow this\n")
        trouble = self.reload()
        return http.Response(status=500, text=f"{trouble}\n") if trouble else http.Response()
