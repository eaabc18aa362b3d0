"""Remote write into the store, beside binary COPY, Prometheus' own receiver, VictoriaMetrics and ordinary Python.

Every receiver is a process of its own and gets the same bodies over the same number of connections: 2,000 samples a
request, one for each series, answered before the next request of that connection. CPU seconds of each server are
printed too: on a machine that is busy otherwise they say more than the time.

    python benchmarks/bench_store.py [--database.url postgresql://...] [--steps 100] [--connections 8] [--paced 10]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import psutil
import psycopg

from jelmon.database.postgres import PostgresDatabase
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError
from jelmon_store.schema import SCHEMA
from jelmon_store.series.cache import SLOT_MASK, SeriesCache
from jelmon_store.series.labels import SeriesKey
from jelmon_store.wire import messages, snappy, v1, v2
from jelmon_store.wire.decoded import Decoded, WireLimits
from jelmon_store.wire.symbols import SymbolTable
from jelmon_store.write.rows import sample_rows

SERIES = 2000  # of a request, as Prometheus sends by default
STEP_MS = 15_000
COPY_ROWS = 50_000  # of a transaction
GOAL_COPY, GOAL_PROMETHEUS, GOAL_VICTORIA, GOAL_P99 = 0.60, 1.5, 0.35, 20.0
GOAL_V1, GOAL_V2 = 1.5, 0.9  # million samples a second and core
V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def say(text: str = "") -> None:
    print(text, flush=True)


# --- bodies ---


def labels_of(connection: int, number: int) -> list[tuple[str, str]]:
    """Ten labels, as a series of a container has."""
    return [
        ("__name__", f"bench_requests_total_{number % 20}"),
        ("cluster", "eu-west-1"),
        ("code", str(200 + number % 5)),
        ("container", f"container-{number % 7}"),
        ("instance", f"10.0.{connection}.{number // 100}:8080"),
        ("job", "bench"),
        ("method", ("GET", "POST")[number % 2]),
        ("namespace", f"namespace-{number % 11}"),
        ("path", f"/api/v1/resource/{number}"),
        ("pod", f"pod-{connection}-{number // 10}-7d9f8b6c5d"),
    ]


def sample(moment: int, value: float) -> bytes:
    """A sample as field 2 of a series."""
    inner = b"\x09" + struct.pack("<d", value) + b"\x10" + varint(moment)
    return b"\x12" + varint(len(inner)) + inner


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Bodies:
    """Compressed requests of one connection, by step."""

    def __init__(self, connection: int, start: int) -> None:
        self._start = start
        self._labels = [labels_of(connection, number) for number in range(SERIES)]
        self._random = random.Random(connection)

    def v1(self, step: int) -> bytes:
        if not hasattr(self, "_v1"):
            self._v1 = [
                messages.TimeSeries(
                    labels=[
                        messages.Label(name=name.encode(), value=value.encode()).SerializeToString()
                        for name, value in labels
                    ]
                ).SerializeToString()
                for labels in self._labels
            ]
        parts = []
        for head in self._v1:
            series = head + self._sample(step)
            parts += [b"\x0a", varint(len(series)), series]
        return snappy.compress(b"".join(parts))

    def v2(self, step: int) -> bytes:
        symbols: dict[str, int] = {"": 0}
        parts = []
        for labels in self._labels:
            references = b"".join(varint(symbols.setdefault(text, len(symbols))) for pair in labels for text in pair)
            metadata = b"\x08\x01\x18" + varint(symbols.setdefault("Requests.", len(symbols)))
            series = b"\x0a" + varint(len(references)) + references + self._sample(step)
            series += b"\x2a" + varint(len(metadata)) + metadata
            parts += [b"\x2a", varint(len(series)), series]
        heads = [part for text in symbols for part in (b"\x22", varint(len(text.encode())), text.encode())]
        return snappy.compress(b"".join([*heads, *parts]))

    def _sample(self, step: int) -> bytes:
        return sample(self._start + step * STEP_MS, self._random.random() * 1000)


# --- the receiver alone ---


class Bench:
    """The decoder, the split by watermarks and the COPY buffer, without HTTP and database."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._cache = SeriesCache()
        self._table = self._cache.table("", version)
        self._symbols = SymbolTable()

    def decode(self, body: bytes) -> Decoded:
        message = snappy.decompress(body)
        if self._version == "1.0":
            return v1.decode(message, self._table, WireLimits())
        return v2.decode(message, self._table, self._symbols, self._cache.metric, WireLimits())

    def learn(self, body: bytes) -> None:
        for number, (key, labels) in enumerate(self.decode(body).unknown.items()):
            series = SeriesKey.of("", labels)
            slot = self._cache.add(number + 1, group=series.group, metric=number % 20, kept=False, new=True)
            self._cache.remember(self._table, key, slot)

    def receive(self, body: bytes) -> int:
        decoded = self.decode(body)
        slots = decoded.codes & SLOT_MASK
        fast = decoded.times > self._cache.watermark[slots]
        np.maximum.at(self._cache.watermark, slots, decoded.times)
        return len(sample_rows(self._cache.series_id[slots][fast], decoded.times[fast], decoded.bits[fast])) // 38


