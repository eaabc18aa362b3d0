"""What one replica does for all of them, under a lease of its own.

When the store cannot say whose turn it is, everybody works: a service that is probed twice does no harm, one that is
not probed because Redis is down would be missed just then.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from jelmon.exporter.state.store import Claim, StateStore, StoreUnavailableError
from jelmon.tasks import end

logger = logging.getLogger(__name__)

PROBES = 9999
UNPARTITIONED = 9998
"""Stand where the store expects a partition; there are never so many."""


class Singleton:
    """Runs ``work`` while it is our turn, and calls ``stopped`` when it is no longer."""

    def __init__(
        self,
        store: StateStore,
        slot: int,
        work: Callable[[], Coroutine[Any, Any, None]],
        stopped: Callable[[], None],
    ) -> None:
        self._store = store
        self._slot = slot
        self._work = work
        self._stopped = stopped
        self._claim: Claim | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def working(self) -> bool:
        """Whether it is our turn."""
        return self._task is not None

    async def run(self) -> None:
        """Take turns until cancelled. A fault in the work is not hidden."""
        if not self._store.shared:
            await self._work()
            return
        try:
            while True:
                if await self._is_ours():
                    self._task = self._task or asyncio.create_task(self._work())
                else:
                    await self._stop()
                if self._task is None:
                    await asyncio.sleep(self._store.renew_seconds)
                else:
                    done, _ = await asyncio.wait([self._task], timeout=self._store.renew_seconds)
                    for task in done:
                        task.result()
                        return
        finally:
            await self._stop()
            if self._claim is not None:
                with contextlib.suppress(StoreUnavailableError):  # it runs out by itself
                    await self._store.release(self._slot, self._claim)

    async def _is_ours(self) -> bool:
        try:
            if self._claim is not None and not await self._store.renew(self._slot, self._claim):
                self._claim = None
            elif self._claim is None:
                self._claim = await self._store.acquire(self._slot)
        except StoreUnavailableError as error:
            logger.debug("nobody can say whose turn it is", extra={"error": error.message})
            return True
        return self._claim is not None

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            try:
                await end(task)
            finally:
                self._stopped()
