"""Publishes events that arrive over HTTP to the stream, over a connection of its own."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from jelmon import catalogue as c
from jelmon.client import Published, Publisher
from jelmon.errors import EventError, JelmonError, SourceError
from jelmon.nats.connection import NatsSettings
from jelmon.service.backoff import Backoff
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.sources.source import Source

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.5


class Forwarding(Source):
    """An `EventSink` over NATS. It publishes while it is connected; `run` maintains the connection."""

    name = "forwarding"

    def __init__(self, settings: NatsSettings, table: SeriesTable, *, patience: float = PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._patience = patience
        self._publisher: Publisher | None = None
        self._up = table.cell(c.SOURCE_UP, "http")
        self._up.set(0)

    @property
    def up(self) -> bool:
        """Whether events can be stored."""
        return self._up.value == 1

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Store encoded events in the stream, those of a partition together; return the result of each.

        Raises:
            SourceError: there is no connection.
        """
        if self._publisher is None:
            raise SourceError(
                "the exporter has no connection to NATS",
                hint="send the whole request again; to count without NATS, start the exporter with --nats.url none",
            )
        return await self._publisher.publish_each(payloads)

    async def run(self) -> None:
        """Connect, and stay connected until cancelled."""
        backoff = Backoff(0.5, 5.0)
        while True:
            publisher = Publisher(
                settings=self._settings, name="jelmon-exporter-http", patience=self._patience, connect_patience=2.0
            )
            try:
                await publisher.connect()
                backoff.reset()
                self._publisher = publisher
                while True:  # from now on the publisher restores its connection
                    self._up.set(1 if publisher.connected else 0)
                    await asyncio.sleep(_POLL_SECONDS)
            except JelmonError as error:
                logger.debug("no connection for events over HTTP", extra={"error": str(error)})
            finally:
                self._publisher = None
                self._up.set(0)
                with contextlib.suppress(Exception):  # the connection may be broken already
                    await publisher.close()
            await backoff.wait()
