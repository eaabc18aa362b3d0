"""The server under real clients: TLS, log-ins, limits, and a configuration that changes under way."""

import asyncio
import gzip
import random
import resource
import shutil
import socket
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import bcrypt
import pytest
import requests
from aiohttp import web

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError
from jelmon.service.web import (
    Accounts,
    Check,
    ClientLimits,
    Server,
    WebConfig,
    at_most,
    authentication,
    landing_page,
    read_body,
)
from jelmon.service.web.limits import TokenBucket

T = TypeVar("T")
PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
LOOPBACK = ListenAddress("127.0.0.1", 0)
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
USERS = f"basic_auth_users:\n  alice: {HASH}\n"


@pytest.fixture
def folder(tmp_path: Path, certificates: Any) -> Path:
    """A folder with server.crt, server.key and ca.pem."""
    install(certificates.sign("server"), tmp_path)
    shutil.copy(certificates.authority, tmp_path / "ca.pem")
    return tmp_path


def install(pair: tuple[Path, Path], folder: Path) -> None:
    """Put a certificate and its key in place, as a renewal does."""
    for source, name in zip(pair, ("server.crt", "server.key"), strict=True):
        replace(folder / name, source.read_text(encoding="utf-8"))


def replace(path: Path, text: str) -> None:
    """Replace a file at one blow."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


@asynccontextmanager
async def serving(
    folder: Path,
    text: str = "",
    *,
    routes: list[web.RouteDef] | None = None,
    limits: ClientLimits | None = None,
    max_body: int = 1000,
    **options: Any,
) -> AsyncIterator[Server]:
    """A server with the given web config."""
    path = folder / "web.yml"
    replace(path, text)
    server = Server(
        "test",
        checks=lambda: {"thing": Check(True, "fine")},
        config=WebConfig.load(path),
        limits=limits,
        max_body=max_body,
        reload_seconds=0.02,
        **options,
    )

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    server.app.add_routes([web.get("/hello", hello), web.post("/echo", echo), *(routes or [])])
    await server.start(LOOPBACK)
    try:
        yield server
    finally:
        await server.stop()


CLIENT_THREADS = ThreadPoolExecutor(32)  # not the loop's own, in which the server checks passwords


async def in_thread(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a client that blocks."""
    return await asyncio.get_running_loop().run_in_executor(CLIENT_THREADS, partial(function, *arguments, **options))


async def get(server: Server, path: str = "/hello", **options: Any) -> requests.Response:
    """Ask with `requests`, in a thread, over a connection of its own."""
    address = f"{server.url.replace('127.0.0.1', 'localhost')}{path}"
    return await in_thread(requests.get, address, timeout=10, **options)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


# --- plain ---


async def test_a_server_without_config_answers_everybody(folder: Path) -> None:
    async with serving(folder) as server:
        response = await get(server)

    assert (response.status_code, response.text) == (200, "hello")
    assert response.headers["Server"] == "jelmon"


async def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    async with serving(folder) as server:
        assert server.address is not None
        second = Server("test", checks=dict)
        with pytest.raises(ConfigError, match=f"cannot listen on {server.address}") as caught:
            await second.start(server.address)

    assert caught.value.hint.startswith("another process uses the port")


@pytest.mark.parametrize(
    ("host", "hint"), [("192.0.2.1", "this machine has no such address"), ("no-such-host.invalid", "check the host")]
)
async def test_an_address_that_is_not_ours_is_told(host: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}") as caught:
        await Server("test", checks=dict).start(ListenAddress(host, 0))

    assert caught.value.hint.startswith(hint)


async def test_configured_headers_stand_on_every_answer(folder: Path) -> None:
    headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    async with serving(folder, headers + USERS) as server:
        answers = [await get(server), await get(server, "/health"), await get(server, "/no", auth=("alice", PASSWORD))]

    assert [(answer.status_code, answer.headers["X-Frame-Options"]) for answer in answers] == [
        (401, "deny"),
        (200, "deny"),
        (404, "deny"),
    ]


async def test_all_interfaces_are_those_of_both_families(folder: Path) -> None:
    server = Server("test", checks=dict)
    await server.start(ListenAddress.parse(":0"))
    try:
        assert server.address is not None
        port = server.address.port
        urls = [server.url, f"http://127.0.0.1:{port}"] + ([f"http://[::1]:{port}"] if has_ipv6() else [])
        answers = [(await in_thread(requests.get, f"{url}/-/healthy", timeout=10)).status_code for url in urls]
    finally:
        await server.stop()

    assert answers == [200] * len(urls)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


