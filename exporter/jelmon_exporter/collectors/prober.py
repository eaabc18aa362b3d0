"""Probes of services over HTTP, TCP and TLS: are they up, how long does each phase take, when do certificates expire.

Every probe opens a connection of its own, so that resolving, connecting and TLS are measured each time. A probe goes
only where the file of targets says: no redirect off the host, no link-local address, no proxy from the environment.
"""

import asyncio
import calendar
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from jelmon import __version__
from jelmon import catalogue as c
from jelmon.service.tasks import end
from jelmon_exporter.collectors.targets import HTTP_SCHEMES, SecretError, Target, is_forbidden
from jelmon_exporter.series.cells import SeriesTable, real

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1_000_000
MAX_REDIRECTS = 5
_AT_ONCE = 32
_REDIRECTS = (301, 302, 303, 307, 308)
_AGENT = f"jelmon/{__version__}"
_METRICS = {metric.name for metric in (c.TARGET_UP, c.PROBE_TIME, c.PROBE_PHASE, c.PROBE_FAILURES, c.PROBE_TLS_EXPIRY)}


class ProbeError(Exception):
    """A probe failed; ``reason`` is of the closed set of the catalogue."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Result:
    """What a probe found. ``phases`` are seconds; over redirects they add up."""

    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    expires: float | None = None
    reason: str = ""
    detail: str = ""

    @property
    def up(self) -> bool:
        return not self.reason

    def spent(self, phase: str, seconds: float) -> None:
        """Note time spent in a phase."""
        self.phases[phase] = self.phases.get(phase, 0.0) + max(seconds, 0.0)


class _WatchedContext(ssl.SSLContext):
    """Tells when a TLS handshake begins, which is when TCP has connected, and keeps its object for the certificates."""

    began: float | None = None
    handshake: ssl.SSLObject | None = None

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self.began = time.perf_counter()
        self.handshake = super().wrap_bio(*arguments, **options)
        return self.handshake


class _Resolver(AbstractResolver):
    """The system's resolver, without the addresses that no probe may reach."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [result for result in found if not is_forbidden(result["host"])]
        if found and not allowed:
            raise ProbeError("blocked", f"{host} resolves to {found[0]['host']}, which may not be probed")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class Prober:
    """Probes all targets, each at its own interval, and keeps their series."""

    def __init__(
        self, targets: Sequence[Target], table: SeriesTable, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._targets: tuple[Target, ...] = ()
        self._others = asyncio.Event()  # other targets than those that are probed
        self._table = table
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._contexts: dict[str, _WatchedContext] = {}
        self._resolver = _Resolver()
        self.results: dict[str, Result] = {}
        """The newest result of each target."""
        self.set_targets(targets)

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Probe these from now on. What was known of others is dropped."""
        gone = {real(target.name) for target in self._targets} - {real(target.name) for target in targets}
        for name, labels in [key for key in self._table.cells if key[0] in _METRICS and key[1][0] in gone]:
            self._table.drop((name, labels))
        self.results = {target.name: self.results[target.name] for target in targets if target.name in self.results}
        self._contexts.clear()
        self._targets = tuple(targets)
        for target in targets:
            for reason in c.PROBE_FAILURES.closed["reason"]:
                self._table.cell(c.PROBE_FAILURES, real(target.name), reason)
        self._others.set()

    @property
    def names(self) -> tuple[str, ...]:
        """The targets' names."""
        return tuple(target.name for target in self._targets)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._others.clear()
            spread = [
                number / len(self._targets) * min(target.interval, 5.0) for number, target in enumerate(self._targets)
            ]
            pairs = zip(self._targets, spread, strict=True)
            tasks = [asyncio.create_task(self._repeat(target, delay=delay)) for target, delay in pairs]
            changed = asyncio.create_task(self._others.wait())
            try:
                await asyncio.wait([changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(changed, *tasks)

    async def _repeat(self, target: Target, *, delay: float) -> None:
        """Probe at a fixed beat; a beat that is missed is left out. ``delay`` spreads targets over the time."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            async with self._slots:
                self.record(target, await self.probe(target))
            due += target.interval * max(1, -(-(loop.time() - due) // target.interval))

    def record(self, target: Target, result: Result) -> None:
        """Bring a result into the series, and tell when the target goes down or comes back."""
        if target not in self._targets:  # others are probed since it was asked
            return
        name = real(target.name)
        self._table.cell(c.TARGET_UP, name).set(1 if result.up else 0)
        self._table.cell(c.PROBE_TIME, name).observe_seconds(result.seconds)
        for phase in c.PROBE_PHASE.closed["phase"]:
            # a phase that was not reached is absent rather than as fast as never
            self._table.cell(c.PROBE_PHASE, name, phase).set(result.phases.get(phase))
        if not result.up:
            self._table.cell(c.PROBE_FAILURES, name, result.reason).add()
        if result.expires is not None:
            self._table.cell(c.PROBE_TLS_EXPIRY, name).set(result.expires)
        before = self.results.get(target.name)
        self.results[target.name] = result
        if (before is None or before.up) and not result.up:
            logger.warning(
                "target is down", extra={"target": target.name, "reason": result.reason, "detail": result.detail}
            )
        elif before is not None and not before.up and result.up:
            logger.info("target is up again", extra={"target": target.name})

    def forget(self) -> None:
        """Show no results any more: somebody else probes from now on. Counters stay."""
        self.results.clear()
        for target in self._targets:
            name = real(target.name)
            self._table.cell(c.TARGET_UP, name).set(None)
            self._table.cell(c.PROBE_TLS_EXPIRY, name).set(None)
            for phase in c.PROBE_PHASE.closed["phase"]:
                self._table.cell(c.PROBE_PHASE, name, phase).set(None)

    async def probe(self, target: Target) -> Result:
        """Probe a target once. Never raises but when it is cancelled."""
        result = Result()
        began = self._clock()
        try:
            async with asyncio.timeout(target.timeout):
                if target.parts.scheme in HTTP_SCHEMES:
                    await self._probe_http(target, result)
                else:
                    await self._probe_stream(target, result)
        except TimeoutError:
            result.reason, result.detail = "timeout", f"not done within {target.timeout:g} s"
        except (ProbeError, SecretError, aiohttp.ClientError, OSError, ValueError) as error:
            result.reason, result.detail = _reason(error), str(error) or type(error).__name__
        result.seconds = self._clock() - began
        return result

    # --- HTTP ---

    async def _probe_http(self, target: Target, result: Result) -> None:
        headers = {"User-Agent": _AGENT, "Accept": "*/*"} | target.all_headers()
        url = target.url
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True)
        async with aiohttp.ClientSession(
            connector=connector,
            connector_owner=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[self._trace(target, result)],
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            for _ in range(MAX_REDIRECTS + 1):
                sent = self._clock()
                spent = sum(result.phases.values())
                async with session.request(
                    target.method, url, headers=headers, allow_redirects=False, ssl=self._context(target)
                ) as response:
                    answered = self._clock()
                    connecting = sum(result.phases.values()) - spent
                    result.spent("processing", answered - sent - connecting)
                    await _read(response)
                    result.spent("transfer", self._clock() - answered)
                    if response.status not in _REDIRECTS or target.expects(response.status):
                        if not target.expects(response.status):
                            raise ProbeError("status", f"answered {response.status} {response.reason}")
                        return
                    url = _redirected(url, response)
        raise ProbeError("redirect", f"more than {MAX_REDIRECTS} redirects")

    def _trace(self, target: Target, result: Result) -> aiohttp.TraceConfig:
        """Hooks that time resolving, connecting and TLS."""
        marks = {"begin": 0.0}

        async def begin(*_: object) -> None:
            marks["begin"] = self._clock()
            self._context(target).began = None

        async def resolve_end(*_: object) -> None:
            now = self._clock()
            result.spent("resolve", now - marks["begin"])
            marks["begin"] = now

        async def end(*_: object) -> None:
            self._connected(self._context(target), result, marks["begin"])

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begin)
        trace.on_dns_resolvehost_end.append(resolve_end)
        trace.on_connection_create_end.append(end)
        return trace

    def _connected(self, context: _WatchedContext, result: Result, begin: float) -> None:
        now = self._clock()
        if context.began is None or context.handshake is None:
            result.spent("connect", now - begin)
            return
        result.spent("connect", context.began - begin)
        result.spent("tls", now - context.began)
        expires = first_expiry(context.handshake)
        context.handshake = None
        if expires is not None:
            result.expires = expires

    def _context(self, target: Target) -> _WatchedContext:
        """The target's TLS; its probes never overlap, so that the marks in it are those of one probe."""
        found = self._contexts.get(target.name)
        if found is None:
            found = self._contexts[target.name] = _WatchedContext(ssl.PROTOCOL_TLS_CLIENT)
            if target.ca_file is not None:
                found.load_verify_locations(target.ca_file)
            else:
                found.load_default_certs()
        return found

    # --- TCP and TLS ---

    async def _probe_stream(self, target: Target, result: Result) -> None:
        parts = target.parts
        host, port = str(parts.hostname), target.port
        began = self._clock()
        addresses = await self._resolver.resolve(host, port)
        result.spent("resolve", self._clock() - began)
        began = self._clock()
        context = self._context(target) if parts.scheme == "tls" else None
        options: dict[str, Any] = {}
        if context is not None:
            context.began = None
            options = {"ssl": context, "server_hostname": host}
        _, writer = await _open(addresses, options)
        try:
            if context is not None:
                self._connected(context, result, began)
            else:
                result.spent("connect", self._clock() - began)
        finally:
            writer.transport.abort()


async def _open(addresses: list[ResolveResult], options: dict[str, Any]) -> tuple[Any, asyncio.StreamWriter]:
    """A connection to the first address that takes one."""
    last: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(address["host"], address["port"], **options)
        except ssl.SSLError:
            raise
        except OSError as error:
            last = error
    raise last or ProbeError("resolve", "there is no address")


async def _read(response: aiohttp.ClientResponse) -> None:
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ProbeError("body", f"the body is larger than {MAX_BODY_BYTES} bytes")


def _redirected(url: str, response: aiohttp.ClientResponse) -> str:
    """Where a redirect leads, if that is the same server; or the same host, from http to https."""
    location = response.headers.get("Location", "")
    to = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(to)
    same_server = (before.scheme, before.netloc.lower()) == (after.scheme, after.netloc.lower())
    to_tls = before.scheme == "http" and after.scheme == "https" and after.port is None
    if not location or not (same_server or (to_tls and before.hostname == after.hostname)):
        raise ProbeError("redirect", f"answered {response.status} and leads to another server: {after.netloc or '-'}")
    return to


def _reason(error: Exception) -> str:
    """The class of a failure, of the closed set of the catalogue."""
    match error:
        case ProbeError():
            return error.reason
        case SecretError():
            return "secret"
        case aiohttp.ClientConnectorDNSError():
            cause = error.os_error
            return cause.reason if isinstance(cause, ProbeError) else "resolve"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ServerTimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "connect"
        case aiohttp.ClientError() | ValueError():
            return "protocol"
        case socket.gaierror():
            return "resolve"
        case _:
            return "connect"


def first_expiry(connection: ssl.SSLObject) -> float | None:
    """When the first certificate of the verified chain expires, or else the server's own."""
    moments = []
    chain = getattr(getattr(connection, "_sslobj", None), "get_verified_chain", None)  # public, as bytes, from 3.13 on
    for certificate in (chain() or ()) if chain is not None else ():
        moments.append(certificate.get_info().get("notAfter"))
    own = connection.getpeercert()
    if own:
        moments.append(own.get("notAfter"))
    seconds = [calendar.timegm(time.strptime(str(moment), "%b %d %H:%M:%S %Y GMT")) for moment in moments if moment]
    return float(min(seconds)) if seconds else None