def receiver_alone(version: str, count: int) -> float:
    """Million samples a second of one core."""
    bodies = Bodies(0, int(time.time() * 1000) - count * STEP_MS)
    made = [bodies.v1(step) if version == "1.0" else bodies.v2(step) for step in range(count)]
    bench = Bench(version)
    bench.learn(made[0])
    begun = time.process_time()
    samples = sum(bench.receive(body) for body in made)
    return samples / (time.process_time() - begun) / 1e6


def ordinary_walk(count: int) -> float:
    """The same, as one writes it first: every label of every series, then rows of tuples."""
    bodies = Bodies(0, int(time.time() * 1000) - count * STEP_MS)
    made = [bodies.v1(step) for step in range(count)]
    ids: dict[tuple[tuple[str, str], ...], int] = {}
    begun = time.process_time()
    samples = 0
    for body in made:
        samples += len(list(walk(body, ids)))
    return samples / (time.process_time() - begun) / 1e6


def walk(body: bytes, ids: dict[tuple[tuple[str, str], ...], int]) -> Iterator[tuple[int, int, float]]:
    request = messages.WriteRequest.FromString(snappy.decompress(body))
    for raw in request.timeseries:
        series = messages.TimeSeries.FromString(raw)
        pairs = map(messages.Label.FromString, series.labels)
        labels = tuple(sorted((pair.name.decode(), pair.value.decode()) for pair in pairs))
        number = ids.setdefault(labels, len(ids) + 1)
        for one in series.samples:
            yield number, one.timestamp, struct.unpack("<d", struct.pack("<Q", one.value))[0]


# --- end to end ---


class Result(NamedTuple):
    """What a run found: million samples a second, and CPU seconds per million samples of the server."""

    rate: float
    cpu: float


