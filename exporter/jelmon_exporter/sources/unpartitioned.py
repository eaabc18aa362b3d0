"""Copies events that were stored without a partition into their partition, where they are counted.

They come from producers that name no partition, through a NATS that cannot add one (`jelmon.nats.partitions`). The
copy's message id derives from the sequence of the original, so that a repeated copy is stored once; after NATS's
duplicate window, the id of the event prevents double counting.
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
from jelmon.nats.connection import cancelled_by_closing
from jelmon.nats.subjects import STREAM, partitioned
from jelmon_exporter.series.cells import SeriesTable

logger = logging.getLogger(__name__)

API_SECONDS = 15.0
FETCH_SECONDS = 1.0
COPY_SECONDS = 5.0
"""How long a copy may take to be stored; shorter than the time until its original is redelivered."""
_RETRY_SECONDS = 1.0
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Unpartitioned:
    """Copies as long as such events may arrive. One instance is enough; several do no harm."""

    def __init__(self, client: Client, table: SeriesTable) -> None:
        self._client = client
        self._lag = table.cell(c.CONSUMER_LAG, "none")

    async def expected(self) -> bool:
        """Return whether there are, or may be, such events."""
        try:
            return await partitions.waiting(self._context) is not None
        except _TROUBLE:  # then they cannot be ruled out
            return True

    @property
    def _context(self) -> JetStreamContext:
        return self._client.jetstream(timeout=API_SECONDS)

    async def run(self) -> None:
        """Copy until none are left and the stream adds partitions itself."""
        troubled = False
        while True:
            try:
                await self._copy_all()
                return
            except (*_TROUBLE, SourceError) as error:
                if not troubled:
                    logger.warning("events without a partition are delayed: %s", str(error) or type(error).__name__)
                troubled = True
                await asyncio.sleep(_RETRY_SECONDS)

    def forget(self) -> None:
        """Stop exposing the lag: another replica copies now."""
        self._lag.set(None)

    async def _copy_all(self) -> None:
        context = self._context
        await partitions.ensure_partitions(self._client)
        subscription = await context.pull_subscribe_bind(consumer=partitions.CONSUMER, stream=STREAM)
        try:
            while True:
                try:
                    with cancelled_by_closing():
                        messages = await subscription.fetch(partitions.BATCH, timeout=FETCH_SECONDS)
                except TimeoutError:
                    messages = []
                # in order: requests leave in the order of the tasks
                await asyncio.gather(*(self._copy(context, message) for message in messages))
                for message in messages:
                    await message.ack()
                if not messages and await self._finished(context):
                    self.forget()
                    return
        finally:
            await subscription.unsubscribe()

    async def _finished(self, context: JetStreamContext) -> bool:
        """Return whether no such events are left and none can arrive, because the server was upgraded."""
        left = await partitions.waiting(context)
        self._lag.set(left)
        if not partitions.possible_by_stream(self._client):
            if left is None:
                raise SourceError("the stream was recreated")
            return False
        await partitions.ensure_partitions(self._client)
        if left or not partitions.by_stream((await context.stream_info(STREAM)).config):
            return False
        if left is not None:
            await context.delete_consumer(STREAM, partitions.CONSUMER)
        logger.info("the stream now adds partitions itself")
        return True

    async def _copy(self, context: JetStreamContext, message: Msg) -> None:
        words = message.subject.split(".")
        headers = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")}
        headers["Nats-Msg-Id"] = f"{STREAM}-{message.metadata.sequence.stream}"
        await context.publish(partitioned(words[2], words[3]), message.data, headers=headers, timeout=COPY_SECONDS)
