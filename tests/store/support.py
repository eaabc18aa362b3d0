"""Loads the test series: into our tables by SQL, into a Prometheus by remote write."""

import asyncio
import hashlib
import struct
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import cramjam
import psycopg
from psycopg.types.json import Jsonb
from tests.store.data import TestSeries

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.database.postgres import PostgresDatabase
from jelmon.service.registry import Instruments
from jelmon.service.web import Server
from jelmon_store.read.api import ReadApi
from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.read.settings import ReadSettings
from jelmon_store.schema import SCHEMA

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(milliseconds: int) -> datetime:
    """The time of a sample."""
    return EPOCH + timedelta(milliseconds=milliseconds)


async def migrate(dsn: str) -> None:
    """Make the tables."""
    database = PostgresDatabase(dsn, SCHEMA)
    await database.start()
    await database.stop()


def load(dsn: str, series: Iterable[TestSeries], *, tenant: str = "", table: str = "samples") -> None:
    """Insert series and their samples, values bit by bit."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        ids = {}
        for one in series:
            ids[one.key] = insert_series(connection, one.labels, tenant=tenant)
        for name, times in (
            (table, {time for one in series for time, _ in one.samples}),
            ("histograms", {time for one in series for time, _ in one.histograms}),
        ):
            connection.execute("SELECT jelmore.ensure_partitions(%s, %s)", (name, [at(time) for time in times]))
        copy_samples(connection, [(time, ids[one.key], value) for one in series for time, value in one.samples], table)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO jelmore.histograms VALUES (%s, %s, %s)",
                [(at(time), ids[one.key], message) for one in series for time, message in one.histograms],
            )


def insert_series(connection: psycopg.Connection[Any], labels: dict[str, str], *, tenant: str = "") -> int:
    """Insert a series; return its id."""
    name = labels["__name__"]
    connection.execute("INSERT INTO jelmore.metrics (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    rest = {key: value for key, value in labels.items() if key != "__name__"}
    row = connection.execute(
        "INSERT INTO jelmore.series (tenant, metric_id, labels, fingerprint) "
        "SELECT %s, metric_id, %s, %s FROM jelmore.metrics WHERE name = %s RETURNING series_id",
        (tenant, Jsonb(rest), hashlib.md5(repr(sorted(labels.items())).encode()).digest(), name),
    ).fetchone()
    assert row is not None
    return int(row[0])


def copy_samples(
    connection: psycopg.Connection[Any], rows: Sequence[tuple[int, int, int]], table: str = "samples"
) -> None:
    """Copy rows of milliseconds, series id and the bits of the value: a stale marker does not survive as a float."""
    parts = [b"PGCOPY\n\xff\r\n\x00" + bytes(8)]
    for time, series_id, value in rows:
        micros = time * 1000 - 946_684_800_000_000
        parts.append(struct.pack(">hiqiqiQ", 3, 8, micros, 8, series_id, 8, value))
    parts.append(b"\xff\xff")
    with connection.cursor().copy(f"COPY jelmore.{table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"".join(parts))


def remote_write(url: str, series: Sequence[TestSeries]) -> None:
    """Send everything to a Prometheus, in order of time: it refuses what is older than an hour."""
    first = min(one.samples[0][0] if one.samples else one.histograms[0][0] for one in series)
    last = max((one.samples or one.histograms)[-1][0] for one in series)
    width = 10 * 60_000
    for low in range(first - first % width, last + 1, width):
        body = b"".join(_timeseries(one, low, low + width) for one in series)
        request = urllib.request.Request(
            f"{url}/api/v1/write",
            data=bytes(cramjam.snappy.compress_raw(body)),
            headers={
                "Content-Encoding": "snappy",
                "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        urllib.request.urlopen(request, timeout=30).close()


def _timeseries(series: TestSeries, low: int, high: int) -> bytes:
    labels = b"".join(
        bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, value.encode())) for name, value in series.key
    )
    samples = b"".join(
        bytes_field(2, encode_varint(1 << 3 | 1) + struct.pack("<Q", value) + varint_field(2, time))
        for time, value in series.samples
        if low <= time < high
    )
    histograms = b"".join(bytes_field(4, message) for time, message in series.histograms if low <= time < high)
    return bytes_field(1, labels + samples + histograms) if samples or histograms else b""


@asynccontextmanager
async def serve(dsn: str, **settings: Any) -> AsyncIterator[str]:
    """Serve remote read; yields the URL."""
    api = ReadApi(dsn, ReadSettings(**settings), Instruments(Service.STORE))
    server = Server("store", checks=dict, max_body=32 << 20)
    server.app.add_routes(api.routes())
    await server.start(ListenAddress("127.0.0.1", 0))
    try:
        yield f"{server.url}/api/v1/read"
    finally:
        await server.stop()
        await api.stop()


async def fetch(url: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """POST a body from a thread; return status, headers and body."""

    def post() -> tuple[int, dict[str, str], bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=60) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(post)
