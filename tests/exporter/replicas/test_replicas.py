"""Three replicas behind a real Prometheus show what a single one shows, also while one of them dies."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jelmon import catalogue as c
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import free_port

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
      - record: test:target_up
        expr: min by (job) (max without (instance, pod) (jelmore_target_up))
      - record: test:probes
        expr: sum by (job) (max without (instance, pod) (jelmore_probe_seconds_count))
      - record: test:increase
        expr: sum by (job) (max without (instance, pod) (increase(NAME[5m])))
""".replace("NAME", c.CARDS_FINISHED.name)


@pytest.fixture
def ports() -> list[int]:
    return [free_port() for _ in range(4)]


@pytest.fixture
def exporters(servers: Any, ports: list[int], tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three that share their state in Redis, and one that counts by itself. Of the three the first one probes."""
    children: list[subprocess.Popen[bytes]] = []
    probed = tmp_path / "targets.yaml"
    probed.write_text(f"targets: [{{name: nats, url: '{servers.nats_url.replace('nats', 'tcp')}', interval: 2s}}]\n")
    for number, port in enumerate(ports):
        command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(port)]
        command += ["--nats.url", servers.nats_url, "--targets", str(probed)]
        if number < 3:
            command += ["--redis.url", servers.redis_url]
        children.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        if number == 0:
            _wait_for_probes(port)
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
    probes = (await values("test:probes"))["three"]
    async with asyncio.timeout(60):
        while (await values("test:probes")).get("three", 0.0) <= probes:
            await asyncio.sleep(0.2)  # the lease of the one that was killed has to run out
    history_of_three = urllib.parse.quote('test:finished{job="three"}[10m]')
    history = await asyncio.to_thread(_get, f"{url}/api/v1/query?query={history_of_three}")
    seen = [float(value) for _, value in history[0]["values"]]

    assert seen == sorted(seen), "a total went down"

    async def recorded(name: str, job: str) -> dict[float, float]:
        query = urllib.parse.quote(f'{name}{{job="{job}"}}[10m]')
        found = await asyncio.to_thread(_get, f"{url}/api/v1/query?query={query}")
        return {moment: float(value) for moment, value in found[0]["values"]}

    target_up, target_up_of_one = await recorded("test:target_up", "three"), await recorded("test:target_up", "single")
    number_of_probes = list((await recorded("test:probes", "three")).values())
    missed = longest = 0
    for moment in sorted(moment for moment in target_up_of_one if moment > min(target_up)):
        missed = 0 if moment in target_up else missed + 1
        longest = max(longest, missed)

    # a scrape may time out; a lease runs out after 6 seconds, which are 12 evaluations
    assert longest < 6, "a rule saw no target until another replica began to probe"
    assert number_of_probes[-1] > number_of_probes[0]

    increase = await values("test:increase")

    assert increase["single"] > 2900
    # `increase` extrapolates the ends of each replica's short series by up to half a scrape, and the largest counts
    assert increase["three"] == pytest.approx(increase["single"], rel=0.15)


def _wait_for_probes(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
                if b"jelmore_target_up{" in response.read():
                    return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("the first exporter does not probe")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)["data"]["result"]
