"""Events from the JetStream stream, each at the time when it arrived there."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from jelmon.errors import EventError, SourceError
from jelmon.events import parse, split
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.consumer import PullConsumer
from jelmon.nats.consumer_direct import new_client
from jelmon.nats.consumer_messages import Message, origin
from jelmon.nats.subjects import STREAM, takes
from jelmon_history.inputs.arrival import Arrival

_PARTITIONED = "jelmore.events.*.*.*"
_BATCH = 1000
_PATIENCE_SECONDS = 10.0
_NATS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


def arrivals(
    settings: NatsSettings, report: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[Arrival]:
    """Yield the events that are in the stream now. ``report`` gets the messages that were read, and how many there are.

    Raises:
        SourceError: NATS does not answer, or the reading was interrupted.
    """
    with asyncio.Runner() as runner:
        reader = _Reader(settings)
        try:
            left = total = runner.run(reader.open())
            while left > 0:
                messages, left = runner.run(reader.batch())
                report(total - left, total)
                for message in messages:
                    yield from _parts(message)
        except _NATS_ERRORS as error:
            raise streams.stream_error(error) from error
        finally:
            runner.run(reader.close())


class _Reader:
    """An ephemeral consumer of the whole stream, up to the message that was the last one when it was opened."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._consumer: PullConsumer | None = None
        self._name = ""
        self._last = 0

    async def open(self) -> int:
        """Connect; return how many messages there are to read."""
        self._client = await connection.connect(self._settings, name="jelmon-history", client=new_client())
        context = self._client.jetstream()
        try:
            self._last = (await context.stream_info(STREAM)).state.last_seq
        except nats.js.errors.NotFoundError as error:
            raise SourceError(f"stream {STREAM} is absent", hint="start `jelmon exporter`, which creates it") from error
        info = await context.add_consumer(
            STREAM,
            ConsumerConfig(
                description="jelmon history; ephemeral",
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.NONE,
                max_deliver=1,
                inactive_threshold=300.0,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        self._name = info.name
        self._consumer = PullConsumer(self._client, STREAM, info.name, batch=_BATCH, sequence=0)
        await self._consumer.open()
        return info.num_pending or 0

    async def batch(self) -> tuple[list[Message], int]:
        """Return the next messages, and how many follow."""
        assert self._consumer is not None
        batch = await self._consumer.next_batch(_BATCH, seconds=0.05, patience=_PATIENCE_SECONDS)
        if batch is None:
            raise SourceError("the stream delivers nothing more", hint="it was trimmed meanwhile: start again")
        return (
            [message for message in batch.messages if takes(_PARTITIONED, message[1].decode())],
            batch.last.pending if batch.last.sequence < self._last else 0,
        )

    async def close(self) -> None:
        """Remove the consumer and close the connection."""
        with contextlib.suppress(*_NATS_ERRORS):
            if self._consumer is not None:
                await self._consumer.close()
        if self._client is not None and not self._client.is_closed:
            with contextlib.suppress(*_NATS_ERRORS):
                if self._name:
                    await self._client.jetstream().delete_consumer(STREAM, self._name)
            await self._client.close()


def _parts(message: Message) -> Iterator[Arrival]:
    payload, _, reply = message
    arrived = origin(reply).arrived
    try:
        parts = split(payload)
    except EventError as error:
        yield Arrival(-math.inf, error)
        return
    for part in parts:
        try:
            yield Arrival(arrived, parse(part))
        except EventError as error:
            yield Arrival(arrived, error)
