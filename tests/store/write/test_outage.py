"""A real Prometheus writes while the database is killed and comes back."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
from tests.store.conftest import StartStore
from tests.store.write.sender import stored
from tests.store.write.test_prometheus import configuration, eventually, query

from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes


async def test_a_database_that_is_killed_and_comes_back(
    start_store: StartStore, tool: Callable[[str], Path], server_folder: Path, tmp_path: Path
) -> None:
    """Everything that Prometheus scraped is there at the end, and nothing twice, through two stores."""
    with Processes(server_folder / "outage-logs") as processes:
        port = processes.port(15532)
        folder = server_folder / "outage-postgres"

        def start_database() -> str:
            return launch.postgres(processes, tool("postgres"), tool("initdb"), folder, port=port)

        dsn = await asyncio.to_thread(start_database)
        stores = [
            await start_store(dsn, listen=ListenAddress("127.0.0.1", processes.port(19790 + 20 * number)))
            for number in range(2)
        ]
        scraped = processes.port(19390)
        config = tmp_path / "prometheus.yml"
        # the same samples through both stores, so that each sees what the other has written
        urls = {f"{store.server.url}/api/v1/write": "" for store in stores}
        config.write_text(configuration(scraped, urls), encoding="utf-8")
        url = await asyncio.to_thread(
            launch.prometheus, processes, tool("prometheus"), tmp_path / "data", config, port=scraped
        )
        for round_ in (1, 2):
            count = 3 * round_
            await eventually(lambda count=count: len(stored(dsn, "up")) >= count, "scrapes are stored")  # type: ignore[misc]
            processes.signal("postgres", signal.SIGKILL)
            await eventually(lambda count=round_: len(processes.dead()) == count, "the database is dead")  # type: ignore[misc]
            await asyncio.sleep(1.5)  # scrapes while there is no database
            await asyncio.to_thread(start_database)
            await eventually(lambda: _responds(dsn), "the database has recovered")
        expected = await asyncio.to_thread(_scraped, url)
        await eventually(lambda: expected <= set(_rows(dsn)), "all that was scraped is stored")
        rows = _rows(dsn)

        assert len(expected) > 1000
        assert len(rows) == len(set(rows))


_Row = tuple[tuple[tuple[str, str], ...], int]


def _scraped(url: str) -> set[_Row]:
    """What Prometheus has itself."""
    return {
        (tuple(sorted(series["metric"].items())), round(float(moment) * 1000))
        for series in query(url, '{__name__=~".+"}[1h]')
        for moment, _ in series["values"]
    }


def _rows(dsn: str) -> list[_Row]:
    return [(tuple(sorted(labels.items())), moment) for labels, moment, _ in stored(dsn)]


def _responds(dsn: str) -> bool:
    try:
        return bool(stored(dsn, "up"))
    except psycopg.OperationalError:
        return False
