"""Shares the event loop between counting and scrapes: one batch at a time, and none while a scrape is answered.

Counting a batch takes some milliseconds. When sixteen partitions lag behind, all their batches would be counted in one
iteration of the event loop, and a scrape, which takes several iterations, would wait for sixteen batches each time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

MAX_DELAY_SECONDS = 0.1
"""How long a batch waits for scrapes: a continuous stream of them must not stop the counting."""


class Scheduler:
    """One per process."""

    def __init__(self) -> None:
        self._counting = asyncio.Lock()
        self._scrapes = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """Enclose the counting of a batch, which must not await; afterwards the loop polls its sockets once."""
        async with self._counting:
            if self._scrapes:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._quiet.wait(), MAX_DELAY_SECONDS)
            yield
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def scrape(self) -> Iterator[None]:
        """Enclose the answering of a scrape."""
        self._scrapes += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._scrapes -= 1
            if not self._scrapes:
                self._quiet.set()