# --- TLS ---


async def test_tls_is_what_the_certificate_says(folder: Path) -> None:
    async with serving(folder, TLS) as server:
        response = await get(server, verify=folder / "ca.pem")

        assert response.text == "hello"
        with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
            await get(server)
        with pytest.raises(requests.exceptions.ConnectionError):
            await in_thread(requests.get, server.url.replace("https", "http"), timeout=10)


async def test_old_tls_and_foreign_ciphers_are_refused(folder: Path) -> None:
    only = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
    async with serving(folder, f"{TLS}{only}") as server:
        assert server.address is not None
        old = ssl.create_default_context(cafile=folder / "ca.pem")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        good = await handshake(server.address, old)
        old.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await handshake(server.address, old)

    assert good == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")


async def handshake(address: ListenAddress, context: ssl.SSLContext) -> tuple[str, str]:
    """Connect and tell version and cipher."""
    _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    cipher = found.cipher()
    writer.close()
    assert cipher is not None
    return str(found.version()), cipher[0]


CLIENTS = f"{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"


async def test_client_certificates_are_asked_for_and_verified(folder: Path, certificates: Any) -> None:
    strangers = type(certificates)(folder / "strangers", "stranger")
    async with serving(folder, CLIENTS) as server:
        verify = folder / "ca.pem"
        good = await get(server, verify=verify, cert=tuple(map(str, certificates.sign("client", "DNS:prometheus"))))
        for certificate in (None, tuple(map(str, strangers.sign("client")))):
            with pytest.raises(requests.exceptions.ConnectionError):  # TLS 1.3 tells it after the handshake
                await get(server, verify=verify, cert=certificate)
        health = await get(server, "/-/healthy", verify=verify, cert=tuple(map(str, certificates.sign("client"))))

    assert (good.text, health.status_code) == ("hello", 200)


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ("DNS:prometheus", True),
        ("DNS:other,IP:10.1.2.3", True),
        ("IP:2001:db8::1", True),
        ("URI:spiffe://jelmore/prometheus", True),
        ("email:monitoring@example.org", True),
        ("DNS:prometheus.example.org,URI:spiffe://jelmore/other", False),
    ],
    ids=["a DNS name", "an address", "a long address", "a URI", "an e-mail address", "only other names"],
)
async def test_only_allowed_names_come_in(folder: Path, certificates: Any, names: str, allowed: bool) -> None:
    listed = '["prometheus", "10.1.2.3", "2001:db8::1", "spiffe://jelmore/prometheus", "monitoring@example.org"]'
    pair = certificates.sign(f"client-{names.replace(':', '_').replace('/', '_')}", names)
    async with serving(folder, f"{CLIENTS}  client_allowed_sans: {listed}\n") as server:
        asked = get(server, verify=folder / "ca.pem", cert=tuple(map(str, pair)))
        if allowed:
            assert (await asked).text == "hello"
        else:
            with pytest.raises(requests.exceptions.ConnectionError):
                await asked


# --- log-in ---


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer abc"}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic ?????"}, 401),
        ({"Authorization": "Basic YWxpY2U="}, 401),
    ],
    ids=["no header", "another scheme", "nothing in it", "no base64", "no colon"],
)
async def test_headers_that_are_no_login(folder: Path, header: dict[str, str], status: int) -> None:
    async with serving(folder, USERS) as server:
        response = await get(server, headers=header)

    assert response.status_code == status
    assert response.headers["WWW-Authenticate"] == "Basic"


async def test_only_the_right_password_of_the_right_user_passes(folder: Path) -> None:
    logins = [("alice", PASSWORD), ("alice", PASSWORD), ("alice", "wrong"), ("bob", PASSWORD), ("alice", ""), ("", "")]
    logins += [("alice", "nul\0byte"), ("alice", "x" * 5000)]
    async with serving(folder, USERS) as server:
        answers = [(await get(server, auth=login)).status_code for login in logins]
        open_paths = [(await get(server, path)).status_code for path in ("/health", "/-/ready", "/-/healthy")]

    assert answers == [200, 200, 401, 401, 401, 401, 401, 401]
    assert open_paths == [200, 200, 200]


