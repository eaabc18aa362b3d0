"""A Prometheus without data that reads from us answers as a Prometheus that holds the same samples."""

import asyncio
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.store.data import COUNT, START, STEP, make_series
from tests.store.read.queries import queries_of, reads_native_histograms
from tests.store.support import at, load, migrate, remote_write, serve

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.settings import RetentionSettings

INSTANTS = (START + 47 * STEP, START + 102 * STEP + 1, START + (COUNT + 10) * STEP)


def version_of(program: Path) -> tuple[int, int]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version v?(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else (3, 0)  # built from source without a version: a new one


def start_prometheus(processes: Processes, program: Path, folder: Path, config: str, *flags: str) -> str:
    folder.mkdir()
    file = folder / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    port = processes.port(19190)
    child = processes.start(
        f"prometheus-{folder.name}",
        [
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=100y",
            "--enable-feature=native-histograms,promql-at-modifier,promql-negative-offset",
            *flags,
        ],
        environ=servers.environment(program),
        folder=servers.working_folder(program),
    )
    url = f"http://127.0.0.1:{port}"
    processes.wait_until(child.name, lambda: launch.answers(f"{url}/-/ready"), seconds=60, child=child)
    return url


def ask(url: str, path: str, **parameters: str) -> Any:
    """The answer of a Prometheus, in an order that does not depend on its storage."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}", data=query.encode(), timeout=60) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        return error.read()
    if isinstance(answer["data"]["result"], list) and not parameters["query"].startswith("sort"):
        answer["data"]["result"].sort(key=lambda one: json.dumps(one, sort_keys=True))
    return answer


def compare(holder: str, reader: str, queries: list[str]) -> tuple[list[str], int]:
    """What the two answer differently, and how many queries find something."""
    different, found_something = [], 0
    ranges = {"start": f"{START / 1000 - 60}", "end": f"{(START + COUNT * STEP) / 1000 + 600}", "step": "77"}
    for query in queries:
        results = []
        for path, parameters in (
            *(("query", {"time": f"{instant / 1000:.3f}"}) for instant in INSTANTS),
            ("query_range", ranges),
        ):
            expected = ask(holder, path, query=query, **parameters)
            actual = ask(reader, path, query=query, **parameters)
            if actual != expected:
                different.append(f"{query} ({parameters}):\n   ours {actual!s:.400}\n   true {expected!s:.400}")
            results.append(isinstance(expected, dict) and expected["data"]["result"])
        found_something += any(results)
    return different, found_something


async def test_every_query_has_the_same_answer(
    store_dsn: str, processes: Processes, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """More than 150 queries, each at three times and as a range, compared digit by digit."""
    program = tool("prometheus")
    version = version_of(program)
    queries, series = queries_of(version), make_series(native_histograms=reads_native_histograms(version))
    await migrate(store_dsn)
    load(store_dsn, series)
    # complete hours are indexed or in the column store, as they are later
    maintenance = Maintenance(store_dsn, RetentionSettings(), clock=lambda: at(START + COUNT * STEP))
    assert await asyncio.to_thread(maintenance.run_once)
    async with serve(store_dsn) as read_url:

        def run() -> tuple[list[str], int]:
            holder = start_prometheus(
                processes, program, tmp_path / "holder", "global: {}", "--web.enable-remote-write-receiver"
            )
            remote_write(holder, series)
            reader = start_prometheus(
                processes, program, tmp_path / "reader", f"remote_read: [{{url: '{read_url}', read_recent: true}}]"
            )
            return compare(holder, reader, queries)

        different, found_something = await asyncio.to_thread(run)

    assert not different, f"{len(different)} answers differ:\n" + "\n".join(different[:20])
    assert len(queries) >= 190
    assert found_something >= 170
