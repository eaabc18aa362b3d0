"""One replica leads, and the next one takes over when it ends or falls silent; never two at once."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
import pytest

from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import BUCKET, Lease
from jelmon.service.tasks import end


async def _wait(done: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "the condition did not come true in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _asking(*leases: Lease) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(lease.run()) for lease in leases]
    try:
        yield tasks
    finally:
        for task in tasks:
            await end(task)


def _lease(url: str, name: str, *, ttl_seconds: float = 30.0, note: Callable[[], object] = lambda: None) -> Lease:
    return Lease(NatsSettings(url=url), name, ttl_seconds=ttl_seconds, note=note)


async def test_one_of_two_leads_and_the_other_takes_over_at_once_when_it_ends(nats_url: str) -> None:
    """It learns what the first one noted, and the epoch goes up."""
    name = uuid.uuid4().hex
    first = _lease(nats_url, name, ttl_seconds=3.0, note=lambda: {"counted": 7})
    second = _lease(nats_url, name, ttl_seconds=3.0)
    async with _asking(first) as tasks:
        await _wait(lambda: first.held)
        async with _asking(second):
            await _wait(lambda: second.known)
            await asyncio.sleep(0.3)

            assert (first.held, first.ours, second.held, second.ours) == (True, True, False, False)

            await end(tasks[0])

            assert not first.held

            await _wait(lambda: second.held)

            assert (first.epoch, second.epoch) == (1, 2)
            assert msgspec.json.decode(second.others.note) == {"counted": 7}


@pytest.mark.parametrize("program", ["nats-server", "nats-server 2.9"])
async def test_a_replica_that_falls_silent_is_followed_and_stops_first(
    tool: Callable[[str], Path], tmp_path: Path, program: str
) -> None:
    """It cannot let go; it stops to lead by its own clock before the other one begins, and learns of it as it wakes."""
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool(program), tmp_path / "nats", port=free_port())
        first, second = (_lease(url, "silent", ttl_seconds=1.5) for _ in range(2))
        async with _asking(first):
            await _wait(lambda: first.held)
            async with _asking(second):
                await _wait(lambda: second.known)
                renew, blocked = first._renew, asyncio.Event()

                async def sleeps(_: object) -> None:  # as a process that is paused
                    await blocked.wait()

                first._renew = sleeps  # type: ignore[method-assign, assignment]
                both = 0

                def the_other_leads() -> bool:
                    nonlocal both
                    both += first.ours and second.ours
                    return second.held

                await _wait(the_other_leads)

                assert both == 0
                assert not first.ours

                first._renew = renew  # type: ignore[method-assign]
                blocked.set()
                await _wait(lambda: first.others.epoch == 2)

                assert not first.ours
                assert second.ours


async def test_nobody_takes_over_while_nats_is_away(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """The one that led goes on as far as it knows; with NATS it comes back to what it was."""
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port())
        first, second = (_lease(url, "away", ttl_seconds=1.5) for _ in range(2))
        async with _asking(first):
            await _wait(lambda: first.held)
            async with _asking(second):
                await _wait(lambda: second.known)
                processes.signal("nats-server", signal.SIGSTOP)
                await _wait(lambda: not first.held and not first.known and not second.known)

                assert (first.ours, second.ours) == (True, False)

                processes.signal("nats-server", signal.SIGCONT)
                await _wait(lambda: first.held != second.held and first.known and second.known)

                assert first.ours != second.ours


async def test_an_entry_that_something_else_wrote_counts_as_long_as_it_changes(nats_url: str) -> None:
    name = uuid.uuid4().hex
    other, lease = _lease(nats_url, uuid.uuid4().hex), _lease(nats_url, name, ttl_seconds=1.5)
    client = await nats.connect(nats_url)
    async with _asking(other):
        await _wait(lambda: other.held)  # so there is a bucket
        bucket = await client.jetstream().key_value(BUCKET)
        await bucket.put(name, b"not ours")
        async with _asking(lease):
            await _wait(lambda: lease.known)

            assert not lease.held

            await _wait(lambda: lease.held)
    await client.close()


async def test_a_bucket_that_is_removed_is_made_anew(nats_url: str) -> None:
    name = uuid.uuid4().hex
    lease = _lease(nats_url, name, ttl_seconds=1.5)
    client = await nats.connect(nats_url)
    async with _asking(lease):
        await _wait(lambda: lease.held)
        await client.jetstream().delete_key_value(BUCKET)
        await _wait(lambda: lease.epoch == 2 and lease.held)
    await client.close()
