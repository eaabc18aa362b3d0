"""The stream of events, followed by a consumer of our own: the last stretch of it first, then what comes.

Nothing is acknowledged and nothing is stored: who follows can always start again. A hole, a silent server or a lost
consumer makes a new one, just after the last event that was seen.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from jelmon.errors import EventError, SourceError
from jelmon.events import Event, parse, split, type_of
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.partitions import possible_by_stream
from jelmon.nats.subjects import BATCH, PARTITIONS, STREAM, takes
from jelmon.service.backoff import Backoff

logger = logging.getLogger(__name__)

NOUNS = ("card", "stage", "pipeline", "action", "test")
PARTITIONED = "jelmore.events.*.*.*"
SUBJECTS = tuple(f"jelmore.events.{noun}.*.*" for noun in (*NOUNS, BATCH))
HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS
_BREATH = 500  # events after which others may run, while a long stretch is read again
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Follower:
    """Calls ``take`` with every event about cards, stages, tests, pipelines and actions, in the order
    of the stream.
    """

    def __init__(
        self,
        settings: NatsSettings,
        take: Callable[[Event], None],
        *,
        replay_seconds: float,
        name: str = "jelmon-analyzer",
        subjects: tuple[str, ...] = SUBJECTS,
    ) -> None:
        self._settings = settings
        self._take = take
        self._replay_seconds = replay_seconds
        self._name = name
        self._subjects = subjects
        self._sequence = 0  # in the stream, of the last event seen
        self._incarnation = ""
        self._delivered = 0
        self._there: float = 0
        """How many events were in the stream when the consumer was made."""
        self._heard = 0.0
        self._hole = asyncio.Event()
        self._changed = asyncio.Condition()
        self.connected = False
        self.caught_up = False
        """Everything that was in the stream when we came has been seen."""
        self.trouble = "not connected yet"

    async def run(self) -> None:
        """Follow until cancelled; what fails is tried again for ever."""
        backoff = Backoff(0.25, 5.0)
        while True:
            try:
                client = await connection.connect(
                    self._settings,
                    name=self._name,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    on_reconnected=self._reconnected,
                )
                try:
                    while True:
                        await self._follow(client)
                        backoff.reset()
                finally:
                    self.connected = False
                    await client.close()
            except (*_TROUBLE, SourceError) as error:
                trouble = error if isinstance(error, SourceError) else streams.stream_error(error)
                self.trouble = trouble.message
                if backoff.failures == 0:
                    logger.error("%s; trying again until it answers", trouble)
                await backoff.wait()

    async def _reconnected(self) -> None:
        self._hole.set()  # our consumer lives in the server's memory, which may be new

    async def _follow(self, client: Client) -> None:
        """One consumer, from its making to its loss."""
        context = client.jetstream()
        try:
            state = await context.stream_info(STREAM)
        except nats.js.errors.NotFoundError as error:
            raise SourceError(f"stream {STREAM} is absent", hint="start `jelmon exporter`, which creates it") from error
        incarnation = state.created.isoformat() if state.created is not None else ""
        if incarnation != self._incarnation or self._sequence > state.state.last_seq:
            self._incarnation, self._sequence = incarnation, 0  # another stream of that name
        if self._sequence == 0:
            await self._read_declarations(client)
        inbox = client.new_inbox()
        self._delivered, self._there = 0, math.inf
        self._hole.clear()
        self._heard = time.monotonic()
        subscription = await client.subscribe(inbox, cb=self._arrived, pending_msgs_limit=-1, pending_bytes_limit=-1)
        consumer = None
        try:
            info = await context.add_consumer(STREAM, self._consumer(client, inbox))
            consumer = info.name
            self.connected, self.trouble = True, ""
            self._there = info.num_pending or 0
            self._look_whether_caught_up()
            while time.monotonic() - self._heard < SILENCE_SECONDS:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hole.wait(), HEARTBEAT_SECONDS)
                    break
            logger.warning("the flow of events broke off; beginning again where it did")
        finally:
            self.connected = False
            if not client.is_closed and client.is_connected:
                with contextlib.suppress(*_TROUBLE):
                    await subscription.unsubscribe()
                    if consumer is not None:
                        await context.delete_consumer(STREAM, consumer)

    def _look_whether_caught_up(self) -> None:
        # not before the last one: a judgement in between would take what is still to come for late
        if self._delivered >= self._there:
            self.caught_up = True

    def _consumer(self, client: Client, inbox: str) -> ConsumerConfig:
        config = ConsumerConfig(
            description="an analyzer of jelmon; ephemeral",
            deliver_subject=inbox,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=HEARTBEAT_SECONDS,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
        )
        if possible_by_stream(client):  # an older server knows no list of filters: we get everything
            config.filter_subjects = list(self._subjects)
        if self._sequence:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self._sequence + 1
        else:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.now(UTC) - timedelta(seconds=self._replay_seconds)
        return config

    async def _arrived(self, message: Msg) -> None:
        self._heard = time.monotonic()
        if message.headers and message.headers.get("Status") == "100":  # flow control, or a heartbeat
            if message.reply:
                await message.respond(b"")
            elif stalled := message.headers.get("Nats-Consumer-Stalled"):
                await message._client.publish(stalled)
            if int(message.headers.get("Nats-Last-Consumer", "0")) > self._delivered:
                self._hole.set()
            return
        tokens = message.reply.split(".")
        if len(tokens) > 9:  # with domain and account
            tokens = tokens[2:]
        sequence, delivered = int(tokens[5]), int(tokens[6])
        if delivered != self._delivered + 1:
            self._hole.set()
            return
        self._delivered = delivered
        self._sequence = sequence
        if takes(PARTITIONED, message.subject):  # one that came without a partition is copied into it, and seen there
            self._read(message.data)
        self._look_whether_caught_up()
        if delivered % _BREATH == 0:
            await asyncio.sleep(0)

    def _read(self, payload: bytes) -> None:
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
                self._take(event)

    async def _read_declarations(self, client: Client) -> None:
        """What pipelines declared may be much older than the stretch that is read again."""
        for partition in range(PARTITIONS):
            await self._read_last(client, f"jelmore.events.pipeline.{partition}.*")

    async def _read_last(self, client: Client, subjects: str) -> None:
        """The last message of each of the subjects."""
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
                messages = await subscription.fetch(min(left, 256), timeout=5)
                for message in messages:
                    self._read(message.data)
                left -= len(messages)
        finally:
            with contextlib.suppress(*_TROUBLE):
                await subscription.unsubscribe()
