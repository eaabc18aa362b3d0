"""``jelmon store backfill``: dumps of Prometheus, and another remote-read source, into a running store."""

import asyncio
import ssl
import subprocess
import time
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from aiohttp import web
from tests.conftest import Certificates
from tests.store.conftest import StartStore
from tests.store.data import STALE, TestSeries, bits, native_histogram
from tests.store.support import load, migrate, serve

from jelmon.cli import main
from jelmon.errors import JelmonError
from jelmon_store.app import Store
from jelmon_store.commands.openmetrics import read_dump

NOW = round(time.time()) * 1000 - 600_000


async def backfill(store: Store, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["store", "backfill", "--to", f"{store.server.url}/api/v1/write", *arguments])


def stored(dsn: str) -> list[tuple[str, dict[str, str], int, int]]:
    """Name, labels, time in milliseconds and bits of each sample."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT name, labels, (extract(epoch FROM time) * 1000)::bigint, float8send(value) FROM jelmore.samples "
            "JOIN jelmore.series USING (series_id) JOIN jelmore.metrics USING (metric_id) ORDER BY 1, 2, 3"
        ).fetchall()
    return [(name, labels, at, int.from_bytes(value)) for name, labels, at, value in rows]


async def test_a_dump_is_loaded_once(
    postgres_dsn: str, start_store: StartStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loading it again adds nothing."""
    store = await start_store(postgres_dsn)
    dump = tmp_path / "dump.txt"
    lines = [f'up{{job="a b",v="x\\n\\"y\\""}} {index} {NOW / 1000 + index / 10:.3f}' for index in range(2000)]
    dump.write_text("\n".join(["# TYPE up gauge", *lines, "# EOF", ""]), encoding="utf-8")

    assert await backfill(store, str(dump)) == 0
    assert await backfill(store, str(dump)) == 0
    assert capsys.readouterr().out == "sent 2000 samples\n" * 2
    labels = {"job": "a b", "v": 'x\n"y"'}
    assert stored(postgres_dsn) == [("up", labels, NOW + 100 * index, bits(float(index))) for index in range(2000)]


async def test_prometheus_own_dump_is_read(
    postgres_dsn: str, start_store: StartStore, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """What promtool writes of a block."""
    promtool = tool("promtool")
    text, blocks = tmp_path / "in.txt", tmp_path / "blocks"
    text.write_text(
        "".join(f'm{{a="{index % 3}"}} {index}.5 {NOW / 1000 + index}\n' for index in range(30)) + "# EOF\n",
        encoding="utf-8",
    )
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", text, blocks], check=True)
    (blocks / "wal").mkdir()
    dump = tmp_path / "dump.txt"
    with dump.open("wb") as output:
        subprocess.run([promtool, "tsdb", "dump", blocks], stdout=output, check=True)
    store = await start_store(postgres_dsn)

    assert await backfill(store, str(dump)) == 0
    assert sorted((labels["a"], at, value) for _, labels, at, value in stored(postgres_dsn)) == sorted(
        (str(index % 3), NOW + 1000 * index, bits(index + 0.5)) for index in range(30)
    )


async def test_another_source_is_copied_bit_by_bit(
    postgres_dsn: str, postgres_server: str, start_store: StartStore
) -> None:
    """Here the source is a store of ours, as it could be a Prometheus or Thanos; stale markers and histograms too."""
    source_dsn = postgres_server.rsplit("/", 1)[0] + "/source_of_backfill"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS source_of_backfill WITH (FORCE)")
        connection.execute("CREATE DATABASE source_of_backfill")
    await migrate(source_dsn)
    first = NOW - 3 * 3_600_000
    samples = [(first + 60_000 * index, STALE if index % 50 == 49 else bits(index)) for index in range(180)]
    message = native_histogram(first, [1, 2, 0, 1], 3.0)
    load(source_dsn, [TestSeries({"__name__": "up", "job": "api"}, samples, [(first, message)])])
    load(source_dsn, [TestSeries({"__name__": "not_wanted"}, samples)])
    store = await start_store(postgres_dsn)
    async with serve(source_dsn) as url:
        arguments = ("--from", url, "--match", "up", "--start", str(first / 1000), "--end", str(NOW / 1000))

        assert await backfill(store, *arguments) == 0
    assert stored(postgres_dsn) == [("up", {"job": "api"}, at, value) for at, value in samples]
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT payload FROM jelmore.histograms").fetchall() == [(message,)]


@asynccontextmanager
async def proxy(
    to: str, *, lose: int = 0, authorization: str = "", pages: dict[str, object] | None = None, tls: Any = None
) -> AsyncIterator[tuple[str, list[str]]]:
    """A server in front of another; yields its URL and the requests' ``Retry-Attempt``. It loses the first answers."""
    attempts: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "") != authorization:
            return web.Response(status=401, text="who are you?")
        if request.path in (pages or {}):
            return web.json_response((pages or {})[request.path])
        body = await request.read()
        async with (
            aiohttp.ClientSession() as session,
            session.post(to + request.path, data=body, headers=request.headers) as inner,
        ):
            answer = await inner.read()
        if request.method == "POST":
            attempts.append(request.headers.get("Retry-Attempt", ""))
        if len(attempts) <= lose:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=inner.status, body=answer)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://localhost:{port}" if tls else f"http://127.0.0.1:{port}", attempts
    finally:
        await runner.cleanup()


