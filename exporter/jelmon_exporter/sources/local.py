"""Counts events without NATS: what arrives over HTTP goes straight into the state, and is answered when committed.

There is no stream to read again, so the state is the only copy: values, cards and event ids are committed together, and
a request is answered after that. A client without an answer repeats its request; the ids prevent double counting.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from jelmon import catalogue as c
from jelmon.client import Published
from jelmon.errors import EventError, SourceError
from jelmon.events import Event, parse
from jelmon.nats.subjects import partition_of, subject_of
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.counting.partition import PartitionCounter, UncountableError
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.sources.source import Source
from jelmon_exporter.state.store import StoreUnavailableError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long a request waits for its commit before it is answered with 503."""
CHECK_SECONDS = 30.0
_RETRY_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class _Request:
    """The readable events of one request and, once committed, whether each was known before, or why not counted."""

    events: list[Event]
    known: "asyncio.Future[list[bool | EventError]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class LocalSource(Source):
    """Counts all partitions; requests that arrive during a commit are committed together by the next one."""

    name = "events"

    def __init__(self, context: CountingContext, mirror: Mirror) -> None:
        self._context = context
        self._mirror = mirror
        self._counters: list[PartitionCounter] = []
        self._requests: list[_Request] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._checked = 0.0
        self._up = context.process_series.cell(c.SOURCE_UP, "http")
        self._up.set(0)
        self._last_event = context.process_series.cell(c.LAST_EVENT)
        self.trouble = "the state is not loaded yet"

    @property
    def up(self) -> bool:
        """Whether events can be counted."""
        return self._up.value == 1

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Count encoded events; return the result of each once the readable ones are committed.

        Raises:
            SourceError: the exporter is starting or stopping, or the state cannot be written.
        """
        if not self.up:
            raise SourceError(f"no events are accepted: {self.trouble}", hint="send the whole request again")
        read: list[Event | EventError] = []
        for payload in payloads:
            try:
                read.append(parse(payload))
            except EventError as error:
                read.append(error)
        request = _Request([event for event in read if not isinstance(event, EventError)])
        self._requests.append(request)
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                known = iter(await request.known)
        except TimeoutError as error:
            raise SourceError(
                "the state cannot be written at the moment", hint="send the whole request again"
            ) from error
        results = [event if isinstance(event, EventError) else next(known) for event in read]
        return [result if isinstance(result, EventError) else Published(0, result) for result in results]

    async def run(self) -> None:
        """Count until `stop`; then commit what was accepted, and return."""
        if self._context.store.name == "memory":
            logger.warning("state in memory and no NATS: a restart loses all counts; --state.path keeps them")
        try:
            self._counters = [await self._start(partition) for partition in range(self._context.partitions)]
            self._up.set(1)
            self.trouble = ""
            while not self._stopping or self._requests:
                await self._round()
        finally:
            self._up.set(0)
            self.trouble = "the exporter is stopping"
            for request in self._requests:
                if not request.known.done():
                    request.known.set_exception(
                        SourceError("the exporter stopped", hint="send the whole request again")
                    )
            for counter in self._counters:
                counter.close()

    def stop(self) -> None:
        """End `run` once what was accepted is committed."""
        self._stopping = True
        self._up.set(0)
        self.trouble = "the exporter is stopping"
        self._wake.set()

    async def _start(self, partition: int) -> PartitionCounter:
        self._mirror.exclude(partition)
        while True:
            try:
                claim = await self._context.store.acquire(partition)
                if claim is not None:
                    break
            except StoreUnavailableError as error:
                self.trouble = error.message
            await asyncio.sleep(_RETRY_SECONDS)
        counter = PartitionCounter(partition, self._context, claim)
        await counter.start()
        counter.set_backlog(0)
        self._context.process_series.cell(c.PARTITION_OWNED, str(partition)).set(1)
        return counter

    async def _round(self) -> None:
        """Wait for requests and commit them together; every `CHECK_SECONDS` let time pass in all partitions."""
        try:
            async with asyncio.timeout_at(self._checked + CHECK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._checked = asyncio.get_running_loop().time()
            await asyncio.gather(*(self._pass_time(counter) for counter in self._counters))
            return
        self._wake.clear()
        requests, self._requests = [request for request in self._requests if not request.known.done()], []
        results = iter(await self._count([event for request in requests for event in request.events]))
        self._last_event.set(self._context.clock())
        for request in requests:
            answers = [next(results) for _ in request.events]
            if not request.known.done():  # else it was answered with 503
                request.known.set_result(answers)

    async def _count(self, events: list[Event]) -> list[bool | EventError]:
        """Count and commit events; return for each whether it was known before, or why it is not counted."""
        by_partition: dict[int, list[int]] = {}
        for index, event in enumerate(events):
            by_partition.setdefault(partition_of(subject_of(event).rpartition(".")[2]), []).append(index)
        results: list[bool | EventError] = [False] * len(events)

        async def count(partition: int, indexes: list[int]) -> None:
            counted = await self._count_in(self._counters[partition], [events[index] for index in indexes])
            for index, result in zip(indexes, counted, strict=True):
                results[index] = result

        await asyncio.gather(*(count(partition, indexes) for partition, indexes in by_partition.items()))
        return results

    async def _count_in(self, counter: PartitionCounter, events: list[Event]) -> list[bool | EventError]:
        now = self._now()
        try:
            known: list[bool | EventError] = [counter.count([event], now) == 0 for event in events]
            await counter.commit()
            return known
        except UncountableError as error:
            logger.error("%s; counting the events of the request one by one", error.message)
            return await counter.count_each(events, now)

    def _now(self) -> float:
        """Return the time of this host, without steps of its clock."""
        self._context.stream_clock.read(self._context.clock())
        return self._context.stream_clock.now()

    async def _pass_time(self, counter: PartitionCounter) -> None:
        try:
            counter.count([], self._now())
            await counter.commit()
        except UncountableError:  # what is committed stays as it is until an event changes it
            logger.exception("the passing of time could not be counted", extra={"partition": counter.partition})
            await counter.roll_back()
