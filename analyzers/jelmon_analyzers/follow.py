"""Follows the stream of events: first its latest stretch, then what arrives.

Reads through an ephemeral consumer. Nothing is acknowledged or stored: after a gap, a silent server or a lost consumer,
a new consumer starts just after the last event that was read.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from jelmon.errors import EventError, SourceError
from jelmon.events import Event, parse, split, type_of
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.consumer import Batch, ConsumerError, PullConsumer
from jelmon.nats.consumer_direct import new_client
from jelmon.nats.partitions import possible_by_stream
from jelmon.nats.subjects import BATCH, PARTITIONS, STREAM, takes
from jelmon.service import tasks
from jelmon.service.backoff import Backoff

logger = logging.getLogger(__name__)

NOUNS = ("card", "stage", "pipeline", "action", "test")
PARTITIONED = "jelmore.events.*.*.*"
SUBJECTS = tuple(f"jelmore.events.{noun}.*.*" for noun in (*NOUNS, BATCH))
PATIENCE_SECONDS = 5.0
_BATCH_MESSAGES = 500
"""After this many messages other tasks run, while a long stretch is replayed."""
_NATS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Follower:
    """Calls ``on_event`` with every event about cards, stages, tests, pipelines and actions, in stream order.

    ``on_event`` may not raise: the follower would end (see `jelmon_analyzers.isolation`).
    """

    def __init__(
        self,
        settings: NatsSettings,
        on_event: Callable[[Event], None],
        *,
        replay_seconds: float,
        name: str = "jelmon-analyzer",
        subjects: tuple[str, ...] = SUBJECTS,
    ) -> None:
        """Prepare to follow ``subjects``, from ``replay_seconds`` ago. ``name`` is that of the connection."""
        self._settings = settings
        self._on_event = on_event
        self._replay_seconds = replay_seconds
        self._name = name
        self._subjects = subjects
        self._sequence = 0  # in the stream, of the last event read
        self._created = ""  # creation time of the stream: a recreated one starts at sequence 1 again
        self._consumer: PullConsumer | None = None
        self.connected = False
        self.caught_up = False
        """Whether everything has been read that was in the stream at the start."""
        self.trouble = "not connected yet"

    async def run(self) -> None:
        """Follow until cancelled. Failures are retried without end."""
        backoff = Backoff(0.25, 5.0)
        while True:
            try:
                client = await connection.connect(
                    self._settings,
                    name=self._name,
                    client=new_client(),
                    ping_interval=5,
                    max_outstanding_pings=2,
                    on_disconnected=self._disconnected,
                    on_reconnected=self._reconnected,
                )
                watching = asyncio.create_task(self._watch(client))
                try:
                    while True:
                        await self._follow(client)
                        backoff.reset()
                finally:
                    self.connected = False
                    await tasks.end(watching)
                    await client.close()
            except (*_NATS_ERRORS, SourceError) as error:
                trouble = error if isinstance(error, SourceError) else streams.stream_error(error)
                self.trouble = trouble.message
                if backoff.failures == 0:
                    logger.error("%s; retrying until it answers", trouble)
                await backoff.wait()

    async def _watch(self, client: Client) -> None:
        await connection.closed(client)
        if self._consumer is not None:
            self._consumer.interrupt("the connection was closed")

    async def _disconnected(self) -> None:
        self.connected, self.trouble = False, "the connection to NATS is lost"

    async def _reconnected(self) -> None:
        if self._consumer is not None:  # it lives in the server's memory, and the server may be another one
            self._consumer.interrupt("the connection was lost")

    async def _follow(self, client: Client) -> None:
        """Read one consumer until it is lost or messages are missed."""
        context = client.jetstream()
        try:
            state = await context.stream_info(STREAM)
        except nats.js.errors.NotFoundError as error:
            raise SourceError(f"stream {STREAM} is absent", hint="start `jelmon exporter`, which creates it") from error
        created = state.created.isoformat() if state.created is not None else ""
        if created != self._created or self._sequence > state.state.last_seq:
            self._created, self._sequence = created, 0
        if self._sequence == 0:
            await self._read_declarations(client)
        info = await context.add_consumer(STREAM, self._config(client))
        consumer = PullConsumer(client, STREAM, info.name, batch=_BATCH_MESSAGES, sequence=self._sequence)
        try:
            await consumer.open()
            self._consumer = consumer
            self.connected, self.trouble = True, ""
            await self._read(consumer, info.num_pending or 0)
        except ConsumerError as error:
            logger.warning("the stream of events was interrupted; resuming", extra={"reason": error.message})
        finally:
            self.connected, self._consumer = False, None
            await self._close(client, context, consumer, info.name)

    async def _read(self, consumer: PullConsumer, pending: int) -> None:
        """Read until the consumer fails; ``pending`` messages were in the stream when it was created."""
        delivered = 0
        while True:
            # not before the last one: a result in between would treat events that are still to come as late
            self.caught_up = self.caught_up or delivered >= pending
            batch = await consumer.next_batch(_BATCH_MESSAGES, seconds=0.0, patience=PATIENCE_SECONDS)
            if batch is not None:
                self._handle(batch)
                delivered = batch.last.delivered
            await asyncio.sleep(0)

    def _handle(self, batch: Batch) -> None:
        for payload, subject, _ in batch.messages:
            if takes(PARTITIONED, subject.decode()):  # one without a partition is copied into its own, and read there
                self._parse(payload)
        self._sequence = batch.last.sequence

    async def _close(self, client: Client, context: JetStreamContext, consumer: PullConsumer, name: str) -> None:
        with contextlib.suppress(*_NATS_ERRORS):
            await consumer.close()
        if not client.is_closed and client.is_connected:
            with contextlib.suppress(*_NATS_ERRORS):
                await context.delete_consumer(STREAM, name)

    def _config(self, client: Client) -> ConsumerConfig:
        config = ConsumerConfig(
            description="an analyzer of jelmon; ephemeral",
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
        )
        if possible_by_stream(client):  # an older server accepts no list of filters: it delivers everything
            config.filter_subjects = list(self._subjects)
        if self._sequence:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self._sequence + 1
        else:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.now(UTC) - timedelta(seconds=self._replay_seconds)
        return config

    def _parse(self, payload: bytes) -> None:
        try:
            parts = split(payload)
        except EventError:  # the exporter counts and parks it
            return
        for part in parts:
            try:
                event = parse(part)
            except EventError:
                continue
            if type_of(event).split(".")[1] in NOUNS:  # a batch may hold others
                self._on_event(event)

    async def _read_declarations(self, client: Client) -> None:
        """Read the declarations of pipelines, which may be much older than the stretch that is replayed."""
        for partition in range(PARTITIONS):
            await self._read_last(client, f"jelmore.events.pipeline.{partition}.*")

    async def _read_last(self, client: Client, subjects: str) -> None:
        """Read the last message of each of the subjects."""
        context = client.jetstream()
        subscription = await context.pull_subscribe(
            subjects,
            stream=STREAM,
            config=ConsumerConfig(
                deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
                ack_policy=AckPolicy.NONE,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=30.0,
            ),
        )
        try:
            left = (await subscription.consumer_info()).num_pending or 0
            while left > 0:
                with connection.cancelled_by_closing():
                    messages = await subscription.fetch(min(left, 256), timeout=5)
                for message in messages:
                    self._parse(message.data)
                left -= len(messages)
        finally:
            with contextlib.suppress(*_NATS_ERRORS):
                await subscription.unsubscribe()
