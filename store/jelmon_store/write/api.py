"""``POST /api/v1/write``: headers in, status out."""

import logging
import re
import time
from typing import Protocol

from aiohttp import web

from jelmon.catalogue import STORE_REJECTED, STORE_REQUESTS, STORE_SAMPLES, STORE_SUCCESS
from jelmon.errors import JelmonError, SourceError
from jelmon.service.registry import Instruments
from jelmon.service.web import BodyError, received_body
from jelmon_store.wire.errors import BusyError, RequestError, UnsupportedError
from jelmon_store.wire.negotiation import Protocol as WireProtocol
from jelmon_store.wire.negotiation import negotiate
from jelmon_store.wire.snappy import MAX_BYTES
from jelmon_store.write.receiver import Receipt

logger = logging.getLogger(__name__)

PATH = "/api/v1/write"
MAX_BODY_BYTES = MAX_BYTES + MAX_BYTES // 6 + 64  # what snappy makes of the largest message at worst
MAX_BODIES_BYTES = 256 * 1024 * 1024
RETRY_AFTER_SECONDS = "1"
_TENANT = re.compile(r"[A-Za-z0-9!._*'()-]{1,150}")


class Receives(Protocol):
    """A receiver, with or without a spool."""

    async def receive(self, body: bytes, protocol: WireProtocol, *, tenant: str, retried: bool) -> Receipt:
        """Store a request; see `Receiver`."""


class WriteApi:
    """The route of remote write. Every valid request gets 204 once it is committed."""

    def __init__(self, receiver: Receives, instruments: Instruments, *, tenant_header: str | None = None) -> None:
        self._receiver = receiver
        self._instruments = instruments
        self._tenant_header = tenant_header
        self._bodies = 0  # bytes of the bodies in memory
        self._last_warning = 0.0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the server."""
        return [web.post(PATH, self.handle)]

    def tenant_of(self, request: web.Request) -> str:
        """Return the tenant of a request.

        Raises:
            RequestError: the header is missing, or is no name.
        """
        if self._tenant_header is None:
            return ""
        tenant = request.headers.get(self._tenant_header, "")
        if not _TENANT.fullmatch(tenant):
            raise RequestError(f"the header {self._tenant_header} must name the tenant")
        return tenant

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        started = time.monotonic()
        response = await self._respond(request)
        self._instruments.observe(
            STORE_REQUESTS, time.monotonic() - started, operation="write", code=str(response.status)
        )
        return response

    async def _respond(self, request: web.Request) -> web.Response:
        headers = request.headers
        try:
            protocol = negotiate(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        except UnsupportedError as error:
            return _closing(_problem(error, 415))
        size = request.content_length if request.content_length is not None else MAX_BODY_BYTES
        if size > MAX_BODY_BYTES:
            # not 413: senders and the compliance tests know 400 for what must not be sent again
            return _closing(_problem(RequestError(f"the body exceeds {MAX_BODY_BYTES} bytes"), 400))
        if self._bodies and self._bodies + size > MAX_BODIES_BYTES:
            return _closing(_unavailable(BusyError("too many requests at a time")))
        self._bodies += size
        try:
            return await self._receive(request, protocol)
        finally:
            self._bodies -= size

    async def _receive(self, request: web.Request, protocol: WireProtocol) -> web.Response:
        receipt: Receipt | None = None
        try:
            body = await received_body(request, MAX_BODY_BYTES)
            receipt = await self._receiver.receive(
                body, protocol, tenant=self.tenant_of(request), retried=_is_retry(request)
            )
            response = self._report(receipt)
        except BodyError as error:
            response = _closing(_problem(error, 400))
        except RequestError as error:
            response = _problem(error, 400)
        except (BusyError, SourceError) as error:
            response = _unavailable(error)
        if protocol is WireProtocol.V2:  # 1.0 knows no such headers, and some senders log errors about them
            for kind in ("samples", "histograms", "exemplars"):
                written = getattr(receipt, kind) if receipt is not None else 0
                response.headers[f"X-Prometheus-Remote-Write-{kind.capitalize()}-Written"] = str(written)
        return response

    def _report(self, receipt: Receipt) -> web.Response:
        """Count what was received, and return 204, or 400 if something was refused."""
        count = self._instruments.inc
        written = receipt.samples + receipt.histograms - receipt.duplicates - receipt.deduplicated
        count(STORE_SAMPLES, written, outcome="written")
        count(STORE_SAMPLES, receipt.duplicates, outcome="duplicate")
        count(STORE_SAMPLES, receipt.deduplicated, outcome="deduplicated")
        self._instruments.set(STORE_SUCCESS, time.time())
        refusals = receipt.refusals
        if not refusals.count:
            return web.Response(status=204)
        count(STORE_SAMPLES, refusals.count, outcome="rejected")
        for reason, number in refusals.by_reason.items():
            count(STORE_REJECTED, number, reason=reason)
        message = f"{refusals.count} refused; the first: {refusals.first}"
        if time.monotonic() - self._last_warning > 60:  # a sender repeats its faults with every request
            self._last_warning = time.monotonic()
            logger.warning("samples refused", extra={"count": refusals.count, "first": refusals.first})
        return web.Response(status=400, text=f"{message}; everything else is stored\n")


def _is_retry(request: web.Request) -> bool:
    return request.headers.get("Retry-Attempt", "0").strip() not in ("", "0")


def _closing(response: web.Response) -> web.Response:
    """Return a response to a request whose body is not read: the connection ends with it."""
    response.force_close()
    return response


def _problem(error: JelmonError, status: int) -> web.Response:
    return web.Response(status=status, text=f"{error}\n")


def _unavailable(error: JelmonError) -> web.Response:
    return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": RETRY_AFTER_SECONDS})