async def test_a_request_whose_answer_is_lost_is_sent_again(
    postgres_dsn: str, start_store: StartStore, tmp_path: Path
) -> None:
    """The store has it already; nothing is there twice. As after a backfill that was interrupted."""
    store = await start_store(postgres_dsn)
    dump = tmp_path / "dump.txt"
    lines = [f'up{{i="{index % 7}"}} {index} {(NOW + 1000 * index) / 1000}' for index in range(500)]
    dump.write_text("\n".join(lines), encoding="utf-8")
    async with proxy(store.server.url, lose=2) as (url, attempts):
        assert await asyncio.to_thread(main, ["store", "backfill", "--to", f"{url}/api/v1/write", str(dump)]) == 0
    assert attempts == ["", "1", "2"]
    assert sorted(value for _, _, _, value in stored(postgres_dsn)) == sorted(
        bits(float(index)) for index in range(500)
    )


BASIC = b64encode(b"writer:s3cret").decode()
LOGINS = {
    "basic": (
        ["--to.username", "writer", "--to.password-file"],
        "s3cret\n",
        f"Basic {BASIC}",
    ),
    "bearer": (["--to.token-file"], "t0ken\n", "Bearer t0ken"),
}


@pytest.mark.parametrize("name", LOGINS)
async def test_logins_and_authorities_come_from_files(
    name: str,
    postgres_dsn: str,
    start_store: StartStore,
    tmp_path: Path,
    certificates: Certificates,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong one is refused, and appears nowhere."""
    flags, secret, header = LOGINS[name]
    cert, key = certificates.sign("localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    store = await start_store(postgres_dsn)
    file, dump = tmp_path / "secret", tmp_path / "dump.txt"
    dump.write_text(f"up 1 {NOW / 1000}", encoding="utf-8")
    async with proxy(store.server.url, authorization=header, tls=tls) as (url, _):
        arguments = [
            "store",
            "backfill",
            "--to",
            f"{url}/api/v1/write",
            "--to.ca-file",
            str(certificates.authority),
            *flags,
            str(file),
            str(dump),
        ]
        for content, status in ((secret, 0), ("wr0ng", 1)):
            file.write_text(content, encoding="utf-8")

            assert await asyncio.to_thread(main, arguments) == status
    error = capsys.readouterr().err
    assert "answered 401: who are you?" in error
    assert "wr0ng" not in error
    assert len(stored(postgres_dsn)) == 1


async def test_metadata_come_from_the_page_of_the_source(
    postgres_dsn: str, postgres_server: str, start_store: StartStore
) -> None:
    """Remote read has none; only of the metrics that were copied."""
    source_dsn = postgres_server.rsplit("/", 1)[0] + f"/source_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {source_dsn.rpartition('/')[2]}")
    await migrate(source_dsn)
    load(source_dsn, [TestSeries({"__name__": "done_total"}, [(NOW, bits(1.0))])])
    store = await start_store(postgres_dsn)
    entry = {"type": "counter", "help": "Done.", "unit": "cards"}
    pages: dict[str, object] = {
        "/api/v1/metadata": {"status": "success", "data": {"done_total": [entry], "other": [entry]}}
    }
    async with serve(source_dsn) as read_url, proxy(read_url.removesuffix("/api/v1/read"), pages=pages) as (url, _):
        arguments = ("--from", f"{url}/api/v1/read", "--match", "done_total", "--start", str(NOW / 1000 - 60))

        assert await backfill(store, *arguments) == 0
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute("SELECT name, type, unit, help FROM jelmore.metrics").fetchall()
    assert rows == [("done_total", "counter", "cards", "Done.")]


WRONG_ENDPOINTS = {
    "no URL": (("--to", "localhost"), "--to: not the URL of a server"),
    "a password in the URL": (("--to", "http://a:b@h/"), "--to: not the URL of a server"),
    "half a login": (("--to.username", "a"), "--to.username and --to.password-file belong together"),
    "no such file": (("--to.token-file", "/nowhere"), "--to.token-file: cannot read /nowhere"),
    "a key alone": (("--to.key-file", "/nowhere"), "--to.key-file needs --to.cert-file"),
    "no certificates": (("--to.ca-file", "/nowhere"), "--to: cannot use the certificates"),
    "a header without a value": (("--to.header", "X-Scope-OrgID"), "--to.header: 'X-Scope-OrgID' is not NAME=VALUE"),
}


@pytest.mark.parametrize("name", WRONG_ENDPOINTS)
def test_a_wrong_endpoint_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is sent."""
    arguments, message = WRONG_ENDPOINTS[name]

    assert main(["store", "backfill", *arguments, "dump.txt"]) == 2
    assert message in capsys.readouterr().err


async def test_refused_samples_are_reported(
    postgres_dsn: str, start_store: StartStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too far ahead for the store; the others are stored."""
    store = await start_store(postgres_dsn)
    dump = tmp_path / "dump.txt"
    dump.write_text(f"up 1 {NOW / 1000 + 7200}\nup 2 {NOW / 1000}\n", encoding="utf-8")

    assert await backfill(store, str(dump)) == 1
    assert "refused: " in capsys.readouterr().out
    assert [value for _, _, _, value in stored(postgres_dsn)] == [bits(2.0)]


BAD = {
    "no sample": ("up{", "dump.txt:1: not a sample: 'up{'"),
    "no time": ("up 1", "dump.txt:1: the sample has no time"),
    "no name": ('{a="b"} 1 2', "dump.txt:1: the sample has no metric name"),
    "no number": ("up one 2", "dump.txt:1: could not convert string to float: 'one'"),
    "a broken label": ("up{a=b} 1 2", "dump.txt:1: cannot read the label at 'a=b'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_cannot_be_read_is_named(name: str) -> None:
    """File, line and reason."""
    line, message = BAD[name]
    with pytest.raises(JelmonError) as caught:
        list(read_dump([line], "dump.txt"))

    assert caught.value.message == message


@pytest.mark.parametrize("arguments", [(), ("--from", "http://127.0.0.1:1"), ("dump", "--from", "x")])
def test_exactly_one_source(arguments: tuple[str, ...]) -> None:
    """Files or a URL with a start."""
    assert main(["store", "backfill", *arguments]) == 2
