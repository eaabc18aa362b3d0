"""Reads the body of a request, and expands a compressed one within limits.

aiohttp would expand a body as it arrives: before the login, whatever its size, and in the event loop. Here the server
receives it as it is; a handler that wants it expanded asks for it.
"""

import asyncio
import zlib

from aiohttp import http_exceptions, web

from jelmon.errors import JelmonError

_RATIO = 200
"""A body may expand this many times; a full batch of nearly identical events expands 60 times."""
_ALWAYS_BYTES = 1024 * 1024
"""A body may always expand to this size."""
_INLINE_BYTES = 4096
"""Larger bodies are expanded in a thread."""
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15
_HINT = "compress it again, or send it without Content-Encoding"


class BodyError(JelmonError):
    """The body cannot be read. ``status`` is that of the answer."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


async def read_body(request: web.Request, most: int | None = None) -> bytes:
    """Return the body, expanded. Its size is limited to ``most`` bytes and to the limit of the server.

    Raises:
        BodyError: it is too large, incomplete, damaged, or compressed in an unknown way.
    """
    most = min(most or request.client_max_size, request.client_max_size)
    body = await received_body(request, most)
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise BodyError(f"Content-Encoding {coding!r} is not supported", status=415, hint="send gzip or no encoding")
    window = _GZIP if coding != "deflate" else _ZLIB if body[:1] and body[0] & 0x0F == 8 else _DEFLATE
    if len(body) <= _INLINE_BYTES:
        return _expand(body, window, min(most, _ALWAYS_BYTES), coding)
    return await asyncio.to_thread(_expand, body, window, min(most, max(_ALWAYS_BYTES, _RATIO * len(body))), coding)


async def received_body(request: web.Request, most: int) -> bytes:
    """Return the body as it was sent.

    Raises:
        BodyError: it is too large or incomplete.
    """
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(most) from error
    except (web.RequestPayloadError, http_exceptions.HttpProcessingError, ConnectionError) as error:
        request.content.feed_eof()  # aiohttp would read on, and log a traceback
        raise BodyError("the body did not arrive as announced", status=400, hint="send all of it") from error
    if len(body) > most:
        raise _too_large(most)
    return body


def _expand(body: bytes, window: int, most: int, coding: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:  # gzip allows several members, one after the other
        member = zlib.decompressobj(window)
        try:
            part = member.decompress(body, most - size + 1)
        except zlib.error as error:
            raise BodyError(f"the body is not valid {coding}: {error}", status=400, hint=_HINT) from error
        size += len(part)
        parts.append(part)
        if size > most:
            raise _too_large(most)
        if not member.eof:
            raise BodyError(f"the body is not valid {coding}: it ends too early", status=400, hint=_HINT)
        body = member.unused_data
        if not body:
            return b"".join(parts)
        if window != _GZIP:
            raise BodyError(f"the body is not valid {coding}: more follows its end", status=400, hint=_HINT)


def _too_large(most: int) -> BodyError:
    return BodyError(f"the body is larger than {most} bytes", status=413, hint="send less at once")
