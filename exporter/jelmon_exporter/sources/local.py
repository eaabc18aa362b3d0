"""Events counted without NATS: what comes over HTTP goes straight into the state, and is answered when it is kept.

There is no stream that could be read again, so the state is all there is: values, cards and the ids of events are
committed together, and a post is answered after that. Who gets no answer sends again; the ids tell what was counted.
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
from jelmon_exporter.counting.partition import Counting, Workshop
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.state.store import StoreUnavailableError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long a post waits for its commit; then its sender is told to come again."""
CHECK_SECONDS = 30.0
_RETRY_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class _Post:
    """The good events of one request, and whether each was known before, once they are kept."""

    events: list[Event]
    known: "asyncio.Future[list[bool]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class LocalSource:
    """Counts all partitions by itself; posts that come during a commit are committed together by the next one."""

    def __init__(self, shop: Workshop, mirror: Mirror) -> None:
        self._shop = shop
        self._mirror = mirror
        self._countings: list[Counting] = []
        self._posts: list[_Post] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._checked = 0.0
        self._up = shop.own.cell(c.SOURCE_UP, "http")
        self._up.set(0)
        self._last_event = shop.own.cell(c.LAST_EVENT)
        self.trouble = "the state is not loaded yet"

    @property
    def up(self) -> bool:
        """Whether events can be counted."""
        return self._up.value == 1

    async def publish_each(self, payloads: Iterable[bytes]) -> list[Published | EventError | SourceError]:
        """Count encoded events; tell the fate of each when those that are good are committed.

        Raises:
            SourceError: we begin or end just now, or the state cannot be written.
        """
        if not self.up:
            raise SourceError(f"no events are taken: {self.trouble}", hint="send all of it again")
        read: list[Event | EventError] = []
        for payload in payloads:
            try:
                read.append(parse(payload))
            except EventError as error:
                read.append(error)
        post = _Post([one for one in read if not isinstance(one, EventError)])
        self._posts.append(post)
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                known = iter(await post.known)
        except TimeoutError as error:
            raise SourceError("the state cannot be written for now", hint="send all of it again") from error
        return [one if isinstance(one, EventError) else Published(0, next(known)) for one in read]

    async def run(self) -> None:
        """Count until `stop`; then commit what was taken, and return."""
        if self._shop.store.name == "memory":
            logger.warning("state in memory and no NATS: a restart forgets all counts; --state.path keeps them")
        try:
            self._countings = [await self._begin(partition) for partition in range(self._shop.partitions)]
            self._up.set(1)
            self.trouble = ""
            while not self._stopping or self._posts:
                await self._round()
        finally:
            self._up.set(0)
            self.trouble = "the exporter ends"
            for post in self._posts:
                if not post.known.done():
                    post.known.set_exception(SourceError("the exporter ended", hint="send all of it again"))
            for counting in self._countings:
                counting.end()

    def stop(self) -> None:
        """End `run` after what was taken."""
        self._stopping = True
        self._up.set(0)
        self.trouble = "the exporter ends"
        self._wake.set()

    async def _begin(self, partition: int) -> Counting:
        self._mirror.own(partition)
        while True:
            try:
                claim = await self._shop.store.acquire(partition)
                if claim is not None:
                    break
            except StoreUnavailableError as error:
                self.trouble = error.message
            await asyncio.sleep(_RETRY_SECONDS)
        counting = Counting(partition, self._shop, claim)
        await counting.begin()
        counting.expect(0)
        self._shop.own.cell(c.PARTITION_OWNED, str(partition)).set(1)
        return counting

    async def _round(self) -> None:
        """Wait for posts, and commit those that are there; from time to time note everywhere that time passes."""
        try:
            async with asyncio.timeout_at(self._checked + CHECK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._checked = asyncio.get_running_loop().time()
            for counting in self._countings:
                counting.count([], self._shop.clock())
            await self._commit(self._countings)
            return
        self._wake.clear()
        posts, self._posts = [post for post in self._posts if not post.known.done()], []
        touched: dict[int, Counting] = {}
        known = [[self._count(event, touched) for event in post.events] for post in posts]
        await self._commit(touched.values())
        self._last_event.set(self._shop.clock())
        for post, found in zip(posts, known, strict=True):
            if not post.known.done():  # else its sender was told to come again
                post.known.set_result(found)

    def _count(self, event: Event, touched: dict[int, Counting]) -> bool:
        """Count one event; returns whether it was known before."""
        partition = partition_of(subject_of(event).rpartition(".")[2])
        counting = touched[partition] = self._countings[partition]
        return counting.count([event], self._shop.clock()) == 0

    async def _commit(self, countings: Iterable[Counting]) -> None:
        await asyncio.gather(*(counting.commit() for counting in countings))