async def send(url: str, bodies: list[list[bytes]], *, kind: str = V1_TYPE, pace: float | None = None) -> list[float]:
    """Send each list over a connection of its own; return the seconds of each response."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    path = "/" + url.removeprefix("http://").split("/", 1)[1]
    times: list[float] = []

    async def one(queue: list[bytes], offset: float) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        due = time.perf_counter() + offset
        for body in queue:
            if pace is not None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due += pace
            begun = time.perf_counter()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Encoding: snappy\r\n"
                f"X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            response = await reader.readuntil(b"\r\n\r\n")
            status = int(response.split(b" ", 2)[1])
            length = [line for line in response.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            text = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
            assert status in (200, 204), (status, text)
            times.append(time.perf_counter() - begun)
        writer.close()

    step = (pace or 0) / len(bodies)
    await asyncio.gather(*(one(queue, step * number) for number, queue in enumerate(bodies)))
    return times


def cpu_of(processes: list[psutil.Process]) -> float:
    """CPU seconds of processes and their children."""
    total = 0.0
    for process in processes:
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used = one.cpu_times()
                total += used.user + used.system
    return total


async def measure(url: str, bodies: list[list[bytes]], watched: list[psutil.Process], *, kind: str = V1_TYPE) -> Result:
    """Send the first request of each connection, which makes the series, then time the others."""
    await send(url, [queue[:1] for queue in bodies], kind=kind)
    before = cpu_of(watched)
    begun = time.perf_counter()
    await send(url, [queue[1:] for queue in bodies], kind=kind)
    seconds = time.perf_counter() - begun
    millions = sum(len(queue) - 1 for queue in bodies) * SERIES / 1e6
    return Result(millions / seconds, (cpu_of(watched) - before) / millions)


def copy_alone(dsn: str, bodies: list[list[bytes]]) -> float:
    """Million rows a second of binary COPY into the same table: the rows of these bodies, one connection."""
    count = sum(len(queue) - 1 for queue in bodies) * SERIES
    start = int(time.time() * 1000) // 3_600_000 * 3_600_000 - 3_600_000
    ids = np.arange(COPY_ROWS, dtype=np.int64)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT jelmore.ensure_partitions('samples', ARRAY[to_timestamp(%s)])", (start / 1000,))
        connection.commit()
        begun = time.perf_counter()
        for number in range(count // COPY_ROWS):
            times = np.full(COPY_ROWS, start + number * 1000, np.int64)
            data = sample_rows(ids, times, np.random.random(COPY_ROWS).view(np.uint64))
            with connection.cursor().copy(
                "COPY jelmore.samples (time, series_id, value) FROM STDIN (FORMAT binary)"
            ) as copy:
                copy.write(data)
            connection.commit()
        return count // COPY_ROWS * COPY_ROWS / (time.perf_counter() - begun) / 1e6


ORDINARY = """
import sys, asyncio
sys.path.insert(0, sys.argv[1])
from aiohttp import web
import psycopg
from bench_store import walk
ids = {}
async def main():
    connections = asyncio.Queue()
    for _ in range(4):
        connections.put_nowait(await psycopg.AsyncConnection.connect(sys.argv[2]))
    async def write(request):
        rows = list(walk(await request.read(), ids))
        connection = await connections.get()
        try:
            target = "COPY ordinary (time, series_id, value) FROM STDIN (FORMAT binary)"
            async with connection.cursor().copy(target) as copy:
                copy.set_types(["int8", "int8", "float8"])
                for number, moment, value in rows:
                    await copy.write_row((moment, number, value))
            await connection.commit()
        finally:
            connections.put_nowait(connection)
        return web.Response(status=204)
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.post("/api/v1/write", write)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[3])).start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


def database_processes(dsn: str) -> list[psutil.Process]:
    """The processes of the database server on this machine."""
    port = str(psycopg.conninfo.conninfo_to_dict(dsn).get("port", 5432))
    for connection in psutil.net_connections("tcp"):
        address: Any = connection.laddr
        if connection.status == psutil.CONN_LISTEN and connection.pid and str(address.port) == port:
            return [psutil.Process(connection.pid)]
    return []


async def wait_for(url: str) -> None:
    """Wait until a server answers."""
    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url):
                    return
            await asyncio.sleep(0.1)
    raise SourceError(f"{url} does not answer")


