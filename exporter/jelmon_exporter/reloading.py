"""Reloads the files of targets and pipelines on SIGHUP and, if enabled, on ``POST /-/reload``.

As in Prometheus, all files are applied or none; after an error the old ones remain in force. Two gauges report the
result.
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
    """The content of the files."""

    targets: tuple[Target, ...]
    pipelines: Mapping[str, Declaration]

    @classmethod
    def read(cls, settings: ExporterSettings) -> "Files":
        """Read the files; one that is not configured is empty.

        Raises:
            DefinitionError: with every mistake in the first invalid file, and its line.
        """
        return cls(
            load_targets(settings.targets_file) if settings.targets_file is not None else (),
            load_pipelines(settings.pipelines_file) if settings.pipelines_file is not None else {},
        )


class Reloader:
    """Reads the files again and applies them. They must have been read successfully before."""

    def __init__(
        self,
        settings: ExporterSettings,
        table: SeriesTable,
        apply: Callable[[Files], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._apply = apply
        self._clock = clock
        self._good = table.cell(c.CONFIG_RELOADED)
        self._when = table.cell(c.CONFIG_RELOAD_TIME)
        self._record_success()

    def _record_success(self) -> None:
        self._good.set(1)
        self._when.set(self._clock())

    def reload(self) -> str:
        """Read the files again; return what is wrong, or an empty string once they are in force."""
        try:
            files = Files.read(self._settings)
        except JelmonError as error:
            self._good.set(0)
            logger.error("reload failed, the previous files remain in force: %s", error)
            return str(error)
        self._apply(files)
        self._record_success()
        logger.info("files reloaded", extra={"targets": len(files.targets), "pipelines": len(files.pipelines)})
        return ""

    async def answer(self, _: http.Request) -> http.Response:
        """Answer ``POST /-/reload``."""
        if not self._settings.lifecycle:
            return http.Response(status=403, text="start the exporter with --web.enable-lifecycle to allow this\n")
        trouble = self.reload()
        return http.Response(status=500, text=f"{trouble}\n") if trouble else http.Response()