async def test_a_long_password_counts_as_far_as_htpasswd_hashes_it(folder: Path) -> None:
    long = "ä" * 50
    hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    async with serving(folder, f"basic_auth_users:\n  zoë: {hashed}\n") as server:
        response = await get(server, auth=("zoë".encode(), long.encode()))

    assert response.status_code == 200


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    check = bcrypt.checkpw

    def counting(password: bytes, stored: bytes) -> bool:
        compared.append(stored[:7])
        return check(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    async with serving(folder, USERS) as server:
        for login in (("alice", "wrong"), ("nobody", "wrong")) * 2 + (("alice", PASSWORD),) * 3:
            await get(server, auth=login)

    assert compared == [b"$2b$04$"] * 3  # each log-in once: what failed is remembered as well as what passed


async def test_guessing_neither_fills_memory_nor_pushes_out_who_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_REMEMBERED", 20)
    authenticator = authentication.Authenticator({"alice": HASH.encode()})
    assert await authenticator.user_of(requests.auth._basic_auth_str("alice", PASSWORD))
    for number in range(50):
        assert not await authenticator.user_of(requests.auth._basic_auth_str("alice", str(number)))

    assert len(authenticator._failed) == 20
    assert len(authenticator._passed) == 1


async def test_a_crowd_of_guesses_is_told_to_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: gate.wait(20) and False)
    async with serving(folder, USERS) as server:
        guesses = [asyncio.create_task(get(server, auth=("alice", str(number)))) for number in range(20)]
        await until(lambda: _result(sum(guess.done() for guess in guesses) == 4))
        gate.set()
        statuses = sorted([(await guess).status_code for guess in guesses])

    assert statuses == [401] * 16 + [503] * 4


# --- limits ---


def test_a_bucket_gives_its_burst_and_then_one_for_each_interval() -> None:
    now = 0.0
    bucket = TokenBucket(2.0, 3, clock=lambda: now)
    first = [bucket.allows() for _ in range(5)]
    now = 4.5
    later = [bucket.allows() for _ in range(3)]

    assert (first, later) == ([True] * 3 + [False] * 2, [True, True, False])


async def test_the_rate_limit_spares_health(folder: Path) -> None:
    async with serving(folder, "rate_limit:\n  interval: 1h\n  burst: 2\n") as server:
        answers = [await get(server) for _ in range(3)]
        health = await get(server, "/health")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "1"
    assert health.status_code == 200


async def test_no_more_than_so_many_scrapes_at_once(folder: Path) -> None:
    release = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="done")

    async with serving(folder, routes=[web.get("/slow", at_most(2, slow))]) as server:
        asked = [asyncio.create_task(get(server, "/slow")) for _ in range(3)]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        release.set()
        rest = [(await task).text for task in waiting]
        again = await get(server, "/slow")

    (refused,) = done
    assert (refused.result().status_code, refused.result().headers["Retry-After"]) == (503, "1")
    assert [*rest, again.text] == ["done"] * 3


