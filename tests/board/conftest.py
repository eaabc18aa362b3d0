"""A board, the services that it reads, and a browser."""

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.board.browser import Tab, chromium

from jelmon.config.settings import ListenAddress
from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon_board.app import Board
from jelmon_board.settings import BoardSettings, SourceSettings

NOWHERE = "http://127.0.0.1:1"
StartBoard = Callable[[BoardSettings], Awaitable[Board]]


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the services answer, and what stops one of them."""

    sources: SourceSettings
    nats: str
    stop: Callable[[], None]


@pytest_asyncio.fixture
async def start_board() -> AsyncIterator[StartBoard]:
    """Start boards on free ports; they stop at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(settings: BoardSettings) -> Board:
            board = Board(replace(settings, listen=ListenAddress("127.0.0.1", 0)))
            await board.start()
            stack.push_async_callback(board.stop)
            return board

        yield start


@pytest_asyncio.fixture
async def tab(tool: Callable[[str], Path]) -> AsyncIterator[Tab]:
    """A tab of headless Chromium."""
    program = await asyncio.to_thread(tool, "chromium")
    async with chromium(program, servers.environment(program)) as tab:
        yield tab


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds faults that keep people out."""
    spec = importlib.util.find_spec("axe_core_python")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def stack(root: Path, tool: Callable[[str], Path], server_folder: Path) -> Iterator[Stack]:
    """Every service with ten minutes of a simulated pipeline that has just stalled."""
    folder = server_folder / "board"
    with Processes(folder / "logs") as processes:

        def service(name: str, *arguments: str, port: int | None = None) -> str:
            port = port or processes.port(0)
            address = ["--web.listen-address", f"127.0.0.1:{port}"]
            child = processes.start(name, [sys.executable, "-m", "jelmon", name, *arguments, *address])
            url = f"http://127.0.0.1:{port}"
            processes.wait_until(name, lambda: launch.answers(f"{url}/-/ready"), seconds=120, child=child)
            return url

        nats = launch.nats(processes, tool("nats-server"), folder / "nats")
        exporter = service("exporter", "--nats.url", nats)
        simulation = ["simulate", "--seconds", "10m", "--speed", "0", "--seed", "1", "--slow-at", "60"]
        stalled = ["--stall-at", "520", "--nats.url", nats]
        subprocess.run([sys.executable, "-m", "jelmon", *simulation, *stalled], check=True, timeout=120)
        responder_port = processes.port(0)
        webhook = f"http://127.0.0.1:{responder_port}/api/v1/alerts/webhook"
        config = (root / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")
        config = config.replace("http://127.0.0.1:9748/api/v1/alerts/webhook", webhook)
        config = config.replace("templates/*.tmpl", str(root / "alertmanager/templates/*.tmpl"))
        (folder / "alertmanager.yml").write_text(config, encoding="utf-8")
        alertmanager = launch.alertmanager(
            processes, tool("alertmanager"), folder / "alertmanager", folder / "alertmanager.yml"
        )
        responder = service(
            "responder",
            *("--history.url", f"sqlite:///{folder}/history.db", "--alertmanager.url", alertmanager),
            port=responder_port,
        )
        analyzer = service(
            "analyzer",
            *("health", "--nats.url", nats, "--bottleneck.interval", "1s", "--prometheus.url", NOWHERE),
        )
        prometheus_config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(root / "deploy/prometheus/rules/*.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.partition("//")[2]]}]}]},
            "scrape_configs": [
                {"job_name": f"jelmon-{name}", "static_configs": [{"targets": [url.partition("//")[2]]}]}
                for name, url in (("exporter", exporter), ("analyzer", analyzer), ("responder", responder))
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus_config), encoding="utf-8")
        prometheus = launch.prometheus(processes, tool("prometheus"), folder / "prometheus", folder / "prometheus.yml")
        yield Stack(
            sources=SourceSettings(
                exporters=(exporter,),
                analyzers=(analyzer,),
                responder=responder,
                prometheus=prometheus,
                alertmanager=alertmanager,
            ),
            nats=nats,
            stop=processes.stop,
        )


async def eventually(condition: Callable[[], Awaitable[Any]], *, seconds: float = 180.0) -> Any:
    """What the condition gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (result := await condition()):
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.2)
    return result


async def get(url: str, **options: Any) -> tuple[int, str]:
    """Status and body of a GET."""
    async with aiohttp.ClientSession() as session, session.get(url, **options) as response:
        return response.status, await response.text()
