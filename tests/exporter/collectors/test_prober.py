"""Probes of real servers, good, slow and broken."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from jelmon import catalogue as c
from jelmon.service import tasks
from jelmon_exporter.collectors.probe_client import MAX_BODY_BYTES
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.collectors.targets import Target
from jelmon_exporter.series.cells import SeriesTable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that answers everything with the handler; its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"https://localhost:{port}" if context else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(answer: bytes | None) -> AsyncIterator[str]:
    """A server that sends the given bytes to whoever says something, or for None keeps silent; its host and port."""
    silence = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(100)
            if answer is None:
                await silence.wait()
            else:
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        silence.set()
        server.close()


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def probe(url: str, **options: Any) -> Result:
    """One probe of one target."""
    target = Target(name="it", url=url, **options)
    return await Prober([target], SeriesTable()).probe(target)


def tls_of(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


# --- what is well ---


async def test_a_server_that_answers_is_up() -> None:
    async with http_server(ok) as url:
        result = await probe(f"{url}/health?full=1")

    assert (result.up, result.detail) == (True, "")
    assert set(result.phases) == {"connect", "processing", "transfer"}
    assert 0 < sum(result.phases.values()) <= result.seconds


async def test_tls_is_timed_and_the_first_expiry_of_the_chain_noted(certificates: Any) -> None:
    pair = certificates.sign("probed", days=3)
    async with http_server(ok, tls_of(pair)) as url:
        result = await probe(url, ca_file=certificates.authority)

    assert result.detail == ""
    assert set(result.phases) == {"resolve", "connect", "tls", "processing", "transfer"}
    assert result.expires == expiry(pair[0])


def expiry(path: Path) -> float:
    """When the certificate in a file expires, in three days or so."""
    found = ssl._ssl._test_decode_cert(str(path))["notAfter"]  # type: ignore[attr-defined]
    moment = datetime.strptime(found, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC).timestamp()
    assert time.time() + 2 * 86400 < moment < time.time() + 4 * 86400
    return moment


async def test_a_chain_expires_with_its_first_certificate(certificates: Any, tmp_path: Path) -> None:
    """The authority of the tests lasts thirty days: for a server that lasts longer, it comes first."""
    pair = certificates.sign("lasting", days=300)
    async with http_server(ok, tls_of(pair)) as url:
        result = await probe(url, ca_file=certificates.authority)

    assert result.expires is not None
    assert result.expires < time.time() + 31 * 86400


async def test_a_slow_answer_is_processing_and_a_slow_body_transfer() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a")
        await asyncio.sleep(0.1)
        await response.write_eof()
        return response

    async with http_server(slow) as url:
        result = await probe(url)

    assert result.phases["processing"] >= 0.05
    assert result.phases["transfer"] >= 0.09


async def test_tcp_is_up_when_it_connects() -> None:
    async with raw_server(None) as address:
        result = await probe(f"tcp://{address}")

    assert result.detail == ""
    assert set(result.phases) == {"resolve", "connect"}


async def test_tls_without_http(certificates: Any) -> None:
    pair = certificates.sign("probed", days=3)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls_of(pair))
    async with server:
        result = await probe(f"tls://localhost:{server.sockets[0].getsockname()[1]}", ca_file=certificates.authority)

    assert result.detail == ""
    assert set(result.phases) == {"resolve", "connect", "tls"}
    assert result.expires == expiry(pair[0])


async def test_method_headers_and_secrets_are_sent_and_no_cookies_kept(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def look(request: web.Request) -> web.Response:
        seen.append({"method": request.method, **request.headers})
        return web.Response(headers={"Set-Cookie": "a=b"})

    secret = tmp_path / "token"
    secret.write_text("Bearer one\n", encoding="utf-8")
    async with http_server(look) as url:
        target = Target(
            name="it",
            url=url,
            method="HEAD",
            headers=(("Accept", "application/json"),),
            secret_headers=(("Authorization", secret),),
        )
        prober = Prober([target], SeriesTable())
        await prober.probe(target)
        secret.write_text("Bearer two\n", encoding="utf-8")
        await prober.probe(target)

    assert [(one["method"], one["Accept"], one["Authorization"]) for one in seen] == [
        ("HEAD", "application/json", "Bearer one"),
        ("HEAD", "application/json", "Bearer two"),
    ]
    assert seen[0]["User-Agent"].startswith("jelmon/")
    assert not any("Cookie" in one for one in seen)


async def test_redirects_on_the_same_server_are_followed() -> None:
    async def hop(request: web.Request) -> web.Response:
        if request.path == "/end":
            return web.Response(text="end")
        raise web.HTTPFound("end" if request.path == "/middle" else "/middle")

    async with http_server(hop) as url:
        result = await probe(f"{url}/begin")

    assert result.detail == ""


# --- what is not ---


async def test_a_closed_port_is_connect() -> None:
    async with raw_server(None) as address:
        pass

    for scheme in ("http", "tcp"):
        result = await probe(f"{scheme}://{address}")
        assert (result.reason, result.up) == ("connect", False)


@pytest.mark.parametrize("scheme", ["http", "tcp"])
async def test_a_name_that_is_none_is_resolve(scheme: str) -> None:
    result = await probe(f"{scheme}://no-such-host.invalid:80", timeout=20)

    assert result.reason == "resolve", result.detail


@pytest.mark.parametrize("scheme", ["http", "https", "tls"])
async def test_silence_is_timeout(scheme: str) -> None:
    async with raw_server(None) as address:
        result = await probe(f"{scheme}://{address}", timeout=0.2)

    assert (result.reason, result.detail) == ("timeout", "not finished within 0.2 s")
    assert result.seconds >= 0.2


async def test_an_unknown_authority_or_another_name_is_tls(certificates: Any) -> None:
    pair = certificates.sign("elsewhere", "DNS:elsewhere.example")
    async with http_server(ok, tls_of(pair)) as url:
        unknown = await probe(url)
        other_name = await probe(url, ca_file=certificates.authority)
        stream = await probe(url.replace("https", "tls"), ca_file=certificates.authority)

    assert [unknown.reason, other_name.reason, stream.reason] == ["tls"] * 3
    assert "elsewhere.example" in other_name.detail or "Hostname mismatch" in other_name.detail


async def test_no_tls_where_tls_is_asked_for_is_tls() -> None:
    async with raw_server(b"220 mail.example ESMTP\r\n" * 10) as address:
        result = await probe(f"https://{address}")

    assert result.reason == "tls", result.detail


@pytest.mark.parametrize(
    "answer", [b"220 mail.example ESMTP\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"]
)
async def test_what_is_no_http_is_protocol(answer: bytes) -> None:
    async with raw_server(answer) as address:
        result = await probe(f"http://{address}")

    assert result.reason == "protocol", result.detail


@pytest.mark.parametrize(("expected", "up"), [(("2xx",), False), (("200", "503"), True), (("5xx",), True)])
async def test_the_status_must_be_one_that_is_expected(expected: tuple[str, ...], up: bool) -> None:
    async def unavailable(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with http_server(unavailable) as url:
        result = await probe(url, expected=expected)

    assert result.up is up
    assert (result.reason, result.detail) == (("", "") if up else ("status", "answered 503 Service Unavailable"))


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/", "http://127.0.0.1:1/", "https://127.0.0.1:1/", "//elsewhere.example/", "", "ftp://a/"],
    ids=["another name", "another port", "TLS on another port", "another host", "nowhere", "another scheme"],
)
async def test_a_redirect_off_the_server_is_redirect(location: str) -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location.format(port=request.url.port)})

    async with http_server(elsewhere) as url:
        result = await probe(url)
        welcome = await probe(url, expected=("302",))

    assert result.reason == "redirect"
    assert "leads to another server" in result.detail
    assert welcome.up


async def test_redirects_for_ever_are_redirect() -> None:
    async def around(_: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    async with http_server(around) as url:
        result = await probe(url)

    assert (result.reason, result.detail) == ("redirect", "more than 5 redirects")


async def test_a_body_without_end_is_body() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * MAX_BODY_BYTES:
            await response.write(b"x" * 65536)
            sent += 65536
        return response

    async with http_server(endless) as url:
        result = await probe(url)

    assert (result.reason, result.detail) == ("body", "the body is larger than 1000000 bytes")
    assert sent < 20 * MAX_BODY_BYTES


async def test_a_name_that_leads_to_credentials_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: object, host: str, port: int = 0, family: Any = 0) -> list[dict[str, Any]]:
        return [{"hostname": host, "host": "169.254.169.254", "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    for url in ("http://innocent.example/", "tcp://innocent.example:80"):
        result = await probe(url)
        assert (result.reason, result.detail) == (
            "blocked",
            "innocent.example resolves to 169.254.169.254, which may not be probed",
        )


async def test_a_secret_that_went_away_is_secret(tmp_path: Path) -> None:
    result = await probe("http://127.0.0.1:1", secret_headers=(("Authorization", tmp_path / "gone"),))

    assert result.reason == "secret"
    assert "No such file" in result.detail


# --- the series ---


def series(table: SeriesTable) -> dict[str, Any]:
    return {f"{name} {' '.join(labels)}": value for (name, labels), value in table.drain().items()}


async def test_results_become_series(caplog: pytest.LogCaptureFixture) -> None:
    table = SeriesTable()
    target = Target(name="other", url="http://a")  # a name that could be taken for the overflow value
    prober = Prober([target], table)
    at_first = series(table)
    prober.record(target, Result(seconds=0.5, phases={"connect": 0.1, "tls": 0.2}, expires=2e9))
    up = series(table)
    prober.record(target, Result(seconds=0.1, reason="connect", detail="refused"))
    prober.record(target, Result(seconds=0.1, reason="timeout", detail="late"))
    down = series(table)
    prober.record(target, Result(seconds=0.1))

    assert at_first == {f"{c.PROBE_FAILURES.name} other' {reason}": 0 for reason in c.PROBE_FAILURES.closed["reason"]}
    assert up[f"{c.TARGET_UP.name} other'"] == 1
    assert up[f"{c.PROBE_PHASE.name} other' tls"] == 0.2
    assert up[f"{c.PROBE_TLS_EXPIRY.name} other'"] == 2e9
    assert up[f"{c.PROBE_TIME.name} other'"][0] == 500_000
    assert down[f"{c.TARGET_UP.name} other'"] == 0
    assert down[f"{c.PROBE_PHASE.name} other' tls"] is None
    assert down[f"{c.PROBE_FAILURES.name} other' connect"] == 1
    assert [record.getMessage() for record in caplog.records] == ["target is down"]


async def test_targets_are_probed_again_and_again_and_a_slow_one_holds_up_no_other() -> None:
    asked: list[str] = []

    async def count(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with http_server(count) as url, raw_server(None) as silent:
        targets = [
            Target(name="silent", url=f"http://{silent}", interval=0.05, timeout=30),
            Target(name="quick", url=f"{url}/quick", interval=0.02),
        ]
        prober = Prober(targets, SeriesTable())
        task = asyncio.create_task(prober.run())
        async with asyncio.timeout(20):
            while len(asked) < 5:
                await asyncio.sleep(0.01)
        await tasks.end(task)

    assert list(prober.results) == ["quick"]
