"""The JetStream streams of events and dead letters: their configuration, creation, and what their errors mean."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, SubjectTransform

from jelmon.errors import SourceError
from jelmon.nats import connection
from jelmon.nats.connection import START_HINT, NatsSettings
from jelmon.nats.subjects import (
    DEAD_LETTER_STREAM,
    DEAD_LETTER_SUBJECTS,
    DUPLICATE_WINDOW_SECONDS,
    EVENT_SUBJECTS,
    PARTITION_TARGET,
    RETENTION_SECONDS,
    STREAM,
    UNPARTITIONED,
    takes,
)

logger = logging.getLogger(__name__)

_OVERLAP_HINT = "another stream has these subjects already: remove it, or narrow its subjects"


@asynccontextmanager
async def connected(settings: NatsSettings, *, name: str) -> AsyncIterator[Client]:
    """Connect for the time of the block, as commands do that end soon.

    Raises:
        SourceError: NATS does not answer, refuses the connection, or ends it in the block.
    """
    client = await connection.connect(settings, name=name)
    try:
        with connection.cancelled_by_closing():
            yield client
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError, SourceError) as error:
        if client.is_closed:
            raise _ended(settings) from error
        if isinstance(error, SourceError):
            raise
        raise stream_error(error) from error
    finally:
        await client.close()


def _ended(settings: NatsSettings) -> SourceError:
    return SourceError(
        f"NATS at {settings.shown} has ended the connection",
        hint="perhaps its credential expired or was changed: check them, and run the command again",
    )


def event_stream(*, replicas: int = 1) -> StreamConfig:
    """Return the configuration of the stream of events."""
    return StreamConfig(
        name=STREAM,
        description="jelmon: events of pipelines",
        subjects=list(EVENT_SUBJECTS),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=RETENTION_SECONDS,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        allow_direct=True,
        subject_transform=SubjectTransform(src=UNPARTITIONED, dest=PARTITION_TARGET),
    )


def dead_letter_stream(*, replicas: int = 1) -> StreamConfig:
    """Return the configuration of the dead-letter stream, which keeps messages four times as long as events."""
    return StreamConfig(
        name=DEAD_LETTER_STREAM,
        description="jelmon: events that could not be read",
        subjects=[DEAD_LETTER_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=4 * RETENTION_SECONDS,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        num_replicas=replicas,
        allow_direct=True,
    )


async def ensure_stream(context: JetStreamContext, config: StreamConfig | None = None) -> bool:
    """Create a stream, by default that of events, and return True; return False if it exists.

    An existing stream keeps its configuration; `jelmon.nats.partitions` adds missing subjects.

    Raises:
        SourceError: JetStream does not answer or is disabled, the user may not create streams, or another stream has
            the subjects.
    """
    config = config or event_stream()
    name, subjects = str(config.name), list(config.subjects or ())
    try:
        try:
            info = await context.stream_info(name)
        except nats.js.errors.NotFoundError:
            await context.add_stream(config)
            logger.info("created stream", extra={"stream": name, "subjects": subjects})
            return True
    except nats.js.errors.APIError as error:
        if error.err_code == 10058:  # created by another client between the two requests, with another configuration
            return False
        raise stream_error(error, name) from error
    except (nats.errors.Error, TimeoutError) as error:
        raise stream_error(error, name) from error
    taken = info.config.subjects or []
    if not any(takes(pattern, subjects[0]) for pattern in taken):
        raise SourceError(
            f"stream {name} exists but has no subject {subjects[0]}",
            hint=f"`nats stream edit {name} --subjects {','.join(subjects)}`, or remove the stream",
        )
    if beyond := [pattern for pattern in taken if not any(takes(subject, pattern) for subject in subjects)]:
        logger.warning(
            "stream has subjects that nobody reads: messages on them are stored but not counted",
            extra={
                "stream": name,
                "subjects": beyond,
                "hint": f"`nats stream edit {name} --subjects {','.join(subjects)}`",
            },
        )
    return False


def stream_error(error: BaseException, name: str = STREAM) -> SourceError:
    """Return the error of a failed JetStream request, with a hint."""
    if isinstance(error, nats.js.errors.ServiceUnavailableError | nats.errors.NoRespondersError):
        return SourceError(
            f"stream {name}: JetStream is disabled on the NATS server, or has no leader",
            hint="start the server with --jetstream (`jetstream {}` in its configuration)",
        )
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        return SourceError(
            f"no stream for events: {name} does not exist",
            hint="start `jelmon exporter`, which creates it, or call ensure_stream() of the publisher",
        )
    if isinstance(error, nats.js.errors.APIError):
        return SourceError(
            f"stream {name}: {error.description} (JetStream error {error.err_code})",
            hint=_OVERLAP_HINT if error.err_code == 10065 else "see `nats stream info` and the log of the NATS server",
        )
    if isinstance(error, TimeoutError):
        return SourceError(
            f"stream {name}: JetStream does not answer",
            hint="check that the server runs with JetStream enabled and that this user may publish to $JS.API.>",
        )
    return SourceError(f"stream {name}: {str(error) or type(error).__name__}", hint=START_HINT)
