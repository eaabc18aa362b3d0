"""The publisher for asyncio."""

import asyncio
import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

import nats.errors
from nats.aio.client import Client

from jelmon.client.batching import Batching
from jelmon.client.cards import Card, Run
from jelmon.client.delivery import Delivery, Done, Published, Summary
from jelmon.errors import ConfigError, EventError, SourceError
from jelmon.events import (
    MAX_BATCH_EVENTS,
    CardFinished,
    Envelope,
    PipelineDeclared,
    StageFinished,
    encode,
    identity,
    parse,
)
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import subject_of
from jelmon.service import tasks
from jelmon.service.backoff import Backoff

logger = logging.getLogger(__name__)

WINDOW = 4000
"""Default number of events in flight: more than a full message for each of the 16 partitions."""


class Publisher:
    """Publishes events and waits until they are stored.

    An event is sent at once, with source and id as ``Nats-Msg-Id``. Under load, waiting events of a partition share one
    message. A message is resent under the same id, with growing pauses and across reconnects, until JetStream
    acknowledges it or ``patience`` (seconds) ends. Resending never creates a second event, even if the caller resends
    events in other batches: the exporter deduplicates by event id.
    """

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
        """Configure the server by ``url``, ``settings``, or ``NATS_*`` in the environment, in this order.

        ``window`` is the maximum number of events in flight, ``batch`` the maximum per message. Events of one card keep
        their order; with a batch of 1, all events do.

        Raises:
            ConfigError: ``batch`` is out of range.
        """
        if not 1 <= batch <= MAX_BATCH_EVENTS:
            raise ConfigError(
                f"batch: {batch} events per message is not allowed", hint=f"write a number from 1 to {MAX_BATCH_EVENTS}"
            )
        self._settings = settings if settings is not None and url is None else None
        self._url = url
        self._name = name
        self._window = window
        self._batch = batch
        self._patience = patience
        self._connect_patience = connect_patience
        self._client: Client | None = None
        self._batching: Batching | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, unless connected.

        Raises:
            SourceError: NATS does not answer or refuses the connection.
            ConfigError: the settings are wrong.
        """
        if self._client is not None:
            return
        settings = self._settings or NatsSettings.from_environ(os.environ, url=self._url)
        delivery = Delivery(patience=self._patience)
        self._client = await self._open(settings, delivery)
        self._keeper = asyncio.create_task(self._keep(settings, delivery), name="publisher's connection")
        self._batching = Batching(delivery, window=self._window, most=self._batch, patience=self._patience)
        self._batching.open()

    async def _open(self, settings: NatsSettings, delivery: Delivery) -> Client:
        client = await connection.connect(
            settings,
            name=self._name,
            patience=self._connect_patience,
            on_disconnected=delivery.on_disconnected,
            on_reconnected=delivery.on_reconnected,
        )
        try:
            await delivery.open(client)
        except BaseException as error:
            await delivery.on_disconnected()
            await client.close()
            if isinstance(error, nats.errors.Error | OSError):
                raise streams.stream_error(error) from error
            raise
        return client

    async def _keep(self, settings: NatsSettings, delivery: Delivery) -> None:
        """Replace the client whenever it is closed for good, as after a change of its password."""
        backoff = Backoff(0.25, 5.0)
        while self._client is not None:
            await connection.closed(self._client)
            await delivery.on_disconnected()
            try:
                self._client = await self._open(settings, delivery)
                backoff.reset()
            except SourceError as error:
                if backoff.failures == 0:
                    logger.warning("the connection to NATS was closed: %s; retrying", error.message)
                delivery.trouble = error
                await backoff.wait()

    async def close(self) -> None:
        """Close the connection. Unacknowledged events fail."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await tasks.end(keeper)
        client, self._client = self._client, None
        batching, self._batching = self._batching, None
        if batching is not None:
            await batching.close()
        if client is not None:
            await client.close()

    async def ensure_stream(self) -> bool:
        """Create the stream of events if it does not exist; return True if it was created."""
        if self._client is None:
            raise _not_connected()
        return await streams.ensure_stream(self._client.jetstream())

    async def publish(self, event: Envelope) -> Published:
        """Publish one event and wait until it is stored.

        Raises:
            EventError: the event is invalid.
            SourceError: it was not stored: NATS is down, or there is no stream.
        """
        stored: asyncio.Future[Published] = asyncio.get_running_loop().create_future()

        def done(result: Published | SourceError) -> None:
            if stored.cancelled():
                return
            if isinstance(result, SourceError):
                stored.set_exception(result)
            else:
                stored.set_result(result)

        await self._send(event, done)
        return await stored

    async def publish_many(self, events: Iterable[Envelope] | AsyncIterable[Envelope]) -> Summary:
        """Publish many events concurrently and wait until all are stored; much faster than one by one.

        Raises:
            EventError: an event is invalid; those before it are stored, those after it were not sent.
            SourceError: an event was not stored; the message has the number that were. Resending all is safe.
        """
        batch = _Batch()
        try:
            async for event in _each(events):
                batch.in_flight += 1
                try:
                    await self._send(event, batch.done)
                except BaseException:
                    batch.in_flight -= 1
                    raise
                if batch.error is not None:
                    break
        except Exception:
            await batch.landed()
            raise
        await batch.landed()
        if batch.error is not None:
            raise SourceError(
                f"{batch.error.message} ({batch.stored + batch.duplicates} events of the batch are stored)",
                hint=batch.error.hint,
            ) from batch.error
        return Summary(batch.stored, batch.duplicates)

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Publish encoded events in order and unchanged, with unknown fields; return the result of each.

        Raises:
            SourceError: the publisher is not connected.
        """
        if self._batching is None:
            raise _not_connected()
        results: list[asyncio.Future[Published | EventError | SourceError]] = []
        away: SourceError | None = None
        for payload in payloads:
            pending: asyncio.Future[Published | EventError | SourceError] = asyncio.get_running_loop().create_future()
            results.append(pending)
            try:
                event = parse(payload)
                if away is not None:  # wait for the connection only once
                    raise away
                await self._put(event, payload, _resolve(pending))
            except EventError as error:
                pending.set_result(error)
            except SourceError as error:
                away = error
                pending.set_result(error)
        return list(await asyncio.gather(*results))

    @property
    def connected(self) -> bool:
        """Whether the publisher is connected; a lost connection is restored automatically."""
        return self._client is not None and self._client.is_connected

    @asynccontextmanager
    async def card(self, card: Card) -> AsyncIterator[Run]:
        """Publish that the card started, and at the end of the block that it finished, with the outcome."""
        await self.publish(card.started())
        run = Run()
        try:
            yield run
        except BaseException as error:
            await self._publish_or_log(run.card_finished(card, error))
            raise
        await self.publish(run.card_finished(card))

    @asynccontextmanager
    async def stage(self, card: Card, stage: str, *, worker: str | None = None, attempt: int = 1) -> AsyncIterator[Run]:
        """Publish that the stage started, and at the end of the block that it finished, with the outcome.

        The outcome follows from the exception that leaves the block (none: success; TimeoutError: timeout;
        AssertionError: failure; cancelled; else error), unless the block sets ``run.outcome``.
        """
        await self.publish(card.stage_started(stage, attempt=attempt, worker=worker))
        run = Run()
        try:
            yield run
        except BaseException as error:
            await self._publish_or_log(run.stage_finished(card, stage, attempt=attempt, worker=worker, error=error))
            raise
        await self.publish(run.stage_finished(card, stage, attempt=attempt, worker=worker))

    async def _publish_or_log(self, event: CardFinished | StageFinished) -> None:
        """Publish during exception handling; a failure is logged, so that it does not replace the exception."""
        try:
            await self.publish(event)
        except SourceError as error:
            logger.warning("event lost", extra={"event_id": event.id, "error": error.message})

    async def _send(self, event: Envelope, done: Done) -> None:
        payload = encode(event)
        parse(payload)
        await self._put(event, payload, done)

    async def _put(self, event: Envelope, payload: bytes, done: Done) -> None:
        if self._batching is None:
            raise _not_connected()
        # consumers that start read the last declaration on each subject
        alone = isinstance(event, PipelineDeclared)
        await self._batching.send(subject_of(event), payload, identity(event), done, alone=alone)


class _Batch:
    """Counts the results of many events, without a future for each."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.stored = 0
        self.duplicates = 0
        self.error: SourceError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def done(self, result: Published | SourceError) -> None:
        self.in_flight -= 1
        if isinstance(result, SourceError):
            self.error = self.error or result
        elif result.duplicate:
            self.duplicates += 1
        else:
            self.stored += 1
        if self.in_flight == 0 and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def landed(self) -> None:
        """Wait until nothing is in flight."""
        if self.in_flight:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


async def _each(events: Iterable[Envelope] | AsyncIterable[Envelope]) -> AsyncIterator[Envelope]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


def _resolve(pending: "asyncio.Future[Published | EventError | SourceError]") -> Done:
    def done(result: Published | SourceError) -> None:
        if not pending.done():  # else cancelled: nothing is waiting
            pending.set_result(result)

    return done


def _not_connected() -> SourceError:
    return SourceError(
        "the publisher is not connected", hint="use it in a `with` block (`async with Publisher(...) as publisher:`)"
    )
