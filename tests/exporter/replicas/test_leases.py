"""Fair shares of partitions, and how they change hands."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from jelmon_exporter.replicas.leases import Holding, Leases, share
from jelmon_exporter.state.redis import RedisStore

Until = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17])
def test_shares_add_up_and_are_even(count: int) -> None:
    replicas = [f"replica-{number:02}" for number in range(count)]
    shares = [share(replicas, replica, 16) for replica in replicas]

    assert sum(shares) == 16
    assert max(shares) - min(shares) <= 1


def test_who_is_not_counted_as_alive_owns_nothing() -> None:
    assert share(["a", "b"], "c", 16) == 0


class Replica:
    """A replica that only holds partitions."""

    def __init__(self, redis_url: str, name: str) -> None:
        self.store = RedisStore(redis_url)
        self.held: set[int] = set()
        self.able = True
        self._stopping = asyncio.Event()
        self._leases = Leases(self.store, name, 16)
        self._task: asyncio.Task[None] | None = None

    async def _hold(self, partition: int, holding: Holding) -> None:
        self.held.add(partition)
        await holding.stop.wait()
        self.held.discard(partition)

    async def __aenter__(self) -> "Replica":
        self._task = asyncio.create_task(self._leases.run(self._hold, self._stopping, lambda: self.able))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        assert self._task is not None
        await self._task
        await self.store.close()


async def test_partitions_are_shared_out_again_when_a_replica_comes_or_goes(redis_url: str, until: Until) -> None:
    """Every partition has one owner, the shares are even, and who leaves leaves at once."""
    async with Replica(redis_url, "a") as one:
        await until(lambda: len(one.held) == 16)
        async with Replica(redis_url, "b") as two:
            await until(lambda: len(one.held) == len(two.held) == 8)

            assert one.held | two.held == set(range(16))
        await until(lambda: len(one.held) == 16, seconds=5)


async def test_a_replica_that_cannot_count_leaves_its_partitions_to_others(redis_url: str, until: Until) -> None:
    async with Replica(redis_url, "a") as one, Replica(redis_url, "b") as two:
        await until(lambda: len(one.held) == len(two.held) == 8)
        one.able = False
        await until(lambda: len(two.held) == 16)

        assert one.held == set()
