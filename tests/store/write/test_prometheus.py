"""A real Prometheus that writes into the store."""

import asyncio
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import StartStore
from tests.store.write.sender import stored

from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes


def speaks_v2(prometheus: Path) -> bool:
    text = subprocess.run([prometheus, "--help"], capture_output=True, text=True, check=True).stdout
    return "metadata-wal-records" in text


def configuration(port: int, urls: dict[str, str], *, interval: str = "1s") -> str:
    """Prometheus scrapes itself and writes to URLs, each with a message type or none."""
    writes = [
        {
            "url": url,
            **({"protobuf_message": message} if message else {}),
            "queue_config": {"batch_send_deadline": "200ms", "max_backoff": "500ms", "min_shards": 2},
        }
        for url, message in urls.items()
    ]
    return json.dumps(
        {
            "global": {"scrape_interval": interval},
            "scrape_configs": [{"job_name": "self", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            "remote_write": writes,
        }
    )


def query(url: str, expression: str) -> list[Any]:
    """The samples of a range selector, as the Prometheus itself has them."""
    with urllib.request.urlopen(
        f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", timeout=30
    ) as response:
        return list(json.load(response)["data"]["result"])


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait on a condition."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, f"never: {what}"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("message", ["", "io.prometheus.write.v2.Request"], ids=["1.0", "2.0"])
async def test_a_real_prometheus_writes(
    store_dsn: str,
    start_store: StartStore,
    tool: Callable[[str], Path],
    processes: Processes,
    tmp_path: Path,
    message: str,
) -> None:
    """All that it scrapes arrives, and no more."""
    if message and not speaks_v2(tool("prometheus")):
        pytest.skip("this Prometheus does not send 2.0; JELMON_TEST_PROMETHEUS names another one")
    store = await start_store(store_dsn, listen=ListenAddress("127.0.0.1", processes.port(19749)))
    port = processes.port(19290)
    config = tmp_path / "prometheus.yml"
    config.write_text(configuration(port, {f"{store.server.url}/api/v1/write": message}), encoding="utf-8")
    url = await asyncio.to_thread(
        launch.prometheus, processes, tool("prometheus"), tmp_path / "data", config, port=port
    )
    await eventually(lambda: len(stored(store_dsn, "up")) >= 5, "five scrapes are stored")
    times = [moment for _, moment, _ in stored(store_dsn, "up")]
    (own,) = await asyncio.to_thread(query, url, "up[1h]")

    assert times == [round(float(moment) * 1000) for moment, _ in own["values"]][: len(times)]
    assert {name for labels, _, _ in stored(store_dsn) for name in [labels["__name__"]]} > {"up", "go_goroutines"}
