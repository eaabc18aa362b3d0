"""Limits on requests: concurrency, rate, and slow clients."""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import StreamReader, web

from jelmon.service.web.pages import Handler

logger = logging.getLogger(__name__)

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
)


class SlowBodyError(TimeoutError):
    """The body of a request did not arrive in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of one client and of all clients together."""

    connections: int = 256
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


def at_most(count: int, handler: Handler) -> Handler:
    """Return the handler limited to ``count`` concurrent requests; others get 503 with Retry-After."""
    running = 0

    async def limited(request: web.Request) -> web.StreamResponse:
        nonlocal running
        if running >= count:
            return web.Response(
                status=503, text=f"{count} of these requests are already running\n", headers={"Retry-After": "1"}
            )
        running += 1
        try:
            return await handler(request)
        finally:
            running -= 1

    return limited


class Gate:
    """All connections of a server. Creates a protocol for each; `sweep` closes those that are too slow.

    aiohttp itself waits for headers as long as for the next request, and for a body or a reader forever.
    """

    def __init__(self, limits: ClientLimits, make_protocol: Callable[[], Any]) -> None:
        self.limits = limits
        self.allowed_names: frozenset[str] = frozenset()  # of client certificates; empty: any
        self._make_protocol = make_protocol
        self._open: dict[Any, _Connection] = {}
        self.now = asyncio.get_running_loop().time

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self, self._make_protocol())

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "_Connection", transport: asyncio.Transport) -> bool:
        """Return whether to accept a new connection."""
        if len(self._open) >= self.limits.connections:
            transport.write(_FULL)
            transport.close()
            return False
        certificate = transport.get_extra_info("peercert")
        if self.allowed_names and certificate and self.allowed_names.isdisjoint(_names(certificate)):
            logger.warning(
                "client certificate without an allowed name", extra={"names": sorted(_names(certificate))[:10]}
            )
            transport.abort()
            return False
        self._open[connection.inner] = connection
        return True

    def leave(self, connection: "_Connection") -> None:
        """Forget a closed connection."""
        self._open.pop(connection.inner, None)

    def begin(self, request: web.Request) -> None:
        """Note that the headers of a request have arrived."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            connection.begin(request.content)

    def end(self, request: web.Request) -> None:
        """Note that a request is answered."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            connection.end()

    def sweep(self) -> None:
        """Close slow connections. Call it about once a second."""
        now = self.now()
        for connection in list(self._open.values()):
            connection.check(now)


class _Connection(asyncio.Protocol):
    """Wraps aiohttp's protocol to enforce the time limits."""

    __slots__ = (
        "_body",
        "_body_due",
        "_busy",
        "_closing_due",
        "_gate",
        "_header_due",
        "_transport",
        "_write_due",
        "inner",
    )

    def __init__(self, gate: Gate, inner: Any) -> None:
        self._gate = gate
        self.inner = inner
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._body: StreamReader | None = None
        self._header_due: float | None = None
        self._body_due = 0.0
        self._write_due: float | None = None
        self._closing_due: float | None = None

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        if not self._gate.admit(self, stream):
            return
        self._transport = stream
        self._header_due = self._gate.now() + self._gate.limits.header_seconds
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        if not self._busy and self._header_due is None:
            self._header_due = self._gate.now() + self._gate.limits.header_seconds
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received() if self._transport is not None else None

    def connection_lost(self, error: BaseException | None) -> None:
        if self._transport is not None:
            self._transport = None
            self.inner.connection_lost(error)
            self._gate.leave(self)

    def pause_writing(self) -> None:
        self._write_due = self._gate.now() + self._gate.limits.write_seconds
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self._write_due = None
        self.inner.resume_writing()

    # --- called by the server ---

    def begin(self, body: StreamReader) -> None:
        self._busy = True
        self._header_due = None
        self._body = None if body.is_eof() else body
        self._body_due = self._gate.now() + self._gate.limits.body_seconds

    def end(self) -> None:
        self._busy = False

    def check(self, now: float) -> None:
        if self._transport is None:
            return
        if self._body is not None:
            if self._body.is_eof():
                self._body = None
            elif now > self._body_due:  # raised in the handler that reads it
                self._body.set_exception(SlowBodyError())
                self._body = None
        if self._transport.is_closing():
            self._closing_due = self._closing_due or now + self._gate.limits.write_seconds
        due = (self._header_due, self._write_due, self._closing_due)
        if any(moment is not None and now > moment for moment in due):
            self._transport.abort()


def _names(certificate: dict[str, Any]) -> set[str]:
    """Return the alternative names of a certificate, formatted as Go does."""
    return {_name(kind, str(value)) for kind, value in _alternatives(certificate)}


def _alternatives(certificate: dict[str, Any]) -> Iterable[tuple[str, object]]:
    return certificate.get("subjectAltName", ())  # type: ignore[no-any-return]


def _name(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value
