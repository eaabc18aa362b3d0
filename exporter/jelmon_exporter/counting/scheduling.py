"""Who may use the event loop's one thread: batches one at a time, and none while a scrape is answered.

Counting a batch takes some milliseconds. When sixteen partitions are behind, their batches would all be counted in one
round of the event loop, and a scrape, which needs several rounds, would wait for as many times sixteen batches.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

PATIENCE_SECONDS = 0.1
"""How long a batch steps back: scrapes without end must not stop the counting."""


class Turns:
    """One for each process."""

    def __init__(self) -> None:
        self._counting = asyncio.Lock()
        self._scrapes = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """Count a batch inside, without awaiting anything; then the loop looks at its sockets before the next."""
        async with self._counting:
            if self._scrapes:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._quiet.wait(), PATIENCE_SECONDS)
            yield
            await asyncio.sleep(0)

    @contextlib.contextmanager
    def scrape(self) -> Iterator[None]:
        """Answer a scrape inside."""
        self._scrapes += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._scrapes -= 1
            if not self._scrapes:
                self._quiet.set()
