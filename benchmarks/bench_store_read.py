"""How fast the store answers, and what a sample takes on disk.

A remote read of a million samples; 24 hours by 5 minutes, from a rollup and raw; bytes a sample of a day of counters,
buckets of histograms and gauges as services have them, beside the chunks of Prometheus.

Beside ours, on the same data in the same run, the ordinary way to answer remote read: a cursor over rows, sorted by
PostgreSQL, and protobuf written sample by sample.

    python benchmarks/bench_store_read.py [--dsn postgresql://user@host:5432/postgres] [--series 1000] [--repeat 5]

Without --dsn a PostgreSQL is started. With one, the benchmark makes a database beside it and drops it; where the server
loads TimescaleDB, the database uses it.
"""

import argparse
import asyncio
import contextlib
import functools
import hashlib
import http.client
import statistics
import struct
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cramjam
import numpy as np
import psutil
import psycopg
from psycopg.types.json import Jsonb

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.database.postgres import PostgresDatabase
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.service.registry import Instruments
from jelmon.service.web import Server
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.partitions import flavour
from jelmon_store.maintenance.settings import RetentionSettings
from jelmon_store.read.api import ReadApi
from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.read.settings import ReadSettings
from jelmon_store.read.xor import encode_chunks
from jelmon_store.schema import SCHEMA

