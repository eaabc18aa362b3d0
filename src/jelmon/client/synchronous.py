"""The publisher for programs without asyncio: blocking calls to an event loop in a separate thread."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from jelmon.client.asynchronous import WINDOW, Publisher
from jelmon.client.cards import Card, Run
from jelmon.client.delivery import Published, Summary
from jelmon.errors import SourceError
from jelmon.events import MAX_BATCH_EVENTS, Envelope
from jelmon.nats.connection import NatsSettings
from jelmon.service import tasks

logger = logging.getLogger(__name__)
_CHUNK = 5000
T = TypeVar("T")


class SyncPublisher:
    """A blocking `Publisher`. It is thread-safe; start it after a fork, not before."""

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: NatsSettings | None = None,
        name: str = "jelmon-client",
        window: int = WINDOW,
        batch: int = MAX_BATCH_EVENTS,
        patience: float = 30.0,
        connect_patience: float = 5.0,
    ) -> None:
        """Configure the publisher as for `Publisher`."""
        self._publisher = Publisher(
            url,
            settings=settings,
            name=name,
            window=window,
            batch=batch,
            patience=patience,
            connect_patience=connect_patience,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Start the thread and connect, unless connected.

        Raises:
            SourceError: NATS does not answer or refuses the connection.
            ConfigError: the settings are wrong.
        """
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="jelmon-publisher", daemon=True)
            self._thread.start()
        try:
            self._call(self._publisher.connect())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and stop the thread."""
        if self._loop is None or self._thread is None:
            return
        loop, thread = self._loop, self._thread
        try:
            self._call(self._publisher.close())
            self._call(_end_tasks())
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def ensure_stream(self) -> bool:
        """Create the stream of events if it does not exist; return True if it was created."""
        return self._call(self._publisher.ensure_stream())

    def publish(self, event: Envelope) -> Published:
        """Publish one event and wait until it is stored.

        Raises:
            EventError: the event is invalid.
            SourceError: it was not stored: NATS is down, or there is no stream.
        """
        return self._call(self._publisher.publish(event))

    def publish_many(self, events: Iterable[Envelope]) -> Summary:
        """Publish many events concurrently and wait until all are stored.

        Raises:
            EventError: an event is invalid.
            SourceError: an event was not stored. Resending all is safe.
        """
        stored = duplicates = 0
        remaining = iter(events)  # consumed in the caller's thread, where its generator belongs
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            summary = self._call(self._publisher.publish_many(chunk))
            stored += summary.stored
            duplicates += summary.duplicates
        return Summary(stored, duplicates)

    @contextmanager
    def card(self, card: Card) -> Iterator[Run]:
        """Publish that the card started, and at the end of the block that it finished, with the outcome."""
        self.publish(card.started())
        run = Run()
        try:
            yield run
        except BaseException as error:
            self._publish_or_log(run.card_finished(card, error))
            raise
        self.publish(run.card_finished(card))

    @contextmanager
    def stage(self, card: Card, stage: str, *, worker: str | None = None, attempt: int = 1) -> Iterator[Run]:
        """Publish that the stage started, and at the end of the block that it finished, with the outcome.

        The outcome follows from the exception that leaves the block, as for `Publisher.stage`.
        """
        self.publish(card.stage_started(stage, attempt=attempt, worker=worker))
        run = Run()
        try:
            yield run
        except BaseException as error:
            self._publish_or_log(run.stage_finished(card, stage, attempt=attempt, worker=worker, error=error))
            raise
        self.publish(run.stage_finished(card, stage, attempt=attempt, worker=worker))

    def _publish_or_log(self, event: Envelope) -> None:
        """Publish during exception handling; a failure is logged, so that it does not replace the exception."""
        try:
            self.publish(event)
        except SourceError as error:
            logger.warning("event lost", extra={"event_id": event.id, "error": error.message})

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            coroutine.close()
            raise SourceError(
                "the publisher is not connected",
                hint="use it in a `with` block (`with SyncPublisher(...) as publisher:`)",
            )
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


async def _end_tasks() -> None:
    """End the remaining tasks of the connection, so that closing the loop leaves none behind."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*(tasks.end(task) for task in others), return_exceptions=True)
