"""Events that were stored without a partition: each is copied into its partition, where it is counted.

They come from producers that know of no partitions, through a NATS that cannot add one (`jelmon.nats.partitions`). The
copy's message id follows from the place of the original, so that one that is made twice is stored once; after NATS'
duplicate window the event's own id tells.
"""

import asyncio
import logging

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.nats import partitions
from jelmon.nats.subjects import STREAM, partitioned
from jelmon_exporter.series.cells import SeriesTable

logger = logging.getLogger(__name__)

API_SECONDS = 15.0
FETCH_SECONDS = 1.0
COPY_SECONDS = 5.0
"""How long a copy may take to be stored; less than until its original is delivered again."""
_RETRY_SECONDS = 1.0
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Unpartitioned:
    """Copies, for as long as such events may come. One is enough; several do no harm."""

    def __init__(self, client: Client, own: SeriesTable) -> None:
        self._client = client
        self._lag = own.cell(c.CONSUMER_LAG, "none")

    async def expected(self) -> bool:
        """Whether there are such events, or may be."""
        try:
            return await partitions.waiting(self._context) is not None
        except _TROUBLE:  # then they cannot be ruled out
            return True

    @property
    def _context(self) -> JetStreamContext:
        return self._client.jetstream(timeout=API_SECONDS)

    async def run(self) -> None:
        """Copy until there is nothing more and the stream puts partitions in by itself."""
        troubled = False
        while True:
            try:
                await self._copy_all()
                return
            except (*_TROUBLE, SourceError) as error:
                if not troubled:
                    logger.warning("events without a partition wait: %s", str(error) or type(error).__name__)
                troubled = True
                await asyncio.sleep(_RETRY_SECONDS)

    def forget(self) -> None:
        """Somebody else does it now."""
        self._lag.set(None)

    async def _copy_all(self) -> None:
        context = self._context
        await partitions.ensure_partitions(self._client)
        subscription = await context.pull_subscribe_bind(consumer=partitions.CONSUMER, stream=STREAM)
        try:
            while True:
                try:
                    messages = await subscription.fetch(partitions.BATCH, timeout=FETCH_SECONDS)
                except TimeoutError:
                    messages = []
                # in order: requests leave in the order of the tasks
                await asyncio.gather(*(self._copy(context, message) for message in messages))
                for message in messages:
                    await message.ack()
                if not messages and await self._over(context):
                    self.forget()
                    return
        finally:
            await subscription.unsubscribe()

    async def _over(self, context: JetStreamContext) -> bool:
        """Whether no such events come any more, as the server is a newer one now, and none are left."""
        left = await partitions.waiting(context)
        self._lag.set(left)
        if not partitions.possible_by_stream(self._client):
            if left is None:
                raise SourceError("the stream was made anew")
            return False
        await partitions.ensure_partitions(self._client)
        if left or not partitions.by_stream((await context.stream_info(STREAM)).config):
            return False
        if left is not None:
            await context.delete_consumer(STREAM, partitions.CONSUMER)
        logger.info("the stream puts events into partitions from now on")
        return True

    async def _copy(self, context: JetStreamContext, message: Msg) -> None:
        words = message.subject.split(".")
        headers = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")}
        headers["Nats-Msg-Id"] = f"{STREAM}-{message.metadata.sequence.stream}"
        await context.publish(partitioned(words[2], words[3]), message.data, headers=headers, timeout=COPY_SECONDS)