GOAL_SAMPLES, GOAL_TIMES, GOAL_BYTES = 1_000_000, 10.0, 4.0  # samples a second; rollup against raw; a sample on disk
STEP = timedelta(seconds=15)
HOURS = 24
NOW = datetime(2026, 5, 21, 0, 15, tzinfo=UTC)
START = datetime(2026, 5, 20, tzinfo=UTC)
WANTED = 1_000_000
_ROW = np.dtype(
    [("n", ">i2"), ("t_size", ">i4"), ("t", ">i8"), ("s_size", ">i4"), ("s", ">i8"), ("v_size", ">i4"), ("v", ">f8")]
)
_EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def database(dsn: str | None) -> Iterator[str]:
    """Yield the DSN of an empty database."""
    with contextlib.ExitStack() as stack:
        if dsn is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o711)
            processes = stack.enter_context(Processes(folder / "logs"))
            found = servers.get(["postgres", "initdb"], say=print)
            dsn = launch.postgres(processes, found["postgres"], found["initdb"], folder / "postgres")
        name = f"bench_{uuid.uuid4().hex}"
        own = dsn.rsplit("/", 1)[0] + f"/{name}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            with psycopg.connect(own, autocommit=True) as inside:
                loaded = inside.execute("SELECT current_setting('timescaledb.disable_load', true)").fetchone()
                if loaded is not None and loaded[0]:  # otherwise the statement ends the connection
                    inside.execute("CREATE EXTENSION timescaledb")
            try:
                yield own
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def load(dsn: str, count: int) -> None:
    """Store 24 hours of counters and gauges in ten metrics, then maintain."""
    asyncio.run(migrate(dsn))
    steps = HOURS * 3600 // int(STEP.total_seconds())
    values = service_values(count, steps).T.copy()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for index in range(10):
            connection.execute("INSERT INTO jelmore.metrics (name) VALUES (%s)", (f"metric_{index}_total",))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO jelmore.series (metric_id, labels, fingerprint) VALUES (%s, %s, %s)",
                [
                    (1 + index % 10, Jsonb(_labels(index)), hashlib.md5(str(index).encode()).digest())
                    for index in range(count)
                ],
            )
        times = [START + timedelta(hours=hour) for hour in range(HOURS)]
        connection.execute("SELECT jelmore.ensure_partitions('samples', %s)", (times,))
        rows = np.empty(count, _ROW)
        rows["n"], rows["s"] = 3, np.arange(1, count + 1)
        rows["t_size"] = rows["s_size"] = rows["v_size"] = 8
        with connection.cursor().copy("COPY jelmore.samples FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
            for step in range(steps):
                rows["t"] = (START + STEP * step - _EPOCH_2000) // timedelta(microseconds=1)
                rows["v"] = values[step]
                copy.write(rows.tobytes())
            copy.write(b"\xff\xff")
    assert Maintenance(dsn, RetentionSettings(), clock=lambda: NOW).run_once()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE jelmore.samples")
        connection.execute("ANALYZE")


def service_values(count: int, steps: int) -> "np.typing.NDArray[np.float64]":
    """Return values of series, one a row, in the mix that a service exposes."""
    rng = np.random.default_rng(11)
    values = np.empty((count, steps))
    for row in range(count):
        kind = row % 20
        if kind < 6:  # counters, idle and busy
            values[row] = rng.integers(0, 10**6) + np.cumsum(rng.poisson(10 ** rng.uniform(-2, 2), steps))
        elif kind < 10:  # buckets of histograms
            values[row] = np.cumsum(rng.poisson(10 ** rng.uniform(-3, 1.5), steps))
        elif kind < 12:  # seconds of work
            values[row] = np.round(rng.uniform(0, 1e5) + np.cumsum(rng.gamma(2, 0.5, steps)), 2)
        elif kind < 14:  # bytes of memory, by pages
            pages = rng.integers(-50, 51, steps) * (rng.random(steps) < 0.3)
            values[row] = 4096.0 * np.maximum(1, rng.integers(10**4, 10**6) + np.cumsum(pages))
        elif kind < 16:  # lengths of queues
            values[row] = np.maximum(0, np.cumsum(rng.integers(-1, 2, steps)))
        elif kind == 16:  # ratios
            values[row] = np.round(rng.beta(5, 2, steps), 3)
        elif kind == 17:  # temperatures
            values[row] = np.round(50 + np.cumsum(rng.normal(0, 0.1, steps)), 1)
        else:  # up, and the time of a start
            values[row] = (1.0, 1_767_225_600.0)[kind - 18]
    return values


def _labels(index: int) -> dict[str, str]:
    return {
        "job": f"job-{index % 3}",
        "instance": f"host-{index // 10}:9100",
        "pipeline": f"pipeline-{index % 7}",
        "stage": "build",
        "region": "north",
    }


async def migrate(dsn: str) -> None:
    """Make the tables."""
    tables = PostgresDatabase(dsn, SCHEMA)
    await tables.start()
    await tables.stop()


def request(series: int, *, streamed: bool) -> bytes:
    """Ask for all samples of the first series of all metrics."""
    pattern = "|".join(f"host-{index}:9100" for index in range(-(-series // 10)))
    matcher = bytes_field(3, varint_field(1, 2) + bytes_field(2, b"instance") + bytes_field(3, pattern.encode()))
    start, end = (round(time.timestamp() * 1000) for time in (START, START + timedelta(hours=HOURS)))
    query = bytes_field(1, varint_field(1, start) + varint_field(2, end) + matcher)
    return bytes(cramjam.snappy.compress_raw(query + varint_field(2, 1 if streamed else 0)))


def post(url: str, body: bytes) -> int:
    """Send a request; return the size of the answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    connection.request("POST", "/api/v1/read", body)
    response = connection.getresponse()
    answer = response.read()
    assert response.status == 200, answer
    connection.close()
    return len(answer)


def ordinary(dsn: str, series: int) -> int:
    """Answer as one would without further thought."""
    with psycopg.connect(dsn) as connection:
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT series_id FROM jelmore.series WHERE labels ->> 'instance' ~ %s",
                ("^(" + "|".join(f"host-{index}:9100" for index in range(-(-series // 10))) + ")$",),
            )
        ]
        rows = connection.execute(
            "SELECT series_id, time, value FROM jelmore.samples WHERE series_id = ANY (%s) AND time BETWEEN %s AND %s "
            "ORDER BY 1, 2",
            (ids, START, START + timedelta(hours=HOURS)),
        )
        messages: dict[int, bytearray] = {}
        for series_id, at, value in rows:
            sample = b"\x09" + struct.pack("<d", value) + b"\x10" + encode_varint(round(at.timestamp() * 1000))
            messages.setdefault(series_id, bytearray()).extend(bytes_field(2, sample))
        return len(
            cramjam.snappy.compress_raw(b"".join(bytes_field(1, bytes(message)) for message in messages.values()))
        )


def timed(work: Callable[[], Any], repeat: int) -> float:
    """Return the median of the seconds that work takes."""
    work()
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def backend_seconds(dsn: str) -> float:
    """Return the CPU time of the backends that read; 0 if PostgreSQL is on another machine."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'jelmon-store-read'")
        total = 0.0
        for (pid,) in rows:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system
        return total


async def remote_read(dsn: str, count: int, repeat: int) -> None:
    """Print how many samples a second are answered."""
    series = min(count, round(WANTED / (HOURS * 240) / 10) * 10)
    samples = series * HOURS * 240
    api = ReadApi(dsn, ReadSettings(), Instruments(Service.STORE))
    server = Server("store", checks=dict)
    server.app.add_routes(api.routes())
    await server.start(ListenAddress("127.0.0.1", 0))
    try:
        for name, streamed in (("samples", False), ("streamed chunks", True)):
            body = request(series, streamed=streamed)
            size = await asyncio.to_thread(post, server.url, body)
            seconds = await asyncio.to_thread(timed, functools.partial(post, server.url, body), repeat)
            before, own = backend_seconds(dsn), time.process_time()
            await asyncio.to_thread(post, server.url, body)
            cpu, database_cpu = time.process_time() - own, backend_seconds(dsn) - before
            rate = samples / seconds
            print(
                f"remote read, {name:<16} {samples:>9} samples in {seconds * 1000:6.0f} ms: {rate / 1e6:5.2f} M/s, "
                f"{size / samples:.1f} bytes a sample  (goal {GOAL_SAMPLES / 1e6:.0f} M/s: "
                f"{'reached' if rate >= GOAL_SAMPLES else 'missed'})\n"
                f"    CPU a million samples: {cpu / samples * 1e6:.2f} s here (client included), "
                f"{database_cpu / samples * 1e6:.2f} s in PostgreSQL"
            )
        seconds = await asyncio.to_thread(timed, lambda: ordinary(dsn, series), 1)
        rate = samples / seconds
        print(
            f"remote read, {'ordinary way':<16} {samples:>9} samples in {seconds * 1000:6.0f} ms: {rate / 1e6:5.2f} M/s"
        )
    finally:
        await server.stop()
        await api.stop()


def rollups(dsn: str, repeat: int) -> None:
    """Print how long 24 hours by 5 minutes of 100 series take, raw and from the rollup."""
    with psycopg.connect(dsn) as connection:
        ids = [
            row[0] for row in connection.execute("SELECT series_id FROM jelmore.series WHERE metric_id = 1 LIMIT 100")
        ]
        where = f"series_id = ANY ('{{{','.join(map(str, ids))}}}'::bigint[]) AND time >= '{START}' AND time < '{NOW}'"
        raw = (
            "SELECT series_id, date_bin('5 minutes', time, '2000-01-01 00:00Z') AS time, min(value), max(value), "
            f"avg(value), count(*) FROM jelmore.samples WHERE {where} GROUP BY 1, 2"
        )
        rolled = f"SELECT series_id, time, min, max, sum / count AS avg, count FROM jelmore.samples_5m WHERE {where}"
        assert sorted(row[:2] for row in connection.execute(raw)) == sorted(
            row[:2] for row in connection.execute(rolled)
        )

        def run(query: str) -> Callable[[], Any]:
            # every column is read, but no row is sent
            figures = "count(time), sum(min), sum(max), sum(avg), sum(count)"
            return lambda: connection.execute(f"SELECT {figures} FROM ({query}) q").fetchall()

        raw_seconds, rolled_seconds = timed(run(raw), repeat), timed(run(rolled), repeat)
    times = raw_seconds / rolled_seconds
    print(
        f"24 h by 5 min, {len(ids)} series: raw {raw_seconds * 1000:.1f} ms, rollup {rolled_seconds * 1000:.1f} ms, "
        f"{times:.0f} times as fast  (goal {GOAL_TIMES:.0f}: {'reached' if times >= GOAL_TIMES else 'missed'})"
    )


def disk(dsn: str, count: int) -> None:
    """Print the bytes of a sample on disk, indexes included, and what they are in chunks of Prometheus."""
    steps = HOURS * 3600 // int(STEP.total_seconds())
    with psycopg.connect(dsn) as connection:
        kind = flavour(connection)
        size = (
            "sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'jelmore.samples'::regclass"
            if kind == "postgresql"
            else "total_bytes FROM hypertable_detailed_size('jelmore.samples')"
        )
        row = connection.execute(f"SELECT {size}").fetchone()
        assert row is not None
        ours = float(row[0]) / (count * steps)
    some = min(count, 200)
    times = np.tile(round(START.timestamp() * 1000) + 15_000 * np.arange(steps), some)
    bits = service_values(count, steps)[:some].ravel().view(np.uint64)
    chunks = encode_chunks(times, bits, np.arange(1, some + 1) * steps)
    theirs = sum(len(chunk) for own in chunks for chunk in own) / (some * steps)
    print(
        f"on disk: {ours:.2f} bytes a sample with indexes  (goal {GOAL_BYTES}: "
        f"{'reached' if ours <= GOAL_BYTES else 'missed'}); chunks of Prometheus, without its index: {theirs:.2f}"
    )


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn")
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with database(args.dsn) as dsn:
        begin = time.perf_counter()
        load(dsn, args.series)
        with psycopg.connect(dsn) as connection:
            rows = args.series * HOURS * 240
            print(f"{flavour(connection)}: {rows} rows loaded and maintained in {time.perf_counter() - begin:.0f} s")
        asyncio.run(remote_read(dsn, args.series, args.repeat))
        rollups(dsn, args.repeat)
        disk(dsn, args.series)


if __name__ == "__main__":
    main()
