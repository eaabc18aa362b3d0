"""Events from JetStream: one durable consumer per partition, always recreated just after what is counted.

The position that counts is the one committed with the state; acknowledgements only report the consumer lag.
"""

import asyncio
import contextlib
import logging
import time

import nats.js.errors
from nats.aio.client import Client

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.nats import connection, streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.consumer import ConsumerError
from jelmon.nats.consumer_direct import new_client
from jelmon.nats.partitions import ensure_partitions
from jelmon.nats.subjects import STREAM
from jelmon.service.backoff import Backoff
from jelmon.service.tasks import end
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.counting.partition import PartitionCounter
from jelmon_exporter.replicas.leases import Holding, Leases
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.singleton import UNPARTITIONED, Singleton, election_for
from jelmon_exporter.sources.partition_consumer import API_SECONDS, NATS_ERRORS, PartitionConsumer
from jelmon_exporter.sources.source import Source
from jelmon_exporter.sources.unpartitioned import Unpartitioned
from jelmon_exporter.state.model import Position
from jelmon_exporter.state.store import FencedError

logger = logging.getLogger(__name__)

DISCONNECTED_SECONDS = 10.0
"""After this long without NATS a replica leaves its partitions to others."""
_NO_STREAM = (nats.js.errors.NotFoundError, nats.js.errors.NoStreamResponseError)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0


