"""Targets and pipelines are read again while the exporter runs; a bad file changes nothing and is seen."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import requests

from jelmon import catalogue as c
from jelmon.demo.processes import Processes, free_port
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.collectors.targets import Target
from jelmon_exporter.series.cells import SeriesTable

Until = Callable[..., Awaitable[None]]

RELOADED = "jelmore_exporter_config_last_reload_successful"


def targets(*names: str, url: str = "tcp://127.0.0.1:1") -> str:
    return "targets:\n" + "".join(f"  - {{name: {name}, url: '{url}'}}\n" for name in names)


async def test_a_request_has_the_files_read_again_if_that_is_enabled(
    exporting: Callable[..., Any], until: Until, tmp_path: Path
) -> None:
    probed, declared = tmp_path / "targets.yaml", tmp_path / "pipelines.yaml"
    probed.write_text(targets("old", "kept"), encoding="utf-8")
    declared.write_text("pipelines: [{pipeline: main, stages: [], card_target_seconds: 5}]\n", encoding="utf-8")
    files = {"targets_file": probed, "pipelines_file": declared}

    async with exporting(nats_url=None, lifecycle=True, **files) as exporter:

        async def reload() -> tuple[int, str]:
            answer = await asyncio.to_thread(requests.post, f"{exporter.url}/-/reload", timeout=10)
            page = (await asyncio.to_thread(requests.get, f"{exporter.url}/metrics", timeout=10)).text
            return answer.status_code, answer.text + page

        await until(lambda: set(exporter.prober.results) == {"old", "kept"})
        probed.write_text(targets("kept", "new"), encoding="utf-8")
        declared.write_text("pipelines: [{pipeline: second, stages: [], card_target_seconds: 7}]\n", encoding="utf-8")
        good = await reload()
        await until(lambda: set(exporter.prober.results) == {"kept", "new"})
        after = await reload()
        probed.write_text(targets("bad", url="ftp://x"), encoding="utf-8")
        declared.write_text("pipelines: []\n", encoding="utf-8")
        bad = await reload()

    async with exporting(nats_url=None, lifecycle=False) as exporter:
        refused = await reload()

    assert (good[0], after[0], bad[0], refused[0]) == (200, 200, 500, 403)
    assert 'jelmore_target_up{target="new"} 0\n' in after[1]
    assert 'target="old"' not in after[1]
    assert f'{c.CARD_TARGET.name}{{pipeline="second"}} 7\n' in after[1]
    assert 'pipeline="main"' not in after[1]
    assert f"{RELOADED} 1\n" in after[1]
    assert f"{probed}:2: url: must begin with one of" in bad[1]
    assert f"{RELOADED} 0\n" in bad[1]
    assert 'jelmore_target_up{target="new"} 0\n' in bad[1]
    assert f'{c.CARD_TARGET.name}{{pipeline="second"}} 7\n' in bad[1]  # all files or none
    assert "--web.enable-lifecycle" in refused[1]


def test_sighup_has_the_files_read_again(own_processes: Processes, tmp_path: Path) -> None:
    probed, port = tmp_path / "targets.yaml", free_port()
    probed.write_text(targets("old"), encoding="utf-8")
    flags = ["--nats.url", "none", "--targets", str(probed), "--web.listen-address", str(port)]
    child = own_processes.start("exporter", [sys.executable, "-m", "jelmon", "exporter", *flags])

    def shows(line: str) -> Callable[[], bool]:
        def look() -> bool:
            try:
                return line in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
            except requests.ConnectionError:
                return False

        return look

    own_processes.wait_until("the first targets", shows('jelmore_target_up{target="old"} 0\n'), seconds=60, child=child)
    probed.write_text("targets: [\n", encoding="utf-8")
    child.process.send_signal(signal.SIGHUP)
    own_processes.wait_until("the bad file", shows(f"{RELOADED} 0\n"), seconds=60, child=child)
    probed.write_text(targets("new"), encoding="utf-8")
    child.process.send_signal(signal.SIGHUP)
    own_processes.wait_until("the new targets", shows('jelmore_target_up{target="new"} 0\n'), seconds=60, child=child)

    assert shows(f"{RELOADED} 1\n")()
    assert "the previous files remain in force" in child.tail()


async def test_a_probe_that_ends_too_late_brings_nothing_back() -> None:
    table = SeriesTable()
    old, new = Target(name="old", url="http://a"), Target(name="new", url="http://b")
    prober = Prober([old], table)
    prober.record(old, Result(seconds=0.1))
    prober.set_targets([new])
    prober.record(old, Result(seconds=0.1))

    assert {labels[0] for _, labels in table.cells} == {"new"}
    assert prober.results == {}
    assert table.drain()[c.TARGET_UP.name, ("old",)] is None
