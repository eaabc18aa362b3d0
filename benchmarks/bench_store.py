"""Remote write into the store, beside binary COPY, Prometheus' own receiver, VictoriaMetrics and ordinary Python.

Every receiver is a process of its own and gets the same bodies over the same number of connections: 2,000 samples a
request, one for each series, answered before the next request of that connection. All take turns in several rounds;
the ratios are those of the best rounds, and the medians of the ratios of each round. CPU seconds of each server are
printed too: on a machine that is busy otherwise they say more than the time.

    python benchmarks/bench_store.py [--database.url postgresql://...] [--rounds 3] [--steps 34] [--connections 8]
                                     [--paced 10] [--drift 137]

Without --database.url a PostgreSQL is started in the folder for temporary files: TMPDIR=/dev/shm leaves the disk out.
With one, a database is made beside it and dropped; where the server loads TimescaleDB, the database uses it.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

from jelmon.database.postgres import PostgresDatabase
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError
from jelmon_store.schema import SCHEMA
from support import store_peers as peers
from support.store_alone import ordinary_walk, receiver_alone
from support.store_bodies import SERIES, STEP_MS, Bodies
from support.store_load import V1_TYPE, V2_TYPE, measure, paced

GOALS = {"binary COPY": 0.60, "Prometheus": 1.5, "VictoriaMetrics": 0.35}
GOAL_P99 = 20.0  # milliseconds
GOAL_ALONE = {"1.0": 1.5, "2.0": 0.9}  # million samples a second and core
OURS, OURS_V2, COPY, ORDINARY = "jelmon store, 1.0", "jelmon store, 2.0", "binary COPY", "ordinary Python, no key"


def say(text: str = "") -> None:
    print(text, flush=True)


def verdict(value: float, goal: float | None, *, below: bool = False) -> str:
    if goal is None:
        return ""
    return f"(goal {goal:g}: {'reached' if (value <= goal if below else value >= goal) else 'MISSED'})"


def alone(drift: int) -> None:
    """The receiver without HTTP and database."""
    say("receiver alone, million samples a second and core (decompress, decode, split, COPY buffer)")
    for version, goal in GOAL_ALONE.items():
        for what, shift in (("requests cut at the same series", 0), (f"each {drift} series later", drift)):
            rate = receiver_alone(version, drift=shift)
            say(f"  {version}, {what}: {rate:.2f}  {verdict(rate, goal)}")
    say(f"  ordinary protobuf walk of 1.0: {ordinary_walk():.2f}")


@contextlib.contextmanager
def database(url: str | None, processes: Processes, folder: Path) -> Iterator[str]:
    """Make a database with the tables of the store."""
    if url is None:
        found = servers.get(["postgres", "initdb"], say=say)
        url = launch.postgres(processes, found["postgres"], found["initdb"], folder / "postgres")
    name = f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        dsn = url.rsplit("/", 1)[0] + f"/{name}"
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                say(f"\ndatabase: PostgreSQL, {_extend(connection)}")
            yield dsn
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _extend(connection: psycopg.Connection) -> str:
    """Use TimescaleDB if the server loads it: otherwise CREATE EXTENSION ends the connection."""
    row = connection.execute("SELECT current_setting('timescaledb.disable_load', true)").fetchone()
    if row is None or not row[0]:
        return "native partitions"
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return f"TimescaleDB {row[0] if row else ''}"


async def start_all(processes: Processes, folder: Path, dsn: str) -> dict[str, peers.Server]:
    """Start every receiver that can be had; return them by name."""
    tables = PostgresDatabase(dsn, SCHEMA)
    await tables.start()
    await tables.stop()
    running = {OURS: await peers.store(processes, dsn).ready()}
    running[OURS_V2] = running[OURS]
    for what in ("Prometheus", "VictoriaMetrics"):
        try:
            running[what] = await peers.other(processes, folder, what).ready()
        except SourceError as error:
            say(f"  {what}: {error.message}")
    running[ORDINARY] = await peers.ordinary(processes, dsn).ready()
    await asyncio.sleep(2)  # all are up and their answers to the first requests are not measured
    return running


async def compare(arguments: argparse.Namespace, processes: Processes, folder: Path, dsn: str) -> None:
    """Everything end to end."""
    running = await start_all(processes, folder, dsn)
    postgres = peers.database_process(dsn)
    connections, steps = arguments.connections, arguments.steps
    makers = [Bodies(number, drift=arguments.drift) for number in range(connections)]
    makers_v2 = [Bodies(number + connections, drift=arguments.drift) for number in range(connections)]
    moment = int(time.time() * 1000) - (arguments.rounds * (steps + 1) + 1) * STEP_MS
    rates: dict[str, list[float]] = {name: [] for name in (COPY, *running)}
    say(
        f"end to end: {connections} connections, {SERIES} samples a request, {steps * connections * SERIES:,} samples "
        f"a round\n  million samples a second; CPU seconds per million of the server, of PostgreSQL; load of 1 minute"
    )
    for number in range(arguments.rounds):
        times = [moment + (number * (steps + 1) + step) * STEP_MS for step in range(steps + 1)]
        rates[COPY].append(peers.copy(dsn, steps * connections * SERIES, times[0]))
        say(f"  {COPY:<28} {rates[COPY][-1]:5.2f}")
        bodies = [[maker.v1(at) for at in times] for maker in makers]
        for name, server in running.items():
            sent, kind = bodies, V1_TYPE
            if name == OURS_V2:
                sent, kind = [[maker.v2(at) for at in times] for maker in makers_v2], V2_TYPE
            elif name == ORDINARY:
                sent = [queue[: max(2, steps // 8)] for queue in bodies]
            await measure(server.url, [queue[:1] for queue in sent], server.process, None, kind)  # makes the series
            result = await measure(server.url, [queue[1:] for queue in sent], server.process, postgres, kind)
            rates[name].append(result.rate)
            in_database = "" if name in GOALS else f", {result.database_cpu:.2f}"
            say(f"  {name:<28} {result.rate:5.2f}   {result.cpu:.2f}{in_database}   {os.getloadavg()[0]:.0f}")
    resent = await measure(running[OURS].url, [queue[-6:] for queue in bodies], running[OURS].process, postgres)
    say(f"  {'requests of 1.0 again':<28} {resent.rate:5.2f}   {resent.cpu:.2f}, {resent.database_cpu:.2f}")
    say_stored(dsn)
    await say_paced(running, makers, arguments.paced)
    say_ratios(rates)


def say_ratios(rates: dict[str, list[float]]) -> None:
    say(f"\nratios of {OURS}: of the best rounds; median of the rounds")
    for name, others in rates.items():
        if name not in (OURS, OURS_V2):
            best = max(rates[OURS]) / max(others)
            middle = statistics.median(ours / theirs for ours, theirs in zip(rates[OURS], others, strict=True))
            say(f"  {best:5.2f}; {middle:5.2f} of {name}  {verdict(best, GOALS.get(name))}")


def say_stored(dsn: str) -> None:
    """Show that nothing is stored twice."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT (series_id, time)) FROM jelmore.samples WHERE series_id > 0"
        ).fetchone()
        say(f"  stored rows, and distinct ones: {row}")


async def say_paced(running: dict[str, peers.Server], makers: list[Bodies], seconds: int) -> None:
    say("paced at 100,000 samples a second: milliseconds of the median response, and of the 99th percentile")
    for name in (OURS, "Prometheus", "VictoriaMetrics"):
        if name in running:
            middle, p99 = await paced(running[name].url, makers, int(time.time() * 1000), seconds)
            say(f"  {name:<28} {middle:.1f}, {p99:.1f}  {verdict(p99, GOAL_P99, below=True) if name == OURS else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database.url", dest="database_url", help="a server; a database is made in it and dropped")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=34, help="requests of a connection in a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--paced", type=int, default=10, help="seconds of the paced run")
    parser.add_argument("--drift", type=int, default=137, help="series by which each request begins later")
    arguments = parser.parse_args()
    alone(arguments.drift)
    with tempfile.TemporaryDirectory(prefix="jelmon-bench-") as name, Processes(Path(name) / "logs") as processes:
        Path(name).chmod(0o711)
        with database(arguments.database_url, processes, Path(name)) as dsn:
            asyncio.run(compare(arguments, processes, Path(name), dsn))


if __name__ == "__main__":
    main()
