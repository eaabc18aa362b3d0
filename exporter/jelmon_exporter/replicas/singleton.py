"""Work that one replica does for all of them, under a lease.

While it is unknown which replica is elected, every replica works: probing a service twice does no harm, while not
probing it because Redis is down would hide it exactly when it matters.
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
"""Used in place of a partition number in the store; there are never that many partitions."""


class Election(Protocol):
    """Decides which replica does the work."""

    @property
    def seconds(self) -> float:
        """How often to call `elected`."""

    async def elected(self) -> bool:
        """Return whether this replica is elected, or the elected one is unknown."""

    async def release(self) -> None:
        """Withdraw, so that another replica can be elected at once."""


class StoreElection:
    """An election by a lease in the store that replicas share."""

    def __init__(self, store: StateStore, slot: int) -> None:
        self._store = store
        self._slot = slot
        self.claim: Claim | None = None
        """The lease that this replica holds."""

    @property
    def seconds(self) -> float:
        return self._store.renew_seconds

    async def elected(self) -> bool:
        try:
            if self.claim is not None and not await self._store.renew(self._slot, self.claim):
                self.claim = None
            elif self.claim is None:
                self.claim = await self._store.acquire(self._slot)
        except StoreUnavailableError as error:
            logger.debug("the elected replica is unknown", extra={"error": error.message})
            return True
        return self.claim is not None

    async def release(self) -> None:
        if self.claim is not None:
            with contextlib.suppress(StoreUnavailableError):  # it expires by itself
                await self._store.release(self._slot, self.claim)


def election_for(store: StateStore, slot: int, leadership: Election | None) -> Election | None:
    """Return the election for one kind of work: in a shared store, else among leaders; None without other replicas."""
    return StoreElection(store, slot) if store.shared else leadership


class Singleton:
    """Runs ``work`` while elected, and calls ``stopped`` afterwards. Without an ``election`` it always runs."""

    def __init__(
        self, election: Election | None, work: Callable[[], Coroutine[Any, Any, None]], stopped: Callable[[], None]
    ) -> None:
        self._election = election
        self._work = work
        self._stopped = stopped
        self._task: asyncio.Task[None] | None = None

    @property
    def working(self) -> bool:
        """Whether the work runs here."""
        return self._task is not None

    async def run(self) -> None:
        """Run whenever elected, until cancelled or the work is done. Errors of the work are raised."""
        if self._election is None:
            await self._work()
            return
        try:
            while True:
                if await self._election.elected():
                    self._task = self._task or asyncio.create_task(self._work())
                else:
                    await self._stop()
                if self._task is None:
                    await asyncio.sleep(self._election.seconds)
                else:
                    done, _ = await asyncio.wait([self._task], timeout=self._election.seconds)
                    for task in done:
                        task.result()
                        return
        finally:
            await self._stop()
            await self._election.release()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            try:
                await end(task)
            finally:
                self._stopped()
