"""What the store is measured beside: COPY, an ordinary receiver in Python, Prometheus and VictoriaMetrics."""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
import psycopg

from jelmon.demo import servers
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError
from jelmon_store.write.rows import sample_rows

COPY_ROWS = 50_000  # of a transaction
_ORDINARY = """
import sys, asyncio
sys.path.insert(0, sys.argv[1])
from aiohttp import web
import psycopg
from support.store_alone import walk
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
_FLAGS = {
    "Prometheus": (
        "prometheus",
        ["--web.enable-remote-write-receiver", "--storage.tsdb.path={folder}", "--web.listen-address={address}"],
    ),
    "VictoriaMetrics": (
        "victoria-metrics",
        ["-storageDataPath={folder}", "-httpListenAddr={address}", "-retentionPeriod=1"],
    ),
}


class Server:
    """A receiver as a process of its own."""

    def __init__(self, processes: Processes, name: str, command: list[Any], address: str, **options: Any) -> None:
        self.url = f"http://{address}/api/v1/write"
        self.process = psutil.Process(processes.start(name, command, **options).process.pid)
        self._root = f"http://{address}/"

    async def ready(self) -> "Server":
        """Wait until it answers."""
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self._root):
                        return self
                await asyncio.sleep(0.1)
        raise SourceError(f"{self._root} does not answer")


def store(processes: Processes, dsn: str) -> Server:
    """Start `jelmon store`."""
    address = f"127.0.0.1:{processes.port(19749)}"
    command = [sys.executable, "-m", "jelmon", "store", "--web.listen-address", address, "--database.url", dsn]
    return Server(processes, "store", command, address)


def ordinary(processes: Processes, dsn: str) -> Server:
    """Start an ordinary receiver, which knows nothing of repeated samples."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE ordinary (time bigint, series_id bigint, value double precision)")
    port = processes.port(19849)
    command = [sys.executable, "-c", _ORDINARY, str(Path(__file__).parents[1]), dsn, str(port)]
    return Server(processes, "ordinary", command, f"127.0.0.1:{port}")


def other(processes: Processes, folder: Path, what: str) -> Server:
    """Start Prometheus or VictoriaMetrics; ``JELMON_BENCH_PROMETHEUS`` and so on name other programs.

    Raises:
        SourceError: it is not installed and cannot be fetched.
    """
    program, flags = _FLAGS[what]
    path = Path(os.environ.get(f"JELMON_BENCH_{what.upper()}") or servers.get([program], say=print)[program])
    address = f"127.0.0.1:{processes.port(19890)}"
    command: list[str | Path] = [path, *(flag.format(folder=folder / what, address=address) for flag in flags)]
    if what == "Prometheus":
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": {}}), encoding="utf-8")
        command.append(f"--config.file={config}")
    return Server(
        processes, what, command, address, environ=servers.environment(path), folder=servers.working_folder(path)
    )


def copy(dsn: str, rows: int, start: int) -> float:
    """Million rows a second of binary COPY into the table of samples, over one connection."""
    ids = np.arange(-COPY_ROWS, 0, dtype=np.int64)  # no series of others
    count = max(1, rows // COPY_ROWS)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT jelmore.ensure_partitions('samples', ARRAY[to_timestamp(%s)])", (start / 1000,))
        connection.commit()
        begun = time.perf_counter()
        for number in range(count):
            times = np.full(COPY_ROWS, start + number * 10, np.int64)
            data = sample_rows(ids, times, np.random.random(COPY_ROWS).view(np.uint64))
            with connection.cursor().copy(
                "COPY jelmore.samples (time, series_id, value) FROM STDIN (FORMAT binary)"
            ) as target:
                target.write(data)
            connection.commit()
        return count * COPY_ROWS / (time.perf_counter() - begun) / 1e6


def database_process(dsn: str) -> psutil.Process | None:
    """The main process of the database server, if it is on this machine."""
    port = str(psycopg.conninfo.conninfo_to_dict(dsn).get("port", 5432))
    for connection in psutil.net_connections("tcp"):
        address: Any = connection.laddr
        if connection.status == psutil.CONN_LISTEN and connection.pid and str(address.port) == port:
            return psutil.Process(connection.pid)
    return None