class JetStreamSource(Source):
    """Feeds all partitions that this replica owns from one connection. Failures are retried without end."""

    name = "events"

    def __init__(
        self,
        settings: NatsSettings,
        context: CountingContext,
        mirror: Mirror,
        *,
        replica: str,
        batch: int,
        batch_seconds: float,
    ) -> None:
        self._settings = settings
        self._context = context
        self._mirror = mirror
        self._replica = replica
        self._leases = Leases(context.store, replica, context.partitions)
        self._batch = batch
        self._batch_seconds = batch_seconds
        self._client: Client | None = None
        self._up = context.process_series.cell(c.SOURCE_UP, "jetstream")
        self._up.set(0)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()  # the connection is closed for good, or this source stops
        self._preparing = asyncio.Lock()
        self._blocked: set[int] = set()  # owned partitions that receive nothing now
        self._consumers: dict[int, PartitionConsumer] = {}
        self.trouble = "not connected yet"

    @property
    def up(self) -> bool:
        """Whether events can come in."""
        return self._up.value == 1

    async def run(self) -> None:
        """Consume until `stop`; then commit what was received, and return."""
        backoff = _backoff()
        while not self._stopping.is_set():
            try:
                client = await connection.connect(
                    self._settings,
                    name="jelmon-exporter",
                    patience=2.0,
                    client=new_client(),
                    ping_interval=5,
                    max_outstanding_pings=2,
                    on_disconnected=self._disconnected,
                    on_reconnected=self._reconnected,
                )
            except SourceError as error:
                self._report_down(error, first=not backoff.failures)
                await backoff.wait(self._stopping)
                continue
            backoff.reset()
            self._client = client
            self._ended.clear()
            if self._stopping.is_set():
                self._ended.set()
            watching = asyncio.create_task(self._watch(client), name="connection")
            try:
                await self._consume(client)
            finally:
                self._client = None
                await end(watching)
                with contextlib.suppress(*NATS_ERRORS):
                    await client.close()

    def stop(self) -> None:
        """End `run` after the batches in progress."""
        self._stopping.set()
        self._ended.set()
        for consumer in self._consumers.values():
            consumer.wake()

    async def _watch(self, client: Client) -> None:
        await connection.closed(client)
        self._set_down("the connection to NATS was closed")
        self._ended.set()

    async def _disconnected(self) -> None:
        self._set_down("the connection to NATS is lost")

    async def _reconnected(self) -> None:
        """Recreate the consumers: the server may be another one, with an empty store."""
        self._blocked.update(self._consumers)
        for consumer in self._consumers.values():
            consumer.interrupt("the connection to NATS was lost")

    def _set_down(self, trouble: str) -> None:
        self._up.set(0)
        self.trouble = trouble

    def _report_down(self, error: SourceError, *, first: bool) -> None:
        self._set_down(error.message)
        if first:
            logger.error("%s; retrying until it answers", error)

    async def _consume(self, client: Client) -> None:
        backoff = _backoff()
        while not self._ended.is_set():
            try:
                await prepare(client)
                break
            except SourceError as error:
                self._report_down(error, first=not backoff.failures)
                await backoff.wait(self._ended)
        connected, rounds = time.monotonic(), 0

        def able() -> bool:
            nonlocal connected, rounds
            if client.is_connected:
                connected = time.monotonic()
                if rounds:  # a replica that got no partition in its first round has nothing to wait for
                    self._report_up()
            rounds += 1
            return time.monotonic() < connected + DISCONNECTED_SECONDS

        async def consume(partition: int, holding: Holding) -> None:
            await self._consume_partition(client, partition, holding)

        copying = asyncio.create_task(self._copy_unpartitioned(client), name="unpartitioned")
        try:
            await self._leases.run(consume, self._ended, able)
        finally:
            await end(copying)

    async def _copy_unpartitioned(self, client: Client) -> None:
        copier = Unpartitioned(client, self._context.process_series)
        if await copier.expected():
            election = election_for(self._context.store, UNPARTITIONED, self._context.leadership)
            await Singleton(election, copier.run, copier.forget).run()

    async def _consume_partition(self, client: Client, partition: int, holding: Holding) -> None:
        """Count one partition until ``holding.stop`` is set or another replica owns it."""
        owned = self._context.process_series.cell(c.PARTITION_OWNED, str(partition))
        counter = PartitionCounter(partition, self._context, holding.claim)
        consumer = self._consumers[partition] = PartitionConsumer(
            client,
            counter,
            self._context,
            name=self._consumer_name(partition),
            batch=self._batch,
            batch_seconds=self._batch_seconds,
        )
        self._mirror.exclude(partition)
        self._blocked.add(partition)
        try:
            await counter.start()
            owned.set(1)
            backoff = _backoff()
            while not holding.stop.is_set():
                try:
                    await consumer.consume(holding.stop, on_open=lambda: self._unblock(partition))
                    backoff.reset()
                except (*NATS_ERRORS, ConsumerError) as error:
                    self._report_interrupted(partition, error, first=not backoff.failures)
                    if isinstance(error, _NO_STREAM):
                        await self._prepare_again(client)
                    await backoff.wait(holding.stop)
                except FencedError:
                    raise
                except Exception as error:  # a fault of ours: this partition waits, the process and the others go on
                    logger.exception("counting was interrupted by an error", extra={"partition": partition})
                    self._report_interrupted(partition, error, first=False)
                    await backoff.wait(holding.stop)
        except FencedError:
            logger.warning("another exporter now counts the partition", extra={"partition": partition})
        finally:
            counter.close()
            del self._consumers[partition]
            owned.set(0)
            self._context.process_series.cell(c.CONSUMER_LAG, str(partition)).set(None)
            self._blocked.discard(partition)
            self._mirror.include(partition)

    async def _prepare_again(self, client: Client) -> None:
        """Create what is missing: somebody deleted a stream, or NATS came back without its store."""
        async with self._preparing:  # all partitions notice at the same time
            with contextlib.suppress(SourceError):  # then this partition fails again, and reports it
                await prepare(client)

    def _consumer_name(self, partition: int) -> str:
        """Return the name of the durable consumer; replicas with separate states each have their own."""
        return f"jelmon-{partition}" if self._context.store.shared else f"jelmon-{self._replica}-{partition}"

    def _report_interrupted(self, partition: int, error: BaseException, *, first: bool) -> None:
        self._blocked.add(partition)
        trouble = streams.stream_error(error) if isinstance(error, NATS_ERRORS) else error
        message = getattr(trouble, "message", str(trouble))
        self._up.set(0)
        if not first and message != self.trouble:  # a single failure is an election or a restart
            logger.error("%s; retrying until it answers", trouble)
        self.trouble = message

    def _unblock(self, partition: int) -> None:
        self._blocked.discard(partition)
        self._report_up()

    def _report_up(self) -> None:
        """Report that messages can come in, unless an owned partition receives none."""
        if not self._blocked:
            self.trouble = ""
            self._up.set(1)

    # --- for the leadership of replicas with separate states ---

    def positions(self) -> dict[int, Position]:
        """Return how far each owned partition is counted."""
        return {partition: consumer.counter.position for partition, consumer in self._consumers.items()}

    async def last(self) -> int | None:
        """Return the sequence of the last message in the stream; None while not connected.

        Raises:
            nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
        """
        if self._client is None:
            return None
        return (await self._client.jetstream(timeout=API_SECONDS).stream_info(STREAM)).state.last_seq

    async def has_counted(self, last: int) -> bool:
        """Return whether all partitions are counted up to this sequence.

        Raises:
            nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
        """
        if self._client is None or len(self._consumers) < self._context.partitions:
            return False
        for consumer in list(self._consumers.values()):
            if consumer.counter.position.sequence < last and await consumer.lag():
                return False
        return True


def _backoff() -> Backoff:
    return Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)


async def prepare(client: Client) -> None:
    """Make sure that both streams exist and that the stream of events is partitioned.

    Raises:
        SourceError: they cannot be created.
    """
    context = client.jetstream(timeout=API_SECONDS)
    await streams.ensure_stream(context)
    await streams.ensure_stream(context, streams.dead_letter_stream())
    await ensure_partitions(client)
