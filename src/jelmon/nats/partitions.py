"""Partitioning of events whose producers do not compute the partition.

The stream of NATS 2.10 and newer adds the partition to the subject as it stores a message. An older server stores the
message unchanged unless its configuration maps the subject; the exporter then copies the event into its partition.
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
"""Tracks which events without a partition have been copied. It exists while such events are possible or pending."""
BATCH = 256
_MOST_UNACKNOWLEDGED = 4 * BATCH  # so that the next batch need not wait for all acknowledgements of the last
ACKNOWLEDGE_SECONDS = 10.0
API_SECONDS = 15.0
_MAPPING_SECONDS = 1.0
_TROUBLE = (nats.js.errors.APIError, nats.errors.Error, TimeoutError)


def by_stream(config: StreamConfig) -> bool:
    """Return whether the stream adds the partition to subjects without one."""
    return config.subject_transform == event_stream().subject_transform


def possible_by_stream(client: Client) -> bool:
    """Return whether the server is new enough to partition in the stream."""
    version = client.connected_server_version
    return (version.major, version.minor) >= (2, 10)


def missing_subjects(config: StreamConfig) -> list[str]:
    """Return the event subjects that the stream lacks."""
    stored = config.subjects or ()
    return [subject for subject in EVENT_SUBJECTS if not any(takes(pattern, subject) for pattern in stored)]


async def ensure_partitions(client: Client) -> bool:
    """Add partitioned subjects and the partitioning transform to the stream of events; return True if it changed.

    NATS before 2.10 ignores the transform, so it is left out there: see `by_stream`.

    Raises:
        SourceError: the stream has another subject transform, or cannot be changed.
    """
    context = client.jetstream(timeout=API_SECONDS)
    try:
        current = (await context.stream_info(STREAM)).config
        if current.subject_transform is not None and not by_stream(current):
            raise SourceError(
                f"stream {STREAM} does not partition its events",
                hint="remove the other subject transform from the stream",
            )
        missing = missing_subjects(current)
        wanted = event_stream().subject_transform if possible_by_stream(client) else current.subject_transform
        if not by_stream(current):  # events stored without a partition so far still have to be copied
            await _ensure_consumer(context)
        if current.subject_transform == wanted and not missing:
            return False
        await context.update_stream(current, subjects=[*(current.subjects or ()), *missing], subject_transform=wanted)
        updated = (await context.stream_info(STREAM)).config
    except _TROUBLE as error:
        raise stream_error(error) from error
    changed = bool(missing) or by_stream(updated)
    if changed:
        logger.info("partitioned stream", extra={"stream": STREAM, "by_stream": by_stream(updated)})
    return changed


async def waiting(context: JetStreamContext) -> int | None:
    """Return how many events without a partition are not copied yet; None if no such events are expected.

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
    """Return whether the server's configuration maps subjects without a partition.

    Sends a message that no stream may store and checks on which subject it arrives.
    """
    key = uuid.uuid4().hex
    subject_stored: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def listen(message: Any) -> None:
        if not subject_stored.done():
            subject_stored.set_result(message.subject)

    subscriptions = [await client.subscribe(f"jelmore.events.probe.{more}{key}", cb=listen) for more in ("", "*.")]
    try:
        await client.publish(f"jelmore.events.probe.{key}", b"", headers={"Nats-Expected-Stream": "none"})
        async with asyncio.timeout(_MAPPING_SECONDS):
            return await subject_stored == partitioned("probe", key)
    except TimeoutError:  # no permission to subscribe
        return False
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()
