"""The publisher for asyncio."""

import asyncio
import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

from nats.aio.client import Client

from jelmon.client.batching import Batching
from jelmon.client.cards import Card, Run
from jelmon.client.delivery import Delivery, Done, Published, Summary
from jelmon.errors import ConfigError, EventError, SourceError
from jelmon.events import MAX_BATCH_EVENTS, CardFinished, Envelope, PipelineDeclared, StageFinished, encode, parse
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import subject_of

logger = logging.getLogger(__name__)

WINDOW = 4000
"""Events that may be unanswered at once, unless told otherwise: a full message for each of 16 partitions, and more."""


class Publisher:
    """Publishes events and waits until they are stored.

    An event goes out at once, with its id as ``Nats-Msg-Id``. Under load, when events have to wait for their turn,
    those of one partition of the stream go together in one message. What was sent is repeated under the same message
    id, with growing pauses and across reconnects, until JetStream acknowledges it or ``patience`` (seconds) ends. A
    repetition is never a second event, also one by the caller, which may group events in another way: the exporter
    knows their ids.
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
        """Take the server from ``url``, from ``settings``, or from ``NATS_*`` in the environment; in this order.

        ``window`` is how many events may wait for their acknowledgement at once, ``batch`` how many may go out in one
        message. With a batch of 1 events of different cards keep their order, too; otherwise those of one card do.

        Raises:
            ConfigError: no such batch.
        """
        if not 1 <= batch <= MAX_BATCH_EVENTS:
            raise ConfigError(f"a batch of {batch} events", hint=f"1 to {MAX_BATCH_EVENTS} may go in one message")
        self._settings = settings if settings is not None and url is None else None
        self._url = url
        self._name = name
        self._window = window
        self._batch = batch
        self._patience = patience
        self._connect_patience = connect_patience
        self._client: Client | None = None
        self._batching: Batching | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, unless connected.

        Raises:
            SourceError: NATS does not answer or refuses us.
            ConfigError: the settings are wrong.
        """
        if self._client is not None:
            return
        settings = self._settings or NatsSettings.from_environ(os.environ, url=self._url)
        delivery = Delivery(patience=self._patience)
        self._client = await connection.connect(
            settings,
            name=self._name,
            patience=self._connect_patience,
            on_disconnected=delivery.on_disconnected,
            on_reconnected=delivery.on_reconnected,
        )
        await delivery.open(self._client)
        self._batching = Batching(delivery, window=self._window, most=self._batch, patience=self._patience)
        self._batching.open()

    async def close(self) -> None:
        """Close the connection. Events that still wait for their acknowledgement are given up."""
        client, self._client = self._client, None
        batching, self._batching = self._batching, None
        if batching is not None:
            await batching.close()
        if client is not None:
            await client.close()

    async def ensure_stream(self) -> bool:
        """Create the stream of events if it is absent; True if it was. The exporter does this too, when it starts."""
        if self._client is None:
            raise _not_connected()
        return await streams.ensure_stream(self._client.jetstream())

    async def publish(self, event: Envelope) -> Published:
        """Publish one event and wait until it is stored.

        Raises:
            EventError: a consumer would refuse the event.
            SourceError: it could not be stored: NATS is away, or no stream takes events.
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
        """Publish events, many at once in flight, and wait until all are stored. Many times as fast as one by one.

        Raises:
            EventError: a consumer would refuse an event; those before it are stored, those after it were not sent.
            SourceError: an event could not be stored; how many were is said. All may be sent again.
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
        """Publish encoded events in order, each as it stands (fields we do not know included); tell the fate of each.

        Raises:
            SourceError: the publisher is not connected at all.
        """
        if self._batching is None:
            raise _not_connected()
        fates: list[asyncio.Future[Published | EventError | SourceError]] = []
        away: SourceError | None = None
        for payload in payloads:
            fate: asyncio.Future[Published | EventError | SourceError] = asyncio.get_running_loop().create_future()
            fates.append(fate)
            try:
                event = parse(payload)
                if away is not None:  # waiting once is enough
                    raise away
                await self._put(event, payload, _settle(fate))
            except EventError as error:
                fate.set_result(error)
            except SourceError as error:
                away = error
                fate.set_result(error)
        return list(await asyncio.gather(*fates))

    @property
    def closed(self) -> bool:
        """Whether there is no connection and none will come back."""
        return self._client is None or self._client.is_closed

    @property
    def connected(self) -> bool:
        """Whether there is a connection now; one that was lost comes back by itself."""
        return self._client is not None and self._client.is_connected

    @asynccontextmanager
    async def card(self, card: Card) -> AsyncIterator[Run]:
        """Tell that the card started, and at the end of the block that it finished, with the outcome."""
        await self.publish(card.started())
        run = Run()
        try:
            yield run
        except BaseException as error:
            await self._last_word(run.card_finished(card, error))
            raise
        await self.publish(run.card_finished(card))

    @asynccontextmanager
    async def stage(self, card: Card, stage: str, *, worker: str | None = None, attempt: int = 1) -> AsyncIterator[Run]:
        """Tell that a worker took the card, and at the end of the block that the stage finished, with the outcome.

        The outcome follows from the exception that leaves the block (none: success; TimeoutError: timeout;
        AssertionError: failure; cancelled; else error), unless the block sets ``run.outcome``.
        """
        await self.publish(card.stage_started(stage, attempt=attempt, worker=worker))
        run = Run()
        try:
            yield run
        except BaseException as error:
            await self._last_word(run.stage_finished(card, stage, attempt=attempt, worker=worker, error=error))
            raise
        await self.publish(run.stage_finished(card, stage, attempt=attempt, worker=worker))

    async def _last_word(self, event: CardFinished | StageFinished) -> None:
        """Publish while an exception is on its way, which must not be hidden by one of ours."""
        try:
            await self.publish(event)
        except SourceError as error:
            logger.warning("an event was lost", extra={"event_id": event.id, "error": error.message})

    async def _send(self, event: Envelope, done: Done) -> None:
        payload = encode(event)
        parse(payload)
        await self._put(event, payload, done)

    async def _put(self, event: Envelope, payload: bytes, done: Done) -> None:
        if self._batching is None:
            raise _not_connected()
        # who begins to listen asks the stream for the last declaration on each subject
        alone = isinstance(event, PipelineDeclared)
        await self._batching.send(subject_of(event), payload, event.id, done, alone=alone)


class _Batch:
    """Counts the fates of many events, without a future for each."""

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


def _settle(fate: "asyncio.Future[Published | EventError | SourceError]") -> Done:
    def done(result: Published | SourceError) -> None:
        if not fate.done():  # cancelled: nobody waits any more
            fate.set_result(result)

    return done


def _not_connected() -> SourceError:
    return SourceError(
        "the publisher is not connected", hint="use it in a `with` block (`async with Publisher(...) as publisher:`)"
    )
