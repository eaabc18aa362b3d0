"""Reads one partition from its JetStream consumer into a `PartitionCounter`, and watches the stream for losses."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamInfo

from jelmon import catalogue as c
from jelmon.errors import EventError
from jelmon.events import Event
from jelmon.nats.consumer import Batch, ConsumerError, PullConsumer, slices
from jelmon.nats.subjects import STREAM, dead_letter_subject, partition_filter
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.counting.decoding import ParkedEvent, decode_parts
from jelmon_exporter.counting.partition import PartitionCounter, UncountableError
from jelmon_exporter.streams import dead_letters

logger = logging.getLogger(__name__)

API_SECONDS = 15.0
"""How long JetStream may take to answer; all consumers are created at once, each with a file."""
CHECK_SECONDS = 30.0
_PAUSED_SECONDS = 1.5 * CHECK_SECONDS
"""After this long without a check, counting was paused by the state store; the stream may have been trimmed."""
_LAST_COMMIT_SECONDS = 1.0
NATS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class PartitionConsumer:
    """One partition of the stream, as long as this replica owns it."""

    def __init__(
        self,
        client: Client,
        counter: PartitionCounter,
        context: CountingContext,
        *,
        name: str,
        batch: int,
        batch_seconds: float,
    ) -> None:
        """Prepare for the durable consumer ``name``; nothing is created yet."""
        self.counter = counter
        self._client = client
        self._context = context
        self._name = name
        self._batch = batch
        self._batch_seconds = batch_seconds
        self._created: datetime | None = None  # when the consumer was created, by this replica
        self._delivered = 0  # messages of the consumer that are counted
        self._pending = 0  # messages that were in the stream after those
        self._pull: PullConsumer | None = None
        self._last_event = context.process_series.cell(c.LAST_EVENT)
        self._lag = context.process_series.cell(c.CONSUMER_LAG, str(counter.partition))

    def wake(self) -> None:
        """Hand over the messages that are here without waiting for more."""
        if self._pull is not None:
            self._pull.wake()

    def interrupt(self, trouble: str) -> None:
        """Let `consume` raise a `ConsumerError` as soon as the batch in progress is counted."""
        if self._pull is not None:
            self._pull.interrupt(trouble)

    async def consume(self, stop: asyncio.Event, *, on_open: Callable[[], None]) -> None:
        """Consume from just after the committed position until ``stop`` is set. ``on_open``: messages can come in.

        Raises:
            ConsumerError: messages were missed, or the stream changed; consume again.
            FencedError: another replica owns the partition.
            nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError: NATS does not answer.
        """
        context = self._client.jetstream(timeout=API_SECONDS)
        await self.counter.roll_back()
        await self._align(context)
        self._delivered, self._pending = 0, await self._create(context)
        self.counter.set_backlog(self._pending)
        pull = PullConsumer(
            self._client, STREAM, self._name, batch=self._batch, sequence=self.counter.position.sequence
        )
        await pull.open()
        self._pull = pull
        on_open()
        try:
            await self._read(context, pull, stop)
            if self._client.is_connected:
                with contextlib.suppress(*NATS_ERRORS):
                    await self._commit_end(context)
        finally:
            self._pull = None
            with contextlib.suppress(*NATS_ERRORS):
                await pull.close()

    async def _align(self, context: JetStreamContext) -> None:
        """Compare the position with the stream, and commit what that changes: a later roll-back must not undo it."""
        before = self.counter.position
        self.counter.align_with_stream(*_identity(await context.stream_info(STREAM)))
        if self.counter.position != before:
            await self.counter.commit(self.counter.position.sequence)

    async def _read(self, context: JetStreamContext, pull: PullConsumer, stop: asyncio.Event) -> None:
        checked = asyncio.get_running_loop().time()
        while not stop.is_set():
            batch = await pull.next_batch(self._batch, seconds=self._batch_seconds, patience=1.0)
            if batch is not None:
                await self._count(batch)
            if (since := asyncio.get_running_loop().time() - checked) > CHECK_SECONDS:
                checked += since
                await self._check(context, pull, quiet=batch is None, paused=since > _PAUSED_SECONDS)

    async def _create(self, context: JetStreamContext) -> int:
        """Create the consumer just after what is counted; return how many messages it has to deliver."""
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await context.delete_consumer(STREAM, self._name)
        partition = self.counter.partition
        created = await context.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=self._name,
                description=f"jelmon exporter, partition {partition}; recreated whenever its owner changes",
                filter_subject=partition_filter(partition),
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.counter.position.sequence + 1,
                ack_policy=AckPolicy.ALL,
                ack_wait=60,
                max_ack_pending=-1,
                max_waiting=16,
                inactive_threshold=None if self._context.store.shared else 600,
            ),
        )
        self._created = created.created
        self._context.stream_clock.read(created.created.timestamp())
        return created.num_pending or 0

    async def _count(self, batch: Batch) -> None:
        await self._detect_loss(batch)
        try:
            parked: list[ParkedEvent] = []
            for part in slices(batch.messages):
                async with self._context.scheduler.batch():
                    parked += self.counter.apply(part, batch.last.arrived)
            await self._commit(batch, parked)
        except UncountableError as error:
            logger.error("%s; counting the events of the batch one by one", error.message)
            await self._commit(batch, await self._count_each(batch))
        self._delivered = batch.last.delivered
        if not batch.last.pending:
            self._context.stream_clock.read(batch.last.arrived)
        self._last_event.set(self._context.clock())
        self._lag.set(batch.last.pending)
        await self._client.publish(batch.messages[-1][2].decode(), b"+ACK")

    async def _commit(self, batch: Batch, parked: list[ParkedEvent]) -> None:
        if parked:
            await self._park(parked)
        await self.counter.commit(batch.last.sequence, messages=len(batch.messages))

    async def _count_each(self, batch: Batch) -> list[ParkedEvent]:
        """Count a batch of which an event raises an error; return the events that cannot be read or counted."""
        parts = [one for message in batch.messages for one in decode_parts(message)]
        events: list[Event] = [read for _, read in parts if not isinstance(read, EventError)]
        results = iter(await self.counter.count_each(events, batch.last.arrived))
        unreadable = [ParkedEvent(part, read) for part, read in parts if isinstance(read, EventError)]
        counted = [(part, next(results)) for part, read in parts if not isinstance(read, EventError)]
        self.counter.count_parked(parked.error for parked in unreadable)
        return unreadable + [ParkedEvent(part, result) for part, result in counted if isinstance(result, EventError)]

    async def _park(self, parked: list[ParkedEvent]) -> None:
        """Publish events to the stream of dead letters, unless another replica did so already."""
        partition, leadership = self.counter.partition, self._context.leadership
        context = self._client.jetstream()
        for event in parked:
            part, error = event.part, event.error
            if leadership is None or not leadership.was_parked(partition, part.sequence, self.counter.position.stream):
                await dead_letters.park(
                    context,
                    dead_letter_subject(partition),
                    part.payload,
                    error=error,
                    sequence=part.sequence,
                    index=part.index,
                    subject=part.subject,
                )
                logger.warning(
                    "event parked: %s",
                    error.message,
                    extra={"reason": error.reason.value, "sequence": part.sequence, "partition": partition},
                )

    async def lag(self) -> int:
        """Return how many messages of the partition are not counted yet.

        Raises:
            nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
        """
        return self._uncounted(await self._client.jetstream(timeout=API_SECONDS).consumer_info(STREAM, self._name))

    def _uncounted(self, info: ConsumerInfo) -> int:
        delivered = info.delivered.consumer_seq if info.delivered is not None else 0
        return (info.num_pending or 0) + max(0, delivered - self._delivered)

    async def _commit_end(self, context: JetStreamContext) -> None:
        """If everything is counted, commit the end of the stream as position, so that no later loss is suspected."""
        async with asyncio.timeout(_LAST_COMMIT_SECONDS):
            _, _, last = _identity(await context.stream_info(STREAM))
            info = await context.consumer_info(STREAM, self._name)
            if last > self.counter.position.sequence and not self._uncounted(info):
                await self.counter.commit(last)

    async def _check(self, context: JetStreamContext, pull: PullConsumer, *, quiet: bool, paused: bool) -> None:
        """Check that the stream is still the same, update the lag, record losses, and expire what is due."""
        counter = self.counter
        created, first, last = _identity(await context.stream_info(STREAM))
        if created != counter.position.stream or last < counter.position.sequence:
            raise ConsumerError("the stream was recreated or truncated")
        info = await context.consumer_info(STREAM, self._name)
        if info.created != self._created:  # its messages went to whoever did that, and may not come again
            raise ConsumerError("another replica recreated the consumer")
        uncounted = self._uncounted(info)
        self._lag.set(uncounted)
        lost = self._pending - uncounted
        if paused:
            counter.record_trim(first, held=pull.unread_before(first))
        elif lost > 0:
            counter.record_lost(first, lost)
        self._pending = uncounted
        if quiet:  # time passes for cards in flight even when no event arrives
            counter.count([], self._context.stream_clock.now())
            await counter.commit(last if not uncounted and last > counter.position.sequence else None, check=True)
        else:
            await counter.commit(check=True)

    async def _detect_loss(self, batch: Batch) -> None:
        """Record messages that the stream dropped before they were delivered: then fewer are pending than expected."""
        last = batch.last
        lost = self._pending - (last.delivered - self._delivered) - last.pending
        if lost > 0:
            info = await self._client.jetstream(timeout=API_SECONDS).stream_info(STREAM)
            self.counter.record_lost(info.state.first_seq, lost)
        self._pending = last.pending


def _identity(info: StreamInfo) -> tuple[str, int, int]:
    """Return the stream's creation time, and its first and last sequence."""
    created = info.created.isoformat() if info.created is not None else ""
    return created, info.state.first_seq, info.state.last_seq
