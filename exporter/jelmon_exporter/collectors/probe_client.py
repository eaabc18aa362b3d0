"""Probes one target: HTTP, TCP or TLS, with the time of each phase.

Every probe opens a new connection, so that name resolution, connecting and TLS are measured each time. A probe
goes only where the file of targets says: no redirect to another host, no link-local address, no proxy
from the environment.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from jelmon import __version__
from jelmon_exporter.collectors.probe_result import ProbeError, Result, reason_of
from jelmon_exporter.collectors.targets import HTTP_SCHEMES, SecretError, Target, is_forbidden
from jelmon_exporter.collectors.tls import TimedContext, first_expiry

MAX_BODY_BYTES = 1_000_000
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_AGENT = f"jelmon/{__version__}"


class _Resolver(AbstractResolver):
    """The system's resolver, without forbidden addresses."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        addresses = await self._inner.resolve(host, port, family)
        allowed = [result for result in addresses if not is_forbidden(result["host"])]
        if addresses and not allowed:
            raise ProbeError("blocked", f"{host} resolves to {addresses[0]['host']}, which may not be probed")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class ProbeClient:
    """Probes targets, one probe per target at a time."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._contexts: dict[str, TimedContext] = {}
        self._resolver = _Resolver()

    def forget(self) -> None:
        """Discard the targets' TLS settings, whose files may have changed."""
        self._contexts.clear()

    async def probe(self, target: Target) -> Result:
        """Probe a target once. Failures are part of the result."""
        result = Result()
        began = self._clock()
        try:
            async with asyncio.timeout(target.timeout):
                if target.parts.scheme in HTTP_SCHEMES:
                    await self._probe_http(target, result)
                else:
                    await self._probe_stream(target, result)
        except TimeoutError:
            result.reason, result.detail = "timeout", f"not finished within {target.timeout:g} s"
        except (ProbeError, SecretError, aiohttp.ClientError, OSError, ValueError) as error:
            result.reason, result.detail = reason_of(error), str(error) or type(error).__name__
        result.seconds = self._clock() - began
        return result

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
                    result.add("processing", answered - sent - connecting)
                    await _read(response)
                    result.add("transfer", self._clock() - answered)
                    if response.status not in _REDIRECTS or target.expects(response.status):
                        if not target.expects(response.status):
                            raise ProbeError("status", f"answered {response.status} {response.reason}")
                        return
                    url = _redirected(url, response)
        raise ProbeError("redirect", f"more than {MAX_REDIRECTS} redirects")

    def _trace(self, target: Target, result: Result) -> aiohttp.TraceConfig:
        """Return hooks that time name resolution, connecting and TLS."""
        marks = {"begin": 0.0}

        async def begin(*_: object) -> None:
            marks["begin"] = self._clock()
            self._context(target).began = None

        async def resolve_end(*_: object) -> None:
            now = self._clock()
            result.add("resolve", now - marks["begin"])
            marks["begin"] = now

        async def end(*_: object) -> None:
            self._connected(self._context(target), result, marks["begin"])

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begin)
        trace.on_dns_resolvehost_end.append(resolve_end)
        trace.on_connection_create_end.append(end)
        return trace

    def _connected(self, context: TimedContext, result: Result, begin: float) -> None:
        now = self._clock()
        if context.began is None or context.handshake is None:
            result.add("connect", now - begin)
            return
        result.add("connect", context.began - begin)
        result.add("tls", now - context.began)
        expires = first_expiry(context.handshake)
        context.handshake = None
        if expires is not None:
            result.expires = expires

    def _context(self, target: Target) -> TimedContext:
        """Return the target's TLS settings; probes of a target never overlap, so their times are those of one probe."""
        context = self._contexts.get(target.name)
        if context is None:
            context = self._contexts[target.name] = TimedContext(ssl.PROTOCOL_TLS_CLIENT)
            if target.ca_file is not None:
                context.load_verify_locations(target.ca_file)
            else:
                context.load_default_certs()
        return context

    async def _probe_stream(self, target: Target, result: Result) -> None:
        parts = target.parts
        host, port = str(parts.hostname), target.port
        began = self._clock()
        addresses = await self._resolver.resolve(host, port)
        result.add("resolve", self._clock() - began)
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
                result.add("connect", self._clock() - began)
        finally:
            writer.transport.abort()


async def _open(addresses: list[ResolveResult], options: dict[str, Any]) -> tuple[Any, asyncio.StreamWriter]:
    """Connect to the first address that accepts."""
    last: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(address["host"], address["port"], **options)
        except ssl.SSLError:
            raise
        except OSError as error:
            last = error
    raise last or ProbeError("resolve", "the name has no address")


async def _read(response: aiohttp.ClientResponse) -> None:
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ProbeError("body", f"the body is larger than {MAX_BODY_BYTES} bytes")


def _redirected(url: str, response: aiohttp.ClientResponse) -> str:
    """Return the target of a redirect to the same server, or from http to https on the same host.

    Raises:
        ProbeError: it leads elsewhere.
    """
    location = response.headers.get("Location", "")
    to = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(to)
    same_server = (before.scheme, before.netloc.lower()) == (after.scheme, after.netloc.lower())
    to_tls = before.scheme == "http" and after.scheme == "https" and after.port is None
    if not location or not (same_server or (to_tls and before.hostname == after.hostname)):
        raise ProbeError("redirect", f"answered {response.status} and leads to another server: {after.netloc or '-'}")
    return to
