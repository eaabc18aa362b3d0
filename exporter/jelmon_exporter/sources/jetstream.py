"""Events from a JetStream stream: one durable consumer for each partition, always made anew just after what is counted.

The position that counts is the one committed with the state; acknowledgements only tell others how far we are.
"""

import asyncio
import contextlib
import logging
import random
import time

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.consumer import Batch, FlowError, Pull, slices
from jelmon.nats.consumer_direct import new_client
from jelmon.nats.partitions import ensure_partitions
from jelmon.nats.subjects import STREAM, dead_letter_subject, partition_filter
from jelmon.service.tasks import end
from jelmon_exporter.counting.partition import Counting, Poison, Workshop
from jelmon_exporter.replicas.leases import Holding, Leases
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.singleton import UNPARTITIONED, Singleton, turn_at
from jelmon_exporter.sources.unpartitioned import Unpartitioned
from jelmon_exporter.state.model import Position
from jelmon_exporter.state.store import FencedError
from jelmon_exporter.streams import dead_letters

logger = logging.getLogger(__name__)

API_SECONDS = 15.0
"""How long JetStream may take to answer; all consumers are made at once, each with a file of its own."""
CHECK_SECONDS = 30.0
_LONG_SECONDS = 1.5 * CHECK_SECONDS
"""After so long without a check we stood still, as the state could not be written; the stream may have gone on."""
_LAST_WORD_SECONDS = 1.0
DISCONNECTED_SECONDS = 10.0
"""After so long without NATS a replica leaves its partitions to others."""
_BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
_NATS_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class JetStreamSource:
    """Feeds all partitions from one connection until it is cancelled; what fails is tried again for ever."""

    def __init__(
        self, settings: NatsSettings, shop: Workshop, mirror: Mirror, *, replica: str, batch: int, batch_seconds: float
    ) -> None:
        self._settings = settings
        self._shop = shop
        self._mirror = mirror
        self._replica = replica
        self._leases = Leases(shop.store, replica, shop.partitions)
        self._batch = batch
        self._batch_seconds = batch_seconds
        self._client: Client | None = None
        self._up = shop.own.cell(c.SOURCE_UP, "jetstream")
        self._up.set(0)
        self._last_event = shop.own.cell(c.LAST_EVENT)
        self._stopping = asyncio.Event()
        self._deaf: set[int] = set()
        self._counting: dict[int, Counting] = {}
        self._delivered: dict[int, int] = {}  # how many messages of its consumer are counted, by partition
        self._behind: dict[int, int] = {}  # and how many waited after them
        self._pulls: set[Pull] = set()
        self.trouble = "not connected yet"

    @property
    def up(self) -> bool:
        """Whether events can come in."""
        return self._up.value == 1

    async def run(self) -> None:
        """Consume until `stop`; then commit what was received, and return."""
        attempt = 0
        while not self._stopping.is_set():
            try:
                client = await connection.connect(
                    self._settings,
                    name="jelmon-exporter",
                    patience=2.0,
                    client=new_client(),
                    ping_interval=5,
                    max_outstanding_pings=2,
                )
            except SourceError as error:
                self._down(error, attempt)
                await self._pause(attempt)
                attempt += 1
                continue
            attempt = 0
            self._client = client
            try:
                await self._consume(client)
            finally:
                self._client = None
                with contextlib.suppress(*_NATS_TROUBLE):
                    await client.close()

    def stop(self) -> None:
        """End `run` after the batches under way."""
        self._stopping.set()
        for pull in self._pulls:
            pull.wake()

    def _down(self, error: SourceError, attempt: int) -> None:
        self._up.set(0)
        self.trouble = error.message
        if attempt == 0:
            logger.error("%s; trying again until it answers", error)

    async def _pause(self, attempt: int, stop: asyncio.Event | None = None) -> None:
        seconds = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)] * random.uniform(0.8, 1.2)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for((stop or self._stopping).wait(), seconds)

    async def _consume(self, client: Client) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                await prepare(client)
                break
            except SourceError as error:
                self._down(error, attempt)
                await self._pause(attempt)
                attempt += 1
        connected, rounds = time.monotonic(), 0

        def able() -> bool:
            nonlocal connected, rounds
            if client.is_connected:
                connected = time.monotonic()
                if rounds:  # a replica that got no partition in its first round has nothing to wait for
                    self._flows(None)
            rounds += 1
            return time.monotonic() < connected + DISCONNECTED_SECONDS

        async def own(partition: int, holding: Holding) -> None:
            await self._own(client, partition, holding)

        copying = asyncio.create_task(self._copy_unpartitioned(client), name="unpartitioned")
        try:
            await self._leases.run(own, self._stopping, able)
        finally:
            await end(copying)

    async def _copy_unpartitioned(self, client: Client) -> None:
        copier = Unpartitioned(client, self._shop.own)
        if await copier.expected():
            turn = turn_at(self._shop.store, UNPARTITIONED, self._shop.leadership)
            await Singleton(turn, copier.run, copier.forget).run()

    async def _own(self, client: Client, partition: int, holding: Holding) -> None:
        """Count one partition until we are to stop or are fenced."""
        owned = self._shop.own.cell(c.PARTITION_OWNED, str(partition))
        counting = self._counting[partition] = Counting(partition, self._shop, holding.claim)
        self._mirror.own(partition)
        self._deaf.add(partition)
        try:
            await counting.begin()
            owned.set(1)
            attempt = 0
            while not holding.stop.is_set():
                try:
                    await self._flow(client, counting, holding.stop)
                    attempt = 0
                except (*_NATS_TROUBLE, FlowError) as error:
                    self._interrupted(partition, error, attempt)
                    await self._pause(attempt, holding.stop)
                    attempt += 1
        except FencedError:
            logger.warning("another exporter counts the partition now", extra={"partition": partition})
        finally:
            counting.end()
            del self._counting[partition]
            owned.set(0)
            self._shop.own.cell(c.CONSUMER_LAG, str(partition)).set(None)
            self._deaf.discard(partition)
            self._mirror.disown(partition)

    def _interrupted(self, partition: int, error: BaseException, attempt: int) -> None:
        self._deaf.add(partition)
        trouble = streams.stream_error(error) if isinstance(error, _NATS_TROUBLE) else error
        message = getattr(trouble, "message", str(trouble))
        self._up.set(0)
        if attempt >= 1 and message != self.trouble:  # once is an election, a restart or a hiccup
            logger.error("%s; trying again until it answers", trouble)
        self.trouble = message

    def _flows(self, partition: int | None) -> None:
        """Messages can come in, for one partition or at all."""
        if partition is not None:
            self._deaf.discard(partition)
        if not self._deaf:
            self.trouble = ""
            self._up.set(1)

    async def _flow(self, client: Client, counting: Counting, stop: asyncio.Event) -> None:
        """Consume from just after what is committed, until something is wrong or we are to stop."""
        context = client.jetstream(timeout=API_SECONDS)
        await counting.roll_back()
        counting.place_in(*_incarnation(await context.stream_info(STREAM)))
        waiting = await self._make_consumer(context, counting)
        self._delivered[counting.partition], self._behind[counting.partition] = 0, waiting
        counting.expect(waiting)
        name = self._consumer_name(counting.partition)
        pull = Pull(client, STREAM, name, batch=self._batch, sequence=counting.position.sequence)
        await pull.open()
        self._pulls.add(pull)
        self._flows(counting.partition)
        try:
            checked = asyncio.get_running_loop().time()
            while not stop.is_set():
                batch = await pull.next_batch(self._batch, seconds=self._batch_seconds, patience=1.0)
                if batch is not None:
                    await self._count(client, counting, batch)
                if (since := asyncio.get_running_loop().time() - checked) > CHECK_SECONDS:
                    checked += since
                    await self._check(context, counting, pull, quiet=batch is None, stood_still=since > _LONG_SECONDS)
            if client.is_connected:
                with contextlib.suppress(*_NATS_TROUBLE):
                    await self._move_up(context, counting, seconds=_LAST_WORD_SECONDS)
        finally:
            self._pulls.discard(pull)
            with contextlib.suppress(*_NATS_TROUBLE):
                await pull.close()

    def _consumer_name(self, partition: int) -> str:
        """The partition's durable consumer. Replicas that share no state each count everything, with their own."""
        return f"jelmon-{partition}" if self._shop.store.shared else f"jelmon-{self._replica}-{partition}"

    async def _make_consumer(self, context: JetStreamContext, counting: Counting) -> int:
        """Make the partition's consumer just after what is counted; returns how many messages wait for it."""
        name = self._consumer_name(counting.partition)
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await context.delete_consumer(STREAM, name)
        made = await context.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=name,
                description=f"jelmon exporter, partition {counting.partition}; made anew whenever it changes hands",
                filter_subject=partition_filter(counting.partition),
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=counting.position.sequence + 1,
                ack_policy=AckPolicy.ALL,
                ack_wait=60,
                max_ack_pending=-1,
                max_waiting=16,
                inactive_threshold=None if self._shop.store.shared else 600,
            ),
        )
        return made.num_pending or 0

    async def _count(self, client: Client, counting: Counting, batch: Batch) -> None:
        await self._look_for_a_hole(client, counting, batch)
        poison: list[Poison] = []
        for slice_of_it in slices(batch.messages):
            async with self._shop.turns.batch():
                poison += counting.apply(slice_of_it, batch.last.arrived)
        if poison:
            await self._park(client.jetstream(), counting, poison)
        await counting.commit(batch.last.sequence, messages=len(batch.messages))
        self._delivered[counting.partition] = batch.last.delivered
        self._last_event.set(self._shop.clock())
        self._shop.own.cell(c.CONSUMER_LAG, str(counting.partition)).set(batch.last.pending)
        await client.publish(batch.messages[-1][2].decode(), b"+ACK")

    async def _park(self, context: JetStreamContext, counting: Counting, poison: list[Poison]) -> None:
        """Keep what cannot be read where a person can look at it. The id makes a repetition harmless."""
        partition, leadership = counting.partition, self._shop.leadership
        for one in poison:
            if leadership is not None and leadership.was_parked(partition, one.sequence, counting.position.stream):
                continue
            place = f"{one.sequence}" if one.index is None else f"{one.sequence}-{one.index}"
            headers = {
                "Nats-Msg-Id": f"{STREAM}-{place}",
                dead_letters.REASON: one.error.reason.value,
                dead_letters.MESSAGE: " ".join(one.error.message.split())[:512].encode("ascii", "replace").decode(),
                dead_letters.SEQUENCE: str(one.sequence),
                dead_letters.SUBJECT: one.subject,
            }
            await context.publish(dead_letter_subject(partition), one.payload, headers=headers)
            logger.warning(
                "event parked: %s",
                one.error.message,
                extra={"reason": one.error.reason.value, "sequence": one.sequence, "partition": partition},
            )

    def positions(self) -> dict[int, Position]:
        """How far each of our partitions is counted."""
        return {partition: counting.position for partition, counting in self._counting.items()}

    async def last(self) -> int | None:
        """The sequence of the last message in the stream; None while we are not connected.

        Raises:
            nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
        """
        if self._client is None:
            return None
        return (await self._client.jetstream(timeout=API_SECONDS).stream_info(STREAM)).state.last_seq

    async def has_counted(self, last: int) -> bool:
        """Whether all partitions are counted up to this sequence.

        Raises:
            nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
        """
        if self._client is None or len(self._counting) < self._shop.partitions:
            return False
        context = self._client.jetstream(timeout=API_SECONDS)
        for counting in list(self._counting.values()):
            if counting.position.sequence < last and await self._waiting(context, counting):
                return False
        return True

    async def _waiting(self, context: JetStreamContext, counting: Counting) -> int:
        """How many messages of a partition are not counted yet."""
        info = await context.consumer_info(STREAM, self._consumer_name(counting.partition))
        delivered = info.delivered.consumer_seq if info.delivered is not None else 0
        return (info.num_pending or 0) + max(0, delivered - self._delivered.get(counting.partition, 0))

    async def _move_up(self, context: JetStreamContext, counting: Counting, *, seconds: float) -> None:
        """Before we stop, and if all is counted: move up to the end of the stream, so that nothing is missed later."""
        async with asyncio.timeout(seconds):
            _, _, last = _incarnation(await context.stream_info(STREAM))
            if last > counting.position.sequence and not await self._waiting(context, counting):
                await counting.commit(last)

    async def _check(
        self, context: JetStreamContext, counting: Counting, pull: Pull, *, quiet: bool, stood_still: bool
    ) -> None:
        """From time to time: is it still the stream we know, how far behind are we, what has had its time."""
        created, first, last = _incarnation(await context.stream_info(STREAM))
        if created != counting.position.stream or last < counting.position.sequence:
            raise FlowError("the stream was recreated or cut")
        waiting = await self._waiting(context, counting)
        self._shop.own.cell(c.CONSUMER_LAG, str(counting.partition)).set(waiting)
        vanished = self._behind.get(counting.partition, 0) - waiting
        if stood_still:
            counting.dropped(first, held=pull.held_before(first))
        elif vanished > 0:
            counting.vanished(first, vanished)
        self._behind[counting.partition] = waiting
        if quiet:  # time passes for cards in flight although no event says so
            counting.ledger.now = max(counting.ledger.now, self._shop.clock())
            await counting.commit(last if not waiting and last > counting.position.sequence else None)
        else:
            await counting.commit()

    async def _look_for_a_hole(self, client: Client, counting: Counting, batch: Batch) -> None:
        """Whether messages that waited went before they could come: then fewer wait than should."""
        partition, last = counting.partition, batch.last
        arrived = last.delivered - self._delivered.get(partition, 0)
        vanished = self._behind.get(partition, 0) - arrived - last.pending
        if vanished > 0:
            info = await client.jetstream(timeout=API_SECONDS).stream_info(STREAM)
            counting.vanished(info.state.first_seq, vanished)
        self._behind[partition] = last.pending


def _incarnation(info: StreamInfo) -> tuple[str, int, int]:
    """Which stream it is (its time of creation), and its first and last sequence."""
    created = info.created.isoformat() if info.created is not None else ""
    return created, info.state.first_seq, info.state.last_seq


async def prepare(client: Client) -> None:
    """Make sure that both streams exist and that that of events takes partitions.

    Raises:
        SourceError: they cannot be made.
    """
    context = client.jetstream(timeout=API_SECONDS)
    await streams.ensure_stream(context)
    await streams.ensure_stream(context, streams.dead_letter_stream())
    await ensure_partitions(client)
