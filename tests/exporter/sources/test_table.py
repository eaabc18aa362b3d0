"""What stands beside the stream, in the exporter as users start it: probes, events over HTTP, collectors, the page."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import requests

from jelmon import catalogue as c
from jelmon.demo.processes import Processes, free_port
from jelmon.events import encode_batch
from jelmon.nats.subjects import STREAM
from jelmon_exporter.sources.http import PATH

Until = Callable[..., Awaitable[None]]
Jelmon = Callable[..., subprocess.CompletedProcess[str]]

EVENT = {
    "specversion": "1.0",
    "type": "jelmore.card.started",
    "id": "e1",
    "source": "/test",
    "subject": "card-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"pipeline": "<main>"},
}


async def test_an_event_over_http_is_counted_and_shown(
    own_nats_url: str, exporting: Callable[..., Any], until: Until, tmp_path: Path
) -> None:
    targets = tmp_path / "targets.yaml"
    targets.write_text(f"targets:\n  - {{name: broker, url: '{own_nats_url.replace('nats', 'tcp')}'}}\n", "utf-8")
    async with exporting(nats_url=own_nats_url, targets_file=targets) as exporter:
        await until(lambda: exporter.source.up and exporter.sink.up)
        sent = [await asyncio.to_thread(requests.post, f"{exporter.url}{PATH}", json=EVENT, timeout=10) for _ in "ab"]
        await until(lambda: exporter.view.value(c.CARDS_STARTED, "<main>") == 1)
        await until(lambda: exporter.prober.results)
        metrics = (await asyncio.to_thread(requests.get, f"{exporter.url}/metrics", timeout=10)).text
        page = (await asyncio.to_thread(requests.get, exporter.url, timeout=10)).text

    assert [answer.status_code for answer in sent] == [202, 202]
    assert 'jelmore_cards_started_total{pipeline="<main>"} 1\n' in metrics
    assert 'jelmore_exporter_http_events_total{result="stored"} 1\n' in metrics
    assert 'jelmore_exporter_http_events_total{result="duplicate"} 1\n' in metrics
    assert 'jelmore_exporter_source_up{source="http"} 1\n' in metrics
    assert 'jelmore_target_up{target="broker"} 1\n' in metrics
    assert 'jelmore_probe_phase_seconds{target="broker",phase="connect"} ' in metrics
    assert "<td>&lt;main&gt;</td>" in page
    assert '<td>broker</td><td class="good">up</td>' in page


async def test_batches_over_http_count_each_event_once(
    own_nats_url: str, exporting: Callable[..., Any], until: Until, cards: Any
) -> None:
    """Also those that come again in other company, under which the stream does not know them."""
    events = cards(0, 60)
    kind = {"Content-Type": "application/cloudevents-batch+json"}
    client = await nats.connect(own_nats_url)
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(lambda: exporter.source.up and exporter.sink.up)
        sent = []
        for batch in (events[:100], events[50:], events[:100]):
            body = encode_batch(batch)
            sent.append(
                await asyncio.to_thread(requests.post, f"{exporter.url}{PATH}", data=body, headers=kind, timeout=30)
            )
        await until(lambda: exporter.view.value(c.CARDS_FINISHED, "main", "success") == 60)
        await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 50)
        figures = [exporter.view.value(metric, "main") for metric in (c.CARDS_STARTED, c.CARDS_IN_PROGRESS)]
        messages = (await client.jetstream().stream_info(STREAM)).state.messages
    await client.close()

    assert [answer.json()["accepted"] for answer in sent] == [100, 70, 100]
    assert {result["status"] for result in sent[2].json()["results"]} == {"duplicate"}
    assert figures == [60, 0]
    assert messages <= 32


def test_a_package_with_a_collector_only_has_to_be_installed(own_processes: Processes, tmp_path: Path) -> None:
    """The very package of docs/guides/custom-collectors.md, found by the metadata that an installer writes."""
    folder = tmp_path / "site"
    info = folder / "licence_collector-1.0.dist-info"
    info.mkdir(parents=True)
    guide = (Path(__file__).resolve().parents[3] / "docs/guides/custom-collectors.md").read_text(encoding="utf-8")
    (folder / "licences.py").write_text(guide.split("```python\n")[1].split("```")[0], encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: licence-collector\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[jelmon.collectors]\nlicences = licences:collect\n", encoding="utf-8")
    port = free_port()
    listen = ["--web.listen-address", f"127.0.0.1:{port}", "--nats.url", f"nats://127.0.0.1:{free_port()}"]
    child = own_processes.start(
        "exporter",
        [sys.executable, "-m", "jelmon", "exporter", *listen],
        environ={"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "LICENCES_FOLDER": str(info)},
    )
    found = ""

    def scraped() -> bool:
        nonlocal found
        try:
            found = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        except requests.ConnectionError:
            return False
        return 'collector_up{collector="licences"}' in found

    own_processes.wait_until("the collector", scraped, seconds=60, child=child)

    assert 'jelmore_exporter_collector_up{collector="licences"} 1\n' in found
    assert "# TYPE licences_files gauge\n" in found
    assert 'licences_files{suffix=".txt"} 1\n' in found


def test_checking_the_configuration_reads_every_file(jelmon: Jelmon, tmp_path: Path) -> None:
    web, targets = tmp_path / "web.yml", tmp_path / "targets.yaml"
    web.write_text("http_server_config:\n  http2: true\n", encoding="utf-8")
    targets.write_text("targets:\n  - {name: registry, url: 'https://registry.example/v2/'}\n", encoding="utf-8")
    flags = ["--check-config", "--web.config.file", str(web), "--targets", str(targets)]
    good = jelmon("exporter", *flags)
    web.write_text("basic_auth_users:\n  alice: secret\n", encoding="utf-8")
    bad_web = jelmon("exporter", *flags)
    targets.write_text("targets:\n  - {name: registry, url: 'ftp://registry.example/v2/'}\n", encoding="utf-8")
    bad_targets = jelmon("exporter", *flags)

    assert (good.returncode, good.stdout) == (
        0,
        "warning: http2: true is accepted, but only HTTP/1.1 is served\n"
        "targets to probe: registry\ncollectors installed: none\nconfiguration is fine\n",
    )
    assert bad_web.returncode == bad_targets.returncode == 2
    assert f"{web}:2: basic_auth_users: the password of 'alice' is not a bcrypt hash" in bad_web.stderr
    assert f"{targets}:2: url: must begin with one of" in bad_targets.stderr
    assert "Traceback" not in bad_web.stderr + bad_targets.stderr
