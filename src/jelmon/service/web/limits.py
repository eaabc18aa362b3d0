"""Limits on requests: sizes, times, rate and concurrency. `gate` enforces those on connections."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec

from aiohttp import web

P = ParamSpec("P")


class SlowBodyError(TimeoutError):
    """The body of a request did not arrive in time."""


class CrowdedError(SlowBodyError):
    """The body of a request was given up in favour of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of one client and of all clients together."""

    connections: int = 256
    bodies: int = 32  # that arrive at the same time; of more, those are given up that take longer than the next
    crowded_body_seconds: float = 1.0
    header_seconds: float = 10.0  # from the first byte, or the connection, to the end of the headers
    body_seconds: float = 30.0  # from the headers to the end of the body
    write_seconds: float = 30.0  # in which a client must read some of a pending response


class TokenBucket:
    """Allows ``burst`` requests at once, and one more per ``interval`` (seconds)."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()

    def allows(self) -> bool:
        """Take a token if there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) / self._interval)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def at_most(
    count: int, handler: Callable[P, Awaitable[web.StreamResponse]]
) -> Callable[P, Awaitable[web.StreamResponse]]:
    """Return the handler limited to ``count`` concurrent calls; others are answered 503 with Retry-After.

    Read the body before the call: clients that are slow to send it must not use up the calls.
    """
    running = 0

    async def limited(*args: P.args, **kwargs: P.kwargs) -> web.StreamResponse:
        nonlocal running
        if running >= count:
            return web.Response(
                status=503, text=f"{count} of these requests are already running\n", headers={"Retry-After": "1"}
            )
        running += 1
        try:
            return await handler(*args, **kwargs)
        finally:
            running -= 1

    return limited