async def run(arguments: argparse.Namespace, processes: Processes, folder: Path) -> None:
    server = arguments.database_url
    if server is None:
        found = servers.get(["postgres", "initdb"], say=say)
        server = launch.postgres(processes, found["postgres"], found["initdb"], folder / "postgres")
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        dsn = server.rsplit("/", 1)[0] + f"/{name}"
        try:
            await compare(arguments, processes, folder, dsn)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def compare(arguments: argparse.Namespace, processes: Processes, folder: Path, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        loaded = connection.execute("SELECT current_setting('timescaledb.license', true) IS NOT NULL").fetchone()
        if loaded == (True,):  # without the preloaded library, the statement ends the connection
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        connection.execute("CREATE TABLE ordinary (time bigint, series_id bigint, value double precision)")
    say(f"database: PostgreSQL, {'TimescaleDB ' + row[0] if row else 'native partitions'}")
    database = PostgresDatabase(dsn, SCHEMA)
    await database.start()
    await database.stop()

    say("\nreceiver alone, million samples a second and core (decompress, decode, split, COPY buffer)")
    for version, goal in (("1.0", GOAL_V1), ("2.0", GOAL_V2)):
        rate = receiver_alone(version, 60)
        say(f"  {version}: {rate:.2f}  (goal {goal}: {'reached' if rate >= goal else 'MISSED'})")
    say(f"  ordinary protobuf walk of 1.0: {ordinary_walk(10):.2f}")

    steps, connections = arguments.steps, arguments.connections
    start = int(time.time() * 1000) - steps * STEP_MS
    makers = [Bodies(number, start) for number in range(connections)]
    first = [[maker.v1(step) for step in range(steps)] for maker in makers]
    say(
        f"\nend to end: {connections} connections, {SERIES} samples a request, {steps * connections * SERIES:,} samples"
    )
    say("  million samples a second; CPU seconds per million samples of the receiver, of PostgreSQL")
    postgres = database_processes(dsn)
    results: dict[str, float] = {}

    def show(what: str, result: Result, database_cpu: float | None = None) -> None:
        results[what] = result.rate
        extra = f", {database_cpu:.2f}" if database_cpu is not None else ""
        say(f"  {what:<28} {result.rate:5.2f}   {result.cpu:.2f}{extra}")

    def start_child(child: str, command: list[Any]) -> psutil.Process:
        return psutil.Process(processes.start(child, command).process.pid)

    async def with_database(what: str, url: str, child: psutil.Process, bodies: list[list[bytes]], kind: str) -> None:
        before = cpu_of(postgres)
        result = await measure(url, bodies, [child], kind=kind)
        millions = sum(map(len, bodies)) * SERIES / 1e6
        show(what, result, (cpu_of(postgres) - before) / millions)

    for round_ in range(2):
        results[f"COPY {round_}"] = copy_alone(dsn, first)
        say(f"  {'binary COPY, one connection':<28} {results[f'COPY {round_}']:5.2f}")
        if round_:
            break
        port = processes.port(19749)
        environment = ["--web.listen-address", f"127.0.0.1:{port}", "--database.url", dsn]
        store = start_child("store", [sys.executable, "-m", "jelmon", "store", *environment])
        url = f"http://127.0.0.1:{port}"
        await wait_for(f"{url}/health")
        await with_database("jelmon store, 1.0", f"{url}/api/v1/write", store, first, V1_TYPE)
        later = [Bodies(number, start + 1) for number in range(connections)]
        second = [[maker.v2(step) for step in range(steps)] for maker in later]
        await with_database("jelmon store, 2.0 (late)", f"{url}/api/v1/write", store, second[:1], V2_TYPE)
        resent = await measure(f"{url}/api/v1/write", [queue[:12] for queue in first], [store])
        show("the same requests again", resent)
        with psycopg.connect(dsn) as connection:
            row = connection.execute(
                "SELECT count(*), count(DISTINCT (series_id, time)) FROM jelmore.samples s "
                "WHERE EXISTS (SELECT FROM jelmore.series WHERE series_id = s.series_id) AND time >= to_timestamp(%s)",
                (start / 1000,),
            ).fetchone()
            say(f"  stored rows, and distinct ones: {row}")
        await paced(f"{url}/api/v1/write", arguments.paced, connections, int(time.time() * 1000) + 1000)
        store.terminate()

    port = processes.port(19849)
    ordinary = start_child("ordinary", [sys.executable, "-c", ORDINARY, str(Path(__file__).parent), dsn, str(port)])
    await wait_for(f"http://127.0.0.1:{port}/")
    few = [queue[: max(3, steps // 10)] for queue in first]
    await with_database("ordinary Python, no key", f"http://127.0.0.1:{port}/api/v1/write", ordinary, few, V1_TYPE)
    ordinary.terminate()

    await others(processes, folder, first, show)
    ours = results["jelmon store, 1.0"]
    say("\nratios of jelmon store, 1.0")
    verdict("binary COPY", ours / statistics.mean([results["COPY 0"], results["COPY 1"]]), GOAL_COPY)
    for other, goal in (("Prometheus", GOAL_PROMETHEUS), ("VictoriaMetrics", GOAL_VICTORIA)):
        if other in results:
            verdict(other, ours / results[other], goal)
    verdict("ordinary Python, no key", ours / results["ordinary Python, no key"], None)


async def others(
    processes: Processes, folder: Path, bodies: list[list[bytes]], show: Callable[[str, Result], None]
) -> None:
    """Measure the receivers of others, where they can be had."""
    for what, program, flags, ready in (
        (
            "Prometheus",
            "prometheus",
            ["--web.enable-remote-write-receiver", "--storage.tsdb.path={folder}", "--web.listen-address={address}"],
            "/-/ready",
        ),
        (
            "VictoriaMetrics",
            "victoria-metrics",
            ["-storageDataPath={folder}", "-httpListenAddr={address}", "-retentionPeriod=1"],
            "/health",
        ),
    ):
        try:
            path = Path(os.environ.get(f"JELMON_BENCH_{what.upper()}") or servers.get([program], say=say)[program])
        except SourceError as error:
            say(f"  {what}: {error.message}")
            continue
        address = f"127.0.0.1:{processes.port(19890)}"
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": {}}), encoding="utf-8")
        command: list[str | Path] = [path, *(flag.format(folder=folder / what, address=address) for flag in flags)]
        if what == "Prometheus":
            command.append(f"--config.file={config}")
        child = processes.start(what, command, environ=servers.environment(path), folder=servers.working_folder(path))
        await wait_for(f"http://{address}{ready}")
        await asyncio.sleep(2)
        show(what, await measure(f"http://{address}/api/v1/write", bodies, [psutil.Process(child.process.pid)]))
        child.process.terminate()


async def paced(url: str, seconds: int, connections: int, start: int) -> None:
    """Send 100,000 samples a second and show how long responses take."""
    pace = connections * SERIES / 100_000
    count = max(2, round(seconds / pace))
    makers = [Bodies(number, start - (count + 5) * 10) for number in range(connections)]
    bodies = []
    for maker in makers:
        queue = []
        for step in range(count):
            maker._start = start - (count + 5 - step) * 10 - step * STEP_MS  # ten milliseconds apart
            queue.append(maker.v1(step))
        bodies.append(queue)
    times = sorted(await send(url, bodies, pace=pace))
    p50, p99 = (1000 * times[int(len(times) * share)] for share in (0.5, 0.99))
    state = "reached" if p99 <= GOAL_P99 else "MISSED"
    say(f"  paced at 100,000 samples/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms (goal {GOAL_P99:g}: {state})")


def verdict(what: str, ratio: float, goal: float | None) -> None:
    state = "" if goal is None else f"  (goal {goal}: {'reached' if ratio >= goal else 'MISSED'})"
    say(f"  {ratio:5.2f} of {what}{state}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database.url", dest="database_url", help="a server; a database is made in it and dropped")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--paced", type=int, default=10, help="seconds of the paced run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jelmon-bench-") as name, Processes(Path(name) / "logs") as processes:
        Path(name).chmod(0o711)
        asyncio.run(run(arguments, processes, Path(name)))


if __name__ == "__main__":
    main()
