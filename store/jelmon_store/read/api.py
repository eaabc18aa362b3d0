"""``POST /api/v1/read``. A request runs in a thread of its own: the event loop only moves bytes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import cramjam
import psycopg
from aiohttp import web

from jelmon.catalogue import STORE_REQUESTS
from jelmon.service.registry import Instruments
from jelmon.service.web import BodyError, received_body
from jelmon_store.read.answer import Answer
from jelmon_store.read.chunked import CONTENT_TYPE
from jelmon_store.read.connections import ReadConnections
from jelmon_store.read.matchers import QueryError
from jelmon_store.read.request import ResponseType, parse
from jelmon_store.read.settings import ReadSettings

logger = logging.getLogger(__name__)

PATH = "/api/v1/read"
RETRY_AFTER_SECONDS = "5"
_Parts = Generator[bytes | None, None, None]
_PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


class ReadApi:
    """Remote read over one database. ``tenant_of`` returns the tenant of a request; by default there is only one."""

    def __init__(
        self,
        url: str,
        settings: ReadSettings,
        instruments: Instruments,
        *,
        tenant_of: Callable[[web.Request], str] = lambda _: "",
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._tenant_of = tenant_of
        self._connections = ReadConnections(url, timeout_seconds=settings.timeout_seconds)
        self._free = asyncio.Semaphore(settings.concurrency)
        self._threads = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="remote-read")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the server."""
        return [web.post(PATH, self.handle)]

    async def stop(self) -> None:
        """End the threads and close the connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._connections.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        started = time.monotonic()
        response = await self._respond(request)
        self._instruments.observe(
            STORE_REQUESTS, time.monotonic() - started, operation="read", code=str(response.status)
        )
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await received_body(request, request.client_max_size)
            tenant = self._tenant_of(request)
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._free.acquire()
        except BodyError as error:
            response = _refused(error.message, error.status)
            response.force_close()
            return response
        except TimeoutError:
            return _unavailable("too many requests are running")
        try:
            return await self._answer(request, body, tenant)
        except QueryError as error:
            return _refused(str(error), 400)
        except psycopg.errors.QueryCanceled:
            return _unavailable("the query took too long")
        except psycopg.Error as error:
            logger.warning("remote read failed", extra={"error": str(error).partition("\n")[0]})
            return _unavailable("the database does not respond")
        finally:
            self._free.release()

    async def _answer(self, request: web.Request, body: bytes, tenant: str) -> web.StreamResponse:
        parts = self._parts(body, tenant)
        try:
            first = await self._next(parts)
            if isinstance(first, bytes):
                return web.Response(body=first, headers=_PROTOBUF)
            return await self._stream(request, parts)
        finally:
            with contextlib.suppress(ValueError):  # still running: the request was cancelled
                parts.close()

    async def _stream(self, request: web.Request, parts: _Parts) -> web.StreamResponse:
        """Send portion by portion, so that a slow client costs no memory. Errors before the first have a status."""
        portion = await self._next(parts)
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        try:
            while portion is not None:
                await response.write(portion)
                portion = await self._next(parts)
            await response.write_eof()
        except (QueryError, psycopg.Error) as error:
            logger.warning("remote read broke off", extra={"error": str(error).partition("\n")[0]})
            if request.transport is not None:
                request.transport.abort()  # the client must not take a part for the whole
        except ConnectionError:
            pass  # the client has gone
        return response

    async def _next(self, parts: _Parts) -> bytes | None:
        return await asyncio.get_running_loop().run_in_executor(self._threads, next, parts, None)

    def _parts(self, body: bytes, tenant: str) -> _Parts:
        """Yield the whole compressed answer, or None and then the portions of a stream."""
        request = parse(body)
        with self._connections.lend() as connection:
            answer = Answer(connection, request, self._settings, tenant=tenant)
            samples = answer.samples() if answer.type is ResponseType.SAMPLES else None
            if samples is None:
                yield None
                yield from answer.chunks()
        if samples is not None:
            yield bytes(cramjam.snappy.compress_raw(samples))


def _refused(reason: str, status: int) -> web.Response:
    return web.Response(text=f"{reason}\n", status=status)


def _unavailable(reason: str) -> web.Response:
    return web.Response(text=f"{reason}\n", status=503, headers={"Retry-After": RETRY_AFTER_SECONDS})