async def test_a_body_that_is_too_large_is_refused(folder: Path) -> None:
    async with serving(folder) as server:
        sizes = [1000, 1001, 300_000]
        answers = [await in_thread(requests.post, f"{server.url}/echo", data=b"x" * size, timeout=10) for size in sizes]

    assert [answer.status_code for answer in answers] == [200, 413, 413]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(100)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00 this is TLS\r\n\r\n",
    ],
    ids=["a long header", "a long line", "many headers", "no HTTP"],
)
async def test_what_is_no_request_gets_400_and_no_traceback(
    folder: Path, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(folder) as server:
        answer = await talk(server, head)

    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


async def talk(server: Server, head: bytes = b"", wait_for: bytes = b"", more: bytes = b"") -> bytes:
    """Send bytes, and more when an answer is there; then read until the server closes."""
    assert server.address is not None
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    try:
        writer.write(head)
        async with asyncio.timeout(20):
            before = await reader.readuntil(wait_for) if wait_for else b""
            writer.write(more)
            return before + await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


async def test_slow_clients_are_cut_off(folder: Path) -> None:
    limits = ClientLimits(header_seconds=0.1, body_seconds=0.1)
    async with serving(folder, limits=limits) as server:
        silent, slow_head, slow_body, second_head = await asyncio.gather(
            talk(server),
            talk(server, b"GET /hello HTTP/1.1\r\nHost:"),
            talk(server, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome"),
            talk(server, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", b"hello", b"GET /hel"),
        )

    assert {silent, slow_head} <= {b"", b"reset"}
    assert slow_body.startswith(b"HTTP/1.1 408 ")
    assert b"the request body arrived too slowly" in slow_body
    assert second_head.endswith(b"hello") or second_head == b"reset"


async def test_a_client_that_does_not_read_is_cut_off(folder: Path) -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 32 * 1024 * 1024)

    async with serving(folder, routes=[web.get("/large", large)], limits=ClientLimits(write_seconds=0.1)) as server:
        assert server.address is not None
        with socket.create_connection((server.address.host, server.address.port)) as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            gate = server._gate
            assert gate is not None

            async def gone() -> bool:
                return len(gate) == 0

            await until(lambda: _result(len(gate) == 1))
            await until(gone)


async def _result(value: bool) -> bool:
    return value


async def test_keep_alive_survives_the_limits_on_slow_clients(folder: Path) -> None:
    async with serving(folder, limits=ClientLimits(header_seconds=0.1)) as server:
        with requests.Session() as session:
            await in_thread(session.get, f"{server.url}/hello", timeout=10)
            gate = server._gate
            assert gate is not None
            for _ in range(3):
                gate.sweep()
                await asyncio.sleep(0.1)
            assert len(gate) == 1
            second = await in_thread(session.get, f"{server.url}/hello", timeout=10)

    assert second.text == "hello"


async def opened(server: Server, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which these bytes were sent, once the server knows of it."""
    assert server.address is not None
    assert server._gate is not None
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(data)
    await writer.drain()
    return reader, writer


HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SLOW_POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome"


async def test_a_new_connection_takes_the_place_of_the_one_idle_for_longest(folder: Path) -> None:
    async with serving(folder, limits=ClientLimits(connections=3)) as server:
        slow = await opened(server, SLOW_POST)
        first, second = await opened(server, HELLO), await opened(server)
        await first[0].readuntil(b"hello")
        second[1].write(HELLO)
        await second[0].readuntil(b"hello")
        new = await talk(server, LAST_HELLO)
        gone = await asyncio.wait_for(first[0].read(), 20)
        second[1].write(HELLO)
        kept = await asyncio.wait_for(second[0].readuntil(b"hello"), 20)
        slow[1].write(b"x" * 96)
        finished = await asyncio.wait_for(slow[0].readuntil(b"100"), 20)
        for _, writer in (slow, first, second):
            writer.close()

    assert new.endswith(b"hello")
    assert gone == b""
    assert kept.endswith(b"hello")
    assert finished.startswith(b"HTTP/1.1 200")


async def test_256_idle_connections_and_as_many_slow_posts_leave_room_for_health_and_others(folder: Path) -> None:
    async with serving(folder) as server:
        held = [await opened(server, HELLO) for _ in range(256)]
        for reader, _ in held:
            await reader.readuntil(b"hello")
        idle = [await talk(server, LAST_HELLO), await talk(server, LAST_HELLO.replace(b"/hello", b"/health"))]
        held += [await opened(server, SLOW_POST) for _ in range(256)]
        slow = [await talk(server, LAST_HELLO), await talk(server, posting("/echo", b"some", "identity"))]
        slow += [await talk(server, LAST_HELLO.replace(b"/hello", b"/health"))]
        for _, writer in held:
            writer.close()

    assert [answer.split()[1] for answer in idle + slow] == [b"200"] * 5


async def test_no_more_than_so_many_bodies_arrive_at_once(folder: Path) -> None:
    """The one that began first is given up: it had the most time."""
    async with serving(folder, limits=ClientLimits(bodies=2, crowded_body_seconds=0)) as server:
        posts = [await opened(server, SLOW_POST) for _ in range(1)]
        gate = server._gate
        assert gate is not None
        for count in (1, 2):
            await until(lambda count=count: _result(sum(one.receives_body() for one in gate._open.values()) == count))  # type: ignore[misc]
            posts.append(await opened(server, SLOW_POST))
        answer = await asyncio.wait_for(posts[0][0].read(), 20)
        for _, writer in posts[1:]:
            writer.write(b"x" * 96)
        rest = [await asyncio.wait_for(reader.readuntil(b"100"), 20) for reader, _ in posts[1:]]
        for _, writer in posts:
            writer.close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert [one.split()[1] for one in rest] == [b"200", b"200"]


async def test_a_connection_that_is_being_answered_keeps_its_place(folder: Path) -> None:
    release = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="hello")

    slow_get = LAST_HELLO.replace(b"/hello", b"/slow")
    async with serving(folder, routes=[web.get("/slow", slow)], limits=ClientLimits(connections=2)) as server:
        asked = [asyncio.create_task(talk(server, slow_get)) for _ in range(2)]
        gate = server._gate
        assert gate is not None
        await until(lambda: _result([one.waiting_since() for one in gate._open.values()] == [None, None]))
        refused = await talk(server, LAST_HELLO)
        release.set()
        answers = [await task for task in asked]

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert refused.endswith(b"too many connections\n")
    assert [answer.endswith(b"hello") for answer in answers] == [True, True]


# --- bodies ---


def bomb(size: int) -> bytes:
    """A small gzip body that expands to this many bytes."""
    packer = zlib.compressobj(9, wbits=31)
    block = b"\0" * 1024 * 1024
    return b"".join([*(packer.compress(block) for _ in range(size // len(block))), packer.flush()])


def posting(path: str, body: bytes, coding: str = "gzip") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: {coding}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_nothing_is_expanded_before_login_and_route(folder: Path) -> None:
    """Eight bodies of half a megabyte that expand to half a gigabyte each, at every kind of path."""
    body = bomb(512 * 1024 * 1024)
    async with serving(folder, USERS, max_body=8 * 1024 * 1024) as server:
        before = resource.getrusage(resource.RUSAGE_SELF)
        answers = await asyncio.gather(
            *(talk(server, posting(path, body)) for path in ("/echo", "/no", "/health", "/") * 2)
        )
        after = resource.getrusage(resource.RUSAGE_SELF)

    assert [answer.split()[1] for answer in answers] == [b"401", b"401", b"405", b"401"] * 2
    assert after.ru_utime - before.ru_utime < 2  # it took 18 s
    assert after.ru_maxrss - before.ru_maxrss < 100_000  # kB


async def test_a_body_expands_within_limits_and_off_the_event_loop(folder: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    most = 8 * 1024 * 1024
    async with serving(folder, routes=[web.post("/expand", echo)], max_body=most) as server:
        slowest, running = 0.0, True

        async def watch() -> None:
            nonlocal slowest
            while running:
                begin = time.thread_time()  # of this thread, whatever else the machine does
                await asyncio.sleep(0.001)
                slowest = max(slowest, time.thread_time() - begin)

        watcher = asyncio.create_task(watch())
        bodies = [bomb(512 * 1024 * 1024)] * 8 + [bomb(most)]
        answers = await asyncio.gather(*(talk(server, posting("/expand", body)) for body in bodies))
        running = False
        await watcher

    assert [answer.split()[1] for answer in answers] == [b"413"] * 8 + [b"413"]  # the last for its ratio alone
    assert slowest < 0.5


PLAIN = b"some text " * 1000
PACKED = gzip.compress(PLAIN)


@pytest.mark.parametrize(
    ("body", "coding", "answer"),
    [
        pytest.param(PACKED, "gzip", "200 10000", id="gzip"),
        pytest.param(PACKED, " GZIP", "200 10000", id="in capitals"),
        pytest.param(PACKED + PACKED, "gzip", "200 20000", id="two members"),
        pytest.param(zlib.compress(PLAIN), "deflate", "200 10000", id="deflate"),
        pytest.param(zlib.compress(PLAIN, wbits=-15), "deflate", "200 10000", id="raw deflate"),
        pytest.param(gzip.compress(random.Random(1).randbytes(50_000)), "x-gzip", "200 50000", id="in a thread"),
        pytest.param(PLAIN, "identity", "200 10000", id="identity"),
        pytest.param(b"", "gzip", "400 the body is not valid gzip: it ends too early", id="nothing"),
        pytest.param(PACKED[:-1], "gzip", "400 the body is not valid gzip: it ends too early", id="cut off"),
        pytest.param(PLAIN, "gzip", "400 the body is not valid gzip: ", id="no gzip"),
        pytest.param(PACKED + b"more", "gzip", "400 the body is not valid gzip: ", id="more after the end"),
        pytest.param(zlib.compress(PLAIN) + b"m", "deflate", "400 the body is not valid deflate: more", id="more"),
        pytest.param(PLAIN, "deflate", "400 the body is not valid deflate: ", id="no deflate"),
        pytest.param(PACKED, "br", "415 Content-Encoding 'br' is not supported", id="brotli"),
        pytest.param(gzip.compress(PACKED), "gzip, gzip", "415 Content-Encoding 'gzip, gzip'", id="twice"),
    ],
)
async def test_compressed_bodies(
    folder: Path, body: bytes, coding: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def expand(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    async with serving(folder, routes=[web.post("/expand", expand)], max_body=100_000) as server:
        found = (await talk(server, posting("/expand", body, coding))).decode()

    assert f"{found.split()[1]} {found.partition(chr(13) + chr(10) + chr(13) + chr(10))[2]}".startswith(answer)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


@pytest.mark.parametrize(
    ("header", "part"),
    [("Content-Length: 100", b"some"), ("Transfer-Encoding: chunked", b"5\r\nsome")],
    ids=["a length", "chunks"],
)
async def test_a_client_that_leaves_in_mid_body_is_one_debug_line(
    folder: Path, header: str, part: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "jelmon")
    reading = asyncio.Event()

    async def expand(request: web.Request) -> web.Response:
        reading.set()
        return web.Response(text=str(len(await read_body(request))))

    def lines() -> list[Any]:
        return [record for record in caplog.records if record.name.startswith("jelmon.service.web")]

    async with serving(folder, routes=[web.post("/expand", expand)]) as server:
        _, writer = await opened(server, f"POST /expand HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n".encode() + part)
        await asyncio.wait_for(reading.wait(), 20)
        writer.close()
        await until(lambda: _result(len(lines()) >= 1))

    assert [(record.levelname, record.exc_info) for record in lines()] == [("DEBUG", None)]


async def test_a_damaged_chunk_is_told_to_the_client(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    reading = asyncio.Event()

    async def expand(request: web.Request) -> web.Response:
        reading.set()
        return web.Response(text=str(len(await read_body(request))))

    head = b"POST /expand HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(folder, routes=[web.post("/expand", expand)]) as server:
        reader, writer = await opened(server, head)
        await asyncio.wait_for(reading.wait(), 20)
        writer.write(b"no number\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"announced\n"), 20)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


# --- reading the configuration again ---


async def test_users_change_without_a_restart(folder: Path) -> None:
    async with serving(folder, USERS) as server:
        assert (await get(server, auth=("alice", PASSWORD))).status_code == 200
        replace(folder / "web.yml", USERS.replace("alice", "bob"))

        async def bob_is_in() -> bool:
            return (await get(server, auth=("bob", PASSWORD))).status_code == 200

        await until(bob_is_in)
        assert (await get(server, auth=("alice", PASSWORD))).status_code == 401


async def test_a_renewed_certificate_is_shown_without_a_restart(folder: Path, certificates: Any) -> None:
    async with serving(folder, TLS) as server:
        with requests.Session() as session:
            verify = str(folder / "ca.pem")
            url = server.url.replace("127.0.0.1", "localhost")
            await in_thread(session.get, f"{url}/hello", timeout=10, verify=verify)
            before = await shown(server)
            install(certificates.sign("renewed"), folder)

            async def renewed() -> bool:
                return await shown(server) != before

            await until(renewed)
            kept = await in_thread(session.get, f"{url}/hello", timeout=10, verify=verify)  # over the old connection
        after = await shown(server)

    assert kept.text == "hello"
    assert after == ssl.PEM_cert_to_DER_cert((folder / "server.crt").read_text(encoding="utf-8"))


async def shown(server: Server) -> bytes:
    """The certificate that the server shows."""
    assert server.address is not None
    pem = await in_thread(ssl.get_server_certificate, (server.address.host, server.address.port), timeout=10)
    return ssl.PEM_cert_to_DER_cert(pem)


async def test_tls_can_be_switched_on_under_way_and_no_client_is_refused(folder: Path) -> None:
    async with serving(folder) as server:
        replace(folder / "web.yml", TLS)

        async def encrypted() -> bool:
            try:
                return (await get(server, verify=folder / "ca.pem")).url.startswith("https")
            except requests.exceptions.SSLError:  # a moment ago it was off
                return False

        await until(encrypted)


async def test_a_broken_file_keeps_what_was_and_is_told_once(
    folder: Path, certificates: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def errors() -> list[Any]:
        return [record for record in caplog.records if record.levelname == "ERROR"]

    async with serving(folder, TLS + USERS) as server:
        before = await shown(server)
        replace(folder / "web.yml", f"{TLS}basic_auth_users:\n  alice: hunter2\n")
        await until(lambda: _result(len(errors()) == 1))
        still = await get(server, auth=("alice", PASSWORD), verify=folder / "ca.pem")
        (folder / "server.key").unlink()
        await until(lambda: _result(len(errors()) == 2))
        install(certificates.sign("renewed"), folder)
        replace(folder / "web.yml", TLS)

        async def mended() -> bool:
            return (await get(server, verify=folder / "ca.pem")).status_code == 200

        await until(mended)
        assert await shown(server) != before

    assert still.text == "hello"
    assert [record.failures for record in errors()] == [1, 2]
    assert "is not a bcrypt hash" in errors()[0].problems
    assert "hunter2" not in errors()[0].problems
    assert "server.key: No such file" in errors()[1].problems


async def test_a_hash_that_bcrypt_cannot_check_changes_nothing_and_is_reported(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that was revoked together with the mistake stays valid; so the metric has to tell."""
    reloads: list[bool] = []
    async with serving(folder, USERS, on_reload=reloads.append) as server:
        replace(folder / "web.yml", USERS.replace("$2b$", "$2$"))
        await until(lambda: _result(reloads == [True, False]))
        still = await get(server, auth=("alice", PASSWORD))
        replace(folder / "web.yml", USERS.replace("alice", "bob"))
        await until(lambda: _result(reloads == [True, False, True]))
        after = [(await get(server, auth=(user, PASSWORD))).status_code for user in ("alice", "bob")]

    assert still.text == "hello"
    assert after == [401, 200]
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "the password of 'alice' is not a bcrypt hash" in vars(error)["problems"]


async def test_a_fault_of_ours_does_not_end_the_watch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reloads: list[bool] = []
    async with serving(folder, USERS, on_reload=reloads.append) as server:
        load = WebConfig.load
        monkeypatch.setattr(WebConfig, "load", lambda _: 1 / 0)
        replace(folder / "web.yml", USERS.replace("alice", "bob"))
        await until(lambda: _result(reloads == [True, False]))
        monkeypatch.setattr(WebConfig, "load", load)
        replace(folder / "web.yml", USERS.replace("alice", "carol"))
        await until(lambda: _result(reloads == [True, False, True]))
        assert (await get(server, auth=("carol", PASSWORD))).status_code == 200

    assert [vars(record)["problems"] for record in caplog.records if record.levelname == "ERROR"] == [
        "ZeroDivisionError"
    ]


async def test_accounts_with_one_task_have_no_other(folder: Path) -> None:
    users = USERS + f"  poster: {HASH}\n"
    async with serving(folder, users, accounts=Accounts("/echo", frozenset({"poster"}))) as server:
        answers = {}
        for user in ("alice", "poster"):
            got = await get(server, auth=(user, PASSWORD))
            posted = await in_thread(requests.post, f"{server.url}/echo", b"x", auth=(user, PASSWORD), timeout=10)
            answers[user] = got.status_code, posted.status_code

    assert answers == {"alice": (200, 403), "poster": (403, 200)}


# --- health and pages ---


async def test_health_tells_each_dependency(folder: Path) -> None:
    states = {"thing": Check(True, "fine"), "other": Check(False, "nats://10.1.2.3:4222 does not answer")}
    server = Server("exporter", checks=lambda: states)
    await server.start(LOOPBACK)
    try:
        ready, health = await get(server, "/-/ready"), await get(server, "/health")
    finally:
        await server.stop()

    assert (ready.status_code, ready.text) == (503, "not ready: other\n")
    assert health.status_code == 503
    assert health.json()["dependencies"] == {
        "thing": {"status": "ok"},
        "other": {"status": "failed"},
    }


async def test_the_landing_page_escapes_what_it_is_told(folder: Path) -> None:
    page = landing_page("a <title>", [], lambda: {"<b>": Check(False, "<i>")}, lambda: "<p>overview</p>")
    async with serving(folder, routes=[web.get("/", page)]) as server:
        response = await get(server, "/")

    assert "a &lt;title&gt;" in response.text
    assert "&lt;b&gt;" in response.text
    assert "<i>" not in response.text
    assert "<p>overview</p>" in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
