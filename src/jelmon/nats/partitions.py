"""Who puts events into partitions: publishers do; the stream or the server does it for producers that know of none.

NATS 2.10 and newer put the partition into a subject that has none as they store the message. An older one stores it as
it is, unless its configuration maps the subject; the exporter then copies what it finds into its partition.
"""

import asyncio
import logging
import uuid
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig

from jelmon.errors import SourceError
from jelmon.nats.streams import event_stream, stream_error
from jelmon.nats.subjects import EVENT_SUBJECTS, STREAM, UNPARTITIONED, partitioned, takes

logger = logging.getLogger(__name__)

CONSUMER = "jelmon-unpartitioned"
"""Knows which events without a partition have their copy. It is there as long as such events may come or wait."""
BATCH = 256
_MOST_UNACKNOWLEDGED = 4 * BATCH  # so that the next batch need not wait until all of the last are acknowledged
ACKNOWLEDGE_SECONDS = 10.0
API_SECONDS = 15.0
_MAPPING_SECONDS = 1.0
_TROUBLE = (nats.js.errors.APIError, nats.errors.Error, TimeoutError)


def by_stream(config: StreamConfig) -> bool:
    """Whether the stream puts a partition into subjects that have none."""
    return config.subject_transform == event_stream().subject_transform


def possible_by_stream(client: Client) -> bool:
    """Whether the server is new enough for that."""
    version = client.connected_server_version
    return (version.major, version.minor) >= (2, 10)


def missing_subjects(config: StreamConfig) -> list[str]:
    """Subjects of events that the stream does not take."""
    return [one for one in EVENT_SUBJECTS if not any(takes(pattern, one) for pattern in config.subjects or ())]


async def ensure_partitions(client: Client) -> bool:
    """Let the stream of events take subjects with a partition, and put one into those without; True if that is new.

    The second is left out with an older NATS, which takes no notice of it: see `by_stream`.

    Raises:
        SourceError: the stream has a transformation of its own, or cannot be changed.
    """
    context = client.jetstream(timeout=API_SECONDS)
    try:
        found = (await context.stream_info(STREAM)).config
        if found.subject_transform is not None and not by_stream(found):
            raise SourceError(
                f"stream {STREAM} does not partition its events",
                hint="remove the other subject transformation from the stream",
            )
        missing = missing_subjects(found)
        wanted = event_stream().subject_transform if possible_by_stream(client) else found.subject_transform
        if not by_stream(found):  # what has come without a partition until now must not be forgotten
            await _ensure_consumer(context)
        if found.subject_transform == wanted and not missing:
            return False
        await context.update_stream(found, subjects=[*(found.subjects or ()), *missing], subject_transform=wanted)
        updated = (await context.stream_info(STREAM)).config
    except _TROUBLE as error:
        raise stream_error(error) from error
    changed = bool(missing) or by_stream(updated)
    if changed:
        logger.info("partitioned stream", extra={"stream": STREAM, "by_stream": by_stream(updated)})
    return changed


async def waiting(context: JetStreamContext) -> int | None:
    """How many events without a partition have no copy yet; None if no such events are expected.

    Raises:
        nats.errors.Error, nats.js.errors.Error, TimeoutError: JetStream does not answer.
    """
    try:
        info = await context.consumer_info(STREAM, CONSUMER)
    except nats.js.errors.NotFoundError:
        return None
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def _ensure_consumer(context: JetStreamContext) -> None:
    try:
        await context.consumer_info(STREAM, CONSUMER)
    except nats.js.errors.NotFoundError:
        await context.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=CONSUMER,
                description="jelmon exporter: events without a partition, to be copied into theirs",
                filter_subject=UNPARTITIONED,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACKNOWLEDGE_SECONDS,
                max_ack_pending=_MOST_UNACKNOWLEDGED,
            ),
        )


async def mapped_by_server(client: Client) -> bool:
    """Whether the server's configuration maps subjects without a partition.

    Found out with a message that no stream may store, on a subject of ours that we listen to.
    """
    key = uuid.uuid4().hex
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def listen(message: Any) -> None:
        if not heard.done():
            heard.set_result(message.subject)

    subscriptions = [await client.subscribe(f"jelmore.events.probe.{more}{key}", cb=listen) for more in ("", "*.")]
    try:
        await client.publish(f"jelmore.events.probe.{key}", b"", headers={"Nats-Expected-Stream": "none"})
        async with asyncio.timeout(_MAPPING_SECONDS):
            return await heard == partitioned("probe", key)
    except TimeoutError:  # not allowed to listen
        return False
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()
