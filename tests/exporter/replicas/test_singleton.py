"""One replica works for all, another follows when it goes, and without a store everybody works."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from jelmon import catalogue as c
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.service.tasks import end
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.collectors.targets import Target
from jelmon_exporter.replicas.singleton import PROBES, Singleton, StoreElection, election_for
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.state.memory import MemoryStore
from jelmon_exporter.state.redis import RedisStore
from jelmon_exporter.state.store import StateStore

Until = Callable[..., Awaitable[None]]


class Replica:
    """A singleton whose work is to be at work."""

    def __init__(self, store: StateStore) -> None:
        self.begun = self.stopped = 0
        self.singleton = Singleton(election_for(store, PROBES, None), self._work, self._stop)

    async def _work(self) -> None:
        self.begun += 1
        await asyncio.Event().wait()

    def _stop(self) -> None:
        self.stopped += 1


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Replica]:
    store = RedisStore(url, renew_seconds=0.1)
    replica = Replica(store)
    task = asyncio.create_task(replica.singleton.run())
    try:
        yield replica
    finally:
        await end(task)
        await store.close()


async def test_one_works_and_the_next_follows_when_it_leaves(redis_url: str, until: Until) -> None:
    async with running(redis_url) as second:
        async with running(redis_url) as first:
            await until(lambda: first.singleton.working or second.singleton.working)
            await asyncio.sleep(0.5)  # several rounds, in which the other must not begin
            assert first.begun + second.begun == 1
            leader, follower = (first, second) if first.begun else (second, first)
            assert not follower.singleton.working
        if leader is first:
            await until(lambda: second.singleton.working)
            assert first.stopped == 1

    assert second.stopped == 1


async def test_who_lost_the_lease_stops(redis_url: str, until: Until) -> None:
    other = RedisStore(redis_url, renew_seconds=30)
    async with running(redis_url) as replica, redis.asyncio.Redis.from_url(redis_url) as client:
        await until(lambda: replica.singleton.working)
        claim = None
        while claim is None:  # as when it was frozen for longer than the lease lasts
            await client.delete(other.key(PROBES, "lease"))
            claim = await other.acquire(PROBES)
        await until(lambda: not replica.singleton.working)
        await other.release(PROBES, claim)
        await until(lambda: replica.singleton.working)
    await other.close()

    assert (replica.begun, replica.stopped) == (2, 2)


async def test_without_the_store_everybody_works(
    own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path, until: Until
) -> None:
    port = free_port()
    url = launch.redis(own_processes, tool("redis-server"), tmp_path / "redis", port=port)
    async with running(url) as first, running(url) as second:
        await until(lambda: first.singleton.working or second.singleton.working)
        own_processes.signal("redis-server", signal.SIGKILL)
        await until(lambda: first.singleton.working and second.singleton.working)
        launch.redis(own_processes, tool("redis-server"), tmp_path / "redis", port=port)
        await until(lambda: first.singleton.working != second.singleton.working)


async def test_a_store_that_is_not_shared_needs_no_turns() -> None:
    replica = Replica(MemoryStore())
    task = asyncio.create_task(replica.singleton.run())
    async with asyncio.timeout(20):
        while not replica.begun:
            await asyncio.sleep(0.01)
    await end(task)


async def test_a_fault_in_the_work_is_not_hidden(redis_url: str) -> None:
    async def broken() -> None:
        raise RuntimeError("a fault of ours")

    store = RedisStore(redis_url, renew_seconds=0.1)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await Singleton(StoreElection(store, PROBES), broken, lambda: None).run()
    await store.close()


async def test_a_replica_whose_turn_is_over_shows_no_old_results() -> None:
    table = SeriesTable()
    target = Target(name="registry", url="https://registry.example")
    prober = Prober([target], table)
    prober.record(target, Result(seconds=0.1, phases={"connect": 0.1}, expires=2e9))
    prober.record(target, Result(seconds=0.1, reason="timeout", phases={"connect": 0.1}))
    prober.forget()

    assert prober.results == {}
    assert table.cell(c.TARGET_UP, "registry").value is None
    assert table.cell(c.PROBE_PHASE, "registry", "connect").value is None
    assert table.cell(c.PROBE_TLS_EXPIRY, "registry").value is None
    assert table.cell(c.PROBE_FAILURES, "registry", "timeout").value == 1  # a counter never goes back
