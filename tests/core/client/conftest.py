"""A connection to a NATS server whose event stream is empty."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client

from jelmon.client import Publisher
from jelmon.nats.subjects import STREAM


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[Client]:
    """A connection of the test's own to a server whose event stream is new and empty."""
    client = await nats.connect(nats_url)
    try:
        await _delete_stream(client)
        async with Publisher(nats_url) as publisher:
            await publisher.ensure_stream()
        yield client
    finally:
        await _delete_stream(client)
        await client.close()


@pytest.fixture
def delete_stream() -> Callable[[Client], Awaitable[None]]:
    """A function that deletes the event stream, if there is one."""
    return _delete_stream


async def _delete_stream(client: Client) -> None:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await client.jetstream().purge_stream(STREAM)  # a new stream of that name may find messages left on disk
        await client.jetstream().delete_stream(STREAM)
