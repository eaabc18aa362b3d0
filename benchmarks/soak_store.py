"""Memory of the store under lasting load: RSS every ten seconds, and the bytes of an active series.

Series are sent round after round, one sample each, over four connections; now and then some of them are replaced by
new ones, as pods are. The first figures are before any series is known and after all of them are.

    python benchmarks/soak_store.py --database.url postgresql://... [--series 100000] [--minutes 60] [--seconds 5]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil

from jelmon.database.postgres import PostgresDatabase
from jelmon.demo.processes import Processes
from jelmon_store.schema import SCHEMA
from support import store_peers as peers
from support.store_bodies import SERIES, Bodies
from support.store_load import V1_TYPE, V2_TYPE, send

_CONNECTIONS = 4
_REPORT_SECONDS = 10.0


async def soak(arguments: argparse.Namespace, processes: Processes) -> None:
    dsn = arguments.database_url
    tables = PostgresDatabase(dsn, SCHEMA)
    await tables.start()
    await tables.stop()
    server = await peers.store(processes, dsn).ready()
    makers = [Bodies(number, drift=137) for number in range(max(1, arguments.series // SERIES))]
    newest = len(makers)
    before = _rss(server.process)
    await _round(server.url, makers, arguments.protocol)
    known = _rss(server.process)
    print(f"{before:.1f} MB without series, {known:.1f} MB with {len(makers) * SERIES:,}: ", end="")
    print(f"{(known - before) * 1e6 / (len(makers) * SERIES):.0f} bytes a series", flush=True)
    end, reported, rounds = time.monotonic() + 60 * arguments.minutes, 0.0, 1
    figures = []
    while (now := time.monotonic()) < end:
        await _round(server.url, makers, arguments.protocol)
        rounds += 1
        if arguments.churn and rounds % arguments.churn == 0:
            makers[rounds // arguments.churn % len(makers)] = Bodies(newest, drift=137)
            newest += 1
        if time.monotonic() - reported >= _REPORT_SECONDS:
            reported = time.monotonic()
            figures.append(_rss(server.process))
            print(
                f"{60 * arguments.minutes - (end - reported):6.0f} s  {figures[-1]:.1f} MB  round {rounds}", flush=True
            )
        await asyncio.sleep(max(0.0, now + arguments.seconds - time.monotonic()))
    third = max(1, len(figures) // 3)
    print(
        f"mean of the first third {sum(figures[:third]) / third:.1f} MB, "
        f"of the last {sum(figures[-third:]) / third:.1f} MB; {newest * SERIES:,} series in all"
    )


async def _round(url: str, makers: list[Bodies], protocol: str) -> None:
    moment = int(time.time() * 1000)
    for first in range(0, len(makers), _CONNECTIONS):
        some = makers[first : first + _CONNECTIONS]
        bodies = [[maker.v1(moment) if protocol == "1.0" else maker.v2(moment)] for maker in some]
        await send(url, bodies, kind=V1_TYPE if protocol == "1.0" else V2_TYPE)


def _rss(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database.url", dest="database_url", required=True, help="an empty database")
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=5, help="between the begins of two rounds")
    parser.add_argument("--churn", type=int, default=10, help="rounds until 2,000 series are replaced; 0: never")
    parser.add_argument("--protocol", choices=["1.0", "2.0"], default="1.0")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jelmon-soak-") as name, Processes(Path(name)) as processes:
        asyncio.run(soak(arguments, processes))


if __name__ == "__main__":
    main()
