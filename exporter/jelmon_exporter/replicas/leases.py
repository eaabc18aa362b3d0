"""Divides the partitions among replicas: each holds an equal share, under leases that it acquires and renews."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from jelmon.service.tasks import end
from jelmon_exporter.state.store import Claim, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Holding:
    """A partition that this replica holds. Setting ``stop`` asks its task to commit and end."""

    claim: Claim
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


Hold = Callable[[int, Holding], Coroutine[Any, Any, None]]
"""Counts a partition until ``stop`` is set or another replica owns it."""


def share(replicas: list[str], replica: str, partitions: int) -> int:
    """Return how many partitions a replica should own. All replicas compute the same shares."""
    if replica not in replicas:
        return 0
    quotient, remainder = divmod(partitions, len(replicas))
    return quotient + (replicas.index(replica) < remainder)


class Leases:
    """Acquires, renews and releases partitions while `run` runs."""

    def __init__(self, store: StateStore, replica: str, partitions: int) -> None:
        self._store = store
        self._replica = replica
        self._partitions = partitions
        self._holdings: dict[int, Holding] = {}

    async def run(self, hold: Hold, stopping: asyncio.Event, able: Callable[[], bool]) -> None:
        """Own a share until ``stopping`` is set; nothing while ``able()`` is false."""
        troubled = False
        try:
            while not stopping.is_set():
                try:
                    await self._round(hold, able=able())
                    troubled = False
                except StoreUnavailableError as error:
                    if not troubled:
                        logger.error("%s; leases cannot be renewed", error.message)
                    troubled = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._store.renew_seconds)
        finally:
            await self._release_all()

    async def _round(self, hold: Hold, *, able: bool) -> None:
        self._drop_ended()
        replicas = await self._store.attend(self._replica, leaving=not able)
        await self._renew()
        wanted = share(replicas, self._replica, self._partitions) if able else 0
        for partition in list(self._holdings)[wanted:]:
            await self._release(partition)
        start = replicas.index(self._replica) * self._partitions // len(replicas) if wanted else 0
        for offset in range(self._partitions):
            partition = (start + offset) % self._partitions
            if len(self._holdings) < wanted and partition not in self._holdings:
                claim = await self._store.acquire(partition)
                if claim is not None:
                    holding = self._holdings[partition] = Holding(claim)
                    holding.task = asyncio.create_task(hold(partition, holding), name=f"partition {partition}")

    def _drop_ended(self) -> None:
        """Drop partitions whose task ended because another replica owns them. Other errors of the task are raised."""
        for partition, holding in list(self._holdings.items()):
            if holding.task is not None and holding.task.done():
                del self._holdings[partition]
                holding.task.result()

    async def _renew(self) -> None:
        holdings = list(self._holdings.items())
        kept = await asyncio.gather(*(self._store.renew(partition, holding.claim) for partition, holding in holdings))
        for (partition, holding), still_ours in zip(holdings, kept, strict=True):
            if not still_ours:
                logger.warning("a lease was lost", extra={"partition": partition})
                holding.stop.set()  # its commits are refused, so it ends by itself

    async def _release(self, partition: int) -> None:
        holding = self._holdings.pop(partition)
        await self._end(holding)
        await self._store.release(partition, holding.claim)

    async def _end(self, holding: Holding) -> None:
        holding.stop.set()
        if holding.task is not None:
            await holding.task

    async def _release_all(self) -> None:
        """End all tasks and release the leases, so that others need not wait. If cancelled, only end the tasks."""
        holdings, self._holdings = self._holdings, {}
        tasks = [holding.task for holding in holdings.values() if holding.task is not None]
        try:
            await asyncio.gather(*(self._end(holding) for holding in holdings.values()))
            await asyncio.gather(
                *(self._store.release(partition, holding.claim) for partition, holding in holdings.items())
            )
            await self._store.attend(self._replica, leaving=True)
        except StoreUnavailableError as error:
            logger.warning("leases were not released; they expire by themselves", extra={"error": error.message})
        except asyncio.CancelledError:
            await asyncio.gather(*(end(task) for task in tasks), return_exceptions=True)
            raise
