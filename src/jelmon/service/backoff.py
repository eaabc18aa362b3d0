"""The pauses of loops that retry until they are stopped, such as a consumer whose server is down."""

import asyncio
import contextlib
import random

_JITTER = 0.2  # spreads the attempts of replicas that lost the same server


class Backoff:
    """Pauses that double with each failure in a row, from ``first`` up to ``longest`` seconds, give or take 20 %."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0
        """How many attempts in a row have failed; loops log only the first."""

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self.failures = 0

    def next_pause(self) -> float:
        """Count a failure and return the seconds to wait before the next attempt."""
        pause = min(self._longest, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return pause * random.uniform(1 - _JITTER, 1 + _JITTER)

    async def wait(self, stop: asyncio.Event | None = None) -> None:
        """Count a failure and wait for the next attempt; ``stop`` ends the wait early."""
        pause = self.next_pause()
        if stop is None:
            await asyncio.sleep(pause)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
