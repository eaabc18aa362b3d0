"""What one replica does for all of them, under a lease of its own.

When nobody can say whose turn it is, everybody works: a service that is probed twice does no harm, one that is not
probed because Redis is down would be missed just then.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from jelmon.service.tasks import end
from jelmon_exporter.state.store import Claim, StateStore, StoreUnavailableError

logger = logging.getLogger(__name__)

PROBES = 9999
UNPARTITIONED = 9998
"""Stand where the store expects a partition; there are never so many."""


class Turn(Protocol):
    """Says whose turn it is."""

    @property
    def seconds(self) -> float:
        """How often to ask."""

    async def ours(self) -> bool:
        """Whether it is ours, or nobody can say."""

    async def release(self) -> None:
        """We do not want it any more."""


class StoreTurn:
    """A lease in a store that replicas share."""

    def __init__(self, store: StateStore, slot: int) -> None:
        self._store = store
        self._slot = slot
        self.claim: Claim | None = None
        """The lease that we hold."""

    @property
    def seconds(self) -> float:
        return self._store.renew_seconds

    async def ours(self) -> bool:
        try:
            if self.claim is not None and not await self._store.renew(self._slot, self.claim):
                self.claim = None
            elif self.claim is None:
                self.claim = await self._store.acquire(self._slot)
        except StoreUnavailableError as error:
            logger.debug("nobody can say whose turn it is", extra={"error": error.message})
            return True
        return self.claim is not None

    async def release(self) -> None:
        if self.claim is not None:
            with contextlib.suppress(StoreUnavailableError):  # it runs out by itself
                await self._store.release(self._slot, self.claim)


def turn_at(store: StateStore, slot: int, leadership: Turn | None) -> Turn | None:
    """Who says whose turn it is to do one thing: the store, else whoever leads; None if nobody shares anything."""
    return StoreTurn(store, slot) if store.shared else leadership


class Singleton:
    """Runs ``work`` while it is our turn, and calls ``stopped`` when it is no longer. Without ``turn`` it always is."""

    def __init__(
        self, turn: Turn | None, work: Callable[[], Coroutine[Any, Any, None]], stopped: Callable[[], None]
    ) -> None:
        self._turn = turn
        self._work = work
        self._stopped = stopped
        self._task: asyncio.Task[None] | None = None

    @property
    def working(self) -> bool:
        """Whether it is our turn."""
        return self._task is not None

    async def run(self) -> None:
        """Take turns until cancelled, or the work is done. A fault in the work is not hidden."""
        if self._turn is None:
            await self._work()
            return
        try:
            while True:
                if await self._turn.ours():
                    self._task = self._task or asyncio.create_task(self._work())
                else:
                    await self._stop()
                if self._task is None:
                    await asyncio.sleep(self._turn.seconds)
                else:
                    done, _ = await asyncio.wait([self._task], timeout=self._turn.seconds)
                    for task in done:
                        task.result()
                        return
        finally:
            await self._stop()
            await self._turn.release()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            try:
                await end(task)
            finally:
                self._stopped()
