"""A Prometheus without data that reads from us answers as a Prometheus that holds the same samples."""

import asyncio
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.store.read.data import COUNT, START, STEP, make_series
from tests.store.read.queries import queries_of, reads_native_histograms
from tests.store.read.support import load, migrate, remote_write, serve

from jelmon.demo import launch, servers
from jelmon.demo.processes import Processes

INSTANTS = (START + 47 * STEP, START + 102 * STEP + 1, START + 303 * STEP, START + (COUNT + 10) * STEP)


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


def differences(holder: str, reader: str, query: str) -> list[str]:
    """What the two answer differently."""
    found = []
    kinds = [("query", {"time": f"{instant / 1000:.3f}"}) for instant in INSTANTS]
    start, end = START / 1000 - 60, (START + COUNT * STEP) / 1000 + 600
    kinds.append(("query_range", {"start": f"{start}", "end": f"{end}", "step": "77"}))
    for path, parameters in kinds:
        expected = ask(holder, path, query=query, **parameters)
        actual = ask(reader, path, query=query, **parameters)
        if actual != expected:
            found.append(f"{query} ({parameters}):\n   ours {actual!s:.400}\n   true {expected!s:.400}")
    return found


async def test_every_query_has_the_same_answer(
    postgres_dsn: str, processes: Processes, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """More than 150 queries, each at four times and as a range, compared digit by digit."""
    program = Path(os.environ.get("JELMON_TEST_PROMETHEUS") or tool("prometheus"))
    version = version_of(program)
    queries, series = queries_of(version), make_series(native_histograms=reads_native_histograms(version))
    await migrate(postgres_dsn)
    load(postgres_dsn, series)
    async with serve(postgres_dsn) as read_url:

        def compare() -> tuple[list[str], int]:
            holder = start_prometheus(
                processes, program, tmp_path / "holder", "global: {}", "--web.enable-remote-write-receiver"
            )
            remote_write(holder, series)
            reader = start_prometheus(
                processes, program, tmp_path / "reader", f"remote_read: [{{url: '{read_url}', read_recent: true}}]"
            )
            found, answered = [], 0
            for query in queries:
                found += differences(holder, reader, query)
                for instant in INSTANTS:
                    answer = ask(reader, "query", query=query, time=f"{instant / 1000:.3f}")
                    if isinstance(answer, dict) and answer["data"]["result"]:
                        answered += 1
                        break
            return found, answered

        found, answered = await asyncio.to_thread(compare)

    assert not found, f"{len(found)} answers differ:\n" + "\n".join(found[:20])
    assert len(queries) >= 150
    assert answered >= 150, "most queries must find something"
