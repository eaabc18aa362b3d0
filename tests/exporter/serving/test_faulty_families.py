"""One bad family, name or source never costs the page."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon import catalogue as c
from jelmon_exporter.serving import exposition
from jelmon_exporter.sources.collectors import SystemSource

Exporting = Callable[..., Any]
NAME = b"/mnt/\xff\xfe disk".decode("utf-8", "surrogateescape")


async def page(exporter: Any, path: str = "/metrics", **headers: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{exporter.url}{path}", headers=headers) as answer:
        assert answer.status == 200
        return await answer.text()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_a_mount_point_and_a_device_that_are_not_utf_8(
    accept: str, exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = psutil.disk_partitions(all=True)[0]._replace(device=NAME, mountpoint=NAME, fstype="ext4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [part])  # noqa: A006 (the name is psutil's)
    usage = psutil.disk_usage("/")._replace(percent=50.0)
    monkeypatch.setattr(psutil, "disk_usage", lambda _: usage)
    async with exporting(nats_url=None) as exporter:
        (system,) = (source for source in exporter.sources if isinstance(source, SystemSource))
        await system._collect()
        exporter.process_series.cell(c.COLLECTOR_UP, NAME).set(1)
        text = await page(exporter, Accept=accept)
        await page(exporter, "/")

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples[c.SYSTEM_DISK.name, "host-1", "/mnt/\\udcff\\udcfe disk"] == 0.5


async def test_a_family_or_source_that_fails_is_left_out_and_counted(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    render = exposition._render_family

    def rendering(view: Any, name: str, family: Any, *, openmetrics: bool) -> str:
        if name == c.SYSTEM_LOAD.name:
            raise ValueError("bad family")
        return render(view, name, family, openmetrics=openmetrics)

    def failing(self: Any, *, openmetrics: bool) -> str:
        raise RuntimeError("bad source")

    monkeypatch.setattr(exposition, "_render_family", rendering)
    monkeypatch.setattr(SystemSource, "render", failing)
    async with exporting(nats_url=None) as exporter:
        first = await page(exporter)
        second = await page(exporter)

    assert c.SYSTEM_LOAD.name not in first
    assert f"# TYPE {c.STATE_STORE_UP.name}" in first
    assert "process_cpu_seconds_total" in first
    assert f'{c.EXPOSITION_FAULTS.name}{{family="{c.SYSTEM_LOAD.name}"}} 1' in second
    assert caplog.text.count("left out of /metrics") == 2  # once each, not at each scrape


async def test_a_collector_that_raises_anything_stops_nothing(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Awaitable[None]]
) -> None:
    def failing(**_: Any) -> Any:
        raise ZeroDivisionError("cpu.max")

    monkeypatch.setattr(psutil, "net_io_counters", failing)
    async with exporting(nats_url=None) as exporter:
        await until(lambda: exporter.process_series.cell(c.COLLECTOR_UP, "system").value == 0)
        await page(exporter)
