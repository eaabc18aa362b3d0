"""All connections of a server: how many there are, and how long one may keep the server waiting.

aiohttp itself waits for headers as long as for the next request, and for a body or a reader forever.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

from aiohttp import StreamReader, web

from jelmon.service.web.limits import ClientLimits, CrowdedError, SlowBodyError

logger = logging.getLogger(__name__)

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
)


class Gate:
    """Creates a protocol for each connection; `sweep` closes those that are too slow.

    When all places are taken, a new connection replaces the one that has kept the server waiting longest. So nobody can
    shut out Prometheus or a health check by holding connections open.
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
        certificate = transport.get_extra_info("peercert")
        if self.allowed_names and certificate and self.allowed_names.isdisjoint(_names(certificate)):
            logger.warning(
                "client certificate without an allowed name", extra={"names": sorted(_names(certificate))[:10]}
            )
            transport.abort()
            return False
        if len(self._open) >= self.limits.connections and not self._evict():
            transport.write(_FULL)
            transport.close()
            return False
        self._open[connection.inner] = connection
        return True

    def _evict(self) -> bool:
        """Close the connection that has kept us waiting longest, an idle one if there is one; return whether it is."""
        waiting = [(*since, connection) for connection in self._open.values() if (since := connection.waiting_since())]
        if not waiting:
            return False
        _, _, oldest = min(waiting, key=lambda row: row[:2])
        logger.debug("connection closed to make room for another")
        self.leave(oldest)
        oldest.abort()
        return True

    def leave(self, connection: "_Connection") -> None:
        """Forget a closed connection."""
        self._open.pop(connection.inner, None)

    def begin(self, request: web.Request) -> None:
        """Note that the headers of a request have arrived."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            connection.begin(request.content)
            self._limit_bodies()

    def _limit_bodies(self) -> None:
        """Give up the body that arrives most slowly, if too many are arriving."""
        arriving = [connection for connection in self._open.values() if connection.receives_body()]
        if len(arriving) > self.limits.bodies:
            oldest = min(arriving, key=lambda connection: connection.began)
            if self.now() >= oldest.began + self.limits.crowded_body_seconds:
                oldest.give_up_body(CrowdedError())

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
        "_idle_since",
        "_transport",
        "_write_due",
        "began",
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
        self._idle_since = gate.now()
        self.began = self._idle_since
        """When the request in progress began."""

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
        if self.receives_body() and getattr(self.inner, "_messages", None):
            # nothing but an error can follow a body that has not ended; aiohttp does not tell its reader
            self.give_up_body(web.RequestPayloadError("damaged"))

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
        self.began = self._gate.now()
        self._body = None if body.is_eof() else body
        self._body_due = self.began + self._gate.limits.body_seconds

    def end(self) -> None:
        self._busy = False
        self._idle_since = self._gate.now()

    def receives_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def waiting_since(self) -> tuple[int, float] | None:
        """Return since when the server waits for the client, after a rank: idle first. None: the client waits."""
        if self._transport is None:
            return None
        if not self._busy and self._write_due is None:
            if self._header_due is None:
                return 0, self._idle_since
            return 1, self._header_due - self._gate.limits.header_seconds
        if self.receives_body():
            return 2, self.began
        return None if self._write_due is None else (2, self._write_due - self._gate.limits.write_seconds)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def give_up_body(self, error: Exception) -> None:
        if self._body is not None:  # raised in the handler that reads it
            self._body.set_exception(error)
            self._body = None

    def check(self, now: float) -> None:
        if self._transport is None:
            return
        if self._body is not None:
            if self._body.is_eof():
                self._body = None
            elif now > self._body_due:
                self.give_up_body(SlowBodyError())
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
