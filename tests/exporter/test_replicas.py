"""Three replicas behind a real Prometheus show what a single one shows, also while one of them dies."""

import asyncio
import json
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jelmon import catalogue as c
from jelmon.client import Publisher
from jelmon.stack import launch
from jelmon.stack.processes import free_port

Until = Callable[..., Awaitable[None]]

CONFIG = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: three
    static_configs: [{{targets: {three}}}]
  - job_name: single
    static_configs: [{{targets: {single}}}]
"""
RULES = """
groups:
  - name: totals
    rules:
      - record: test:finished
        expr: sum by (job) (max without (instance, pod) (NAME))
      - record: test:increase
        expr: sum by (job) (max without (instance, pod) (increase(NAME[5m])))
""".replace("NAME", c.CARDS_FINISHED.name)


@pytest.fixture
def ports() -> list[int]:
    return [free_port() for _ in range(4)]


@pytest.fixture
def exporters(servers: Any, ports: list[int]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three that share their state in Redis, and one that counts by itself."""
    children = []
    for number, port in enumerate(ports):
        command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(port)]
        command += ["--nats.url", servers.nats_url]
        if number < 3:
            command += ["--redis.url", servers.redis_url]
        children.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    yield children
    for child in children:
        child.kill()
        child.wait()


async def test_totals_of_three_replicas_equal_those_of_one(
    servers: Any,
    ports: list[int],
    exporters: list[subprocess.Popen[bytes]],
    cards: Any,
    until: Until,
    tool: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Never more, as doubled series would give, and never less than before, as a lost partition would."""
    targets = [f"127.0.0.1:{port}" for port in ports]
    (tmp_path / "rules.yml").write_text(RULES)
    config = CONFIG.format(three=json.dumps(targets[:3]), single=json.dumps(targets[3:]))
    (tmp_path / "prometheus.yml").write_text(config)
    for target in targets:
        await until(lambda target=target: launch.answers(f"http://{target}/-/ready"), seconds=60)
    url = await asyncio.to_thread(
        launch.prometheus, servers.processes, tool("prometheus"), tmp_path / "data", tmp_path / "prometheus.yml"
    )

    async def values(query: str) -> dict[str, float]:
        found = await asyncio.to_thread(_get, f"{url}/api/v1/query?query={urllib.parse.quote(query)}")
        return {one["metric"]["job"]: float(one["value"][1]) for one in found}

    async def totals_become(expected: float) -> None:
        found: dict[str, float] = {}
        for _ in range(200):
            found = await values("test:finished")
            if found == {"three": expected, "single": expected}:
                return
            await asyncio.sleep(0.2)
        pytest.fail(f"totals are {found}, not {expected}")

    async with Publisher(servers.nats_url) as publisher:
        await publisher.publish_many(cards(0, 10))
        await totals_become(10.0)  # Prometheus scrapes them all
        for first in range(10, 3010, 250):
            await publisher.publish_many(cards(first, first + 250))
            if first == 1010:
                exporters[0].kill()
            await asyncio.sleep(0.3)  # a load that lasts as long as several scrapes
    await totals_become(3010.0)
    history_of_three = urllib.parse.quote('test:finished{job="three"}[10m]')
    history = await asyncio.to_thread(_get, f"{url}/api/v1/query?query={history_of_three}")
    seen = [float(value) for _, value in history[0]["values"]]

    assert seen == sorted(seen), "a total went down"
    assert max(seen) == 3010.0

    increase = await values("test:increase")

    assert increase["single"] > 2900
    assert increase["three"] == pytest.approx(increase["single"], rel=0.05)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)["data"]["result"]
