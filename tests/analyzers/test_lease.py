"""One replica leads, and the next one takes over when it ends or falls silent."""

import asyncio
import time
import uuid
from collections.abc import Callable

from jelmon.analyzers.lease import Lease
from jelmon.jetstream import NatsSettings
from jelmon.tasks import end


async def _wait(done: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def test_one_of_two_leads_and_the_other_takes_over(nats_url: str) -> None:
    """At no time do both; who ends lets go at once."""
    name = f"test-{uuid.uuid4().hex}"
    first, second = (Lease(NatsSettings(url=nats_url), name, ttl_seconds=15.0) for _ in range(2))
    tasks = [asyncio.create_task(first.run())]
    await _wait(lambda: first.held)
    tasks.append(asyncio.create_task(second.run()))
    await asyncio.sleep(0.3)

    assert (first.held, second.held) == (True, False)

    await end(tasks[0])

    assert not first.held

    await _wait(lambda: second.held)
    await end(tasks[1])


async def test_a_replica_that_falls_silent_is_followed_when_its_entry_expires(
    own_nats: tuple[str, Callable[[], str]],
) -> None:
    """It cannot let go; it stops to lead by its own clock before the other one begins."""
    settings = NatsSettings(url=own_nats[0])
    first, second = (Lease(settings, "silent", ttl_seconds=1.0) for _ in range(2))
    tasks = [asyncio.create_task(first.run())]
    await _wait(lambda: first.held)
    tasks.append(asyncio.create_task(second.run()))
    first._revision = None  # what it would delete when it is ended
    await end(tasks[0])
    first._until = time.monotonic() + 0.8  # as it was when it fell silent

    assert not second.held

    await _wait(lambda: second.held)

    assert not first.held

    await end(tasks[1])
