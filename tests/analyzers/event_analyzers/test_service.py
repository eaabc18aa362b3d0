"""The analyzers of events together, with real servers: a slow stage costs health, and the advice is written down."""

import argparse
import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.client import Card, Publisher
from jelmon.config.reader import SettingsReader
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.errors import ConfigError, DefinitionError
from jelmon.events import Event, Outcome
from jelmon.nats.connection import NatsSettings
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Change
from jelmon_analyzers import command
from jelmon_analyzers.attribution.cards import CardCauses
from jelmon_analyzers.bottleneck.service import BottleneckSettings
from jelmon_analyzers.event_analyzers.resource_usage import ResourceUsage
from jelmon_analyzers.event_analyzers.service import EventAnalyzers
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings
from jelmon_analyzers.health import HealthGauges, HealthSettings, Part
from jelmon_analyzers.health.settings_file import load as load_health
from jelmon_analyzers.suggestions.service import SuggestionService
from jelmon_analyzers.suggestions.storage import open_suggestion_store

WINDOW = 300.0


@pytest.fixture
async def prometheus(tool: Callable[[str], Path], tmp_path: Path) -> AsyncIterator[str]:
    """A Prometheus that scrapes a host whose CPU is used up to 95 %, and an analyzer that found work to be slower."""
    slower = 'signal="stage_run_seconds",pipeline="demo",stage="deploy"'

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            text=f'{c.SYSTEM_CPU.name}{{host="a"}} 0.95\n{c.SYSTEM_CPU.name}{{host="b"}} 0.1\n'
            f'{c.SYSTEM_MEMORY.name}{{host="a"}} 0.4\n'
            f"{c.REGRESSION_CHANGE.name}{{{slower}}} 0.8\n"
            f"{c.REGRESSION_EARLY_WARNING.name}{{{slower}}} 1\n{c.REGRESSION_SEVERE.name}{{{slower}}} 1\n"
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 250ms}\n"
        f"scrape_configs: [{{job_name: jelmon-exporter, static_configs: [{{targets: ['{host}:{port}']}}]}}]\n"
    )
    with Processes(tmp_path / "logs-prometheus") as processes:
        yield await asyncio.to_thread(launch.prometheus, processes, tool("prometheus"), tmp_path / "prometheus", config)
    await runner.cleanup()


async def _wait(done: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def test_a_slow_stage_lowers_health_and_gets_suggestions(
    own_nats: tuple[str, Callable[[], str]], prometheus: str, tmp_path: Path
) -> None:
    """Seven minutes of the demo, its tests three times slower, then judged with all that there is."""
    url, _ = own_nats
    slow = Change(at_seconds=60, kind="slow", stage="test_execution", factor=3)
    start = datetime.now(UTC) - timedelta(seconds=420)
    async with Publisher(url, batch=1) as publisher:  # minutes at once: together they would lose their order
        await publisher.ensure_stream()
        steps = simulate(DEMO.with_changes((slow,)), seed=5, start=start, seconds=420)
        await publisher.publish_many(step.event for step in steps)
    instruments = Instruments(Service.ANALYZER)
    settings = EventAnalyzersSettings(
        bottleneck=BottleneckSettings(nats=NatsSettings(url=url), window_seconds=WINDOW, interval_seconds=0.2),
        recommendations_url=f"sqlite:///{tmp_path / 'recommendations.db'}",
        prometheus_url=prometheus,
    )
    analyzers = EventAnalyzers(settings, instruments, health=True)

    def text() -> str:
        return instruments.render()[0].decode()

    def value(metric: c.Gauge, *labels: str) -> float | None:
        for line in text().splitlines():
            if line.startswith(f"{metric.name}{{") and all(label in line for label in labels):
                return float(line.rsplit(" ", 1)[1])
        return None

    task = asyncio.create_task(analyzers.run())
    try:
        await _wait(lambda: value(c.HEALTH_COMPONENT, '"resources"') is not None)
        await _wait(lambda: value(c.BOTTLENECK_CONTENTION, '"test_execution"', '"cpu"') is not None)
        # each resource is a query of its own: the first reading may lack one
        await _wait(lambda: value(c.BOTTLENECK_CONTENTION, '"test_execution"', '"memory"') == 0)
        score, coverage = value(c.HEALTH_SCORE), value(c.HEALTH_COVERAGE)
        parts = {part: value(c.HEALTH_COMPONENT, f'"{part.value}"') for part in Part}
        lost = [float(number) for number in re.findall(rf"{c.HEALTH_POINTS_LOST.name}{{.*}} (\S+)", text())]

        assert coverage == 1
        assert score is not None
        assert score < 70
        assert parts[Part.CONSTRAINT] == pytest.approx(0.0, abs=0.1)
        assert parts[Part.RESOURCES] == pytest.approx(0.25)
        assert parts[Part.FRESHNESS] == 1
        assert sum(lost) == pytest.approx(100 - score)
        await _wait(lambda: value(c.SUGGESTIONS, '"add_worker"') == 1)
        assert (value(c.SUGGESTION_GAIN, '"test_execution"', '"add_worker"') or 0) > 10
        await _wait(lambda: value(c.SUGGESTIONS, '"undo_slow_work"') == 1)

        store = open_suggestion_store(str(settings.recommendations_url))
        rows = await store.read()
        while not rows:
            await asyncio.sleep(0.05)
            rows = await store.read()
        promised = {row["strategy"]: row["expected_seconds"] for row in rows if row["stage"] == "test_execution"}

        assert promised["add_worker"] > 10
        assert all(check.ok for check in analyzers.checks().values())
    finally:
        await tasks.end(task)


async def test_an_analyzer_that_raises_holds_up_no_other(
    own_nats: tuple[str, Callable[[], str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At an event, at each cycle, and when it is computed in a thread: counted, logged, and the others go on."""
    url, _ = own_nats
    observe, table = HealthGauges.observe, CardCauses.table
    raising = {"cycle": True}

    def observing(self: HealthGauges, event: Event) -> None:
        if event.subject == "bad":
            raise OverflowError("date value out of range")
        observe(self, event)

    def cycling(self: SuggestionService, now: float) -> None:
        if raising["cycle"]:
            raise ZeroDivisionError("division by zero")

    def tabulated(self: CardCauses) -> Any:
        if raising["cycle"]:
            raise ValueError("no table")
        return table(self)

    monkeypatch.setattr(HealthGauges, "observe", observing)
    monkeypatch.setattr(SuggestionService, "cycle", cycling)
    monkeypatch.setattr(CardCauses, "table", tabulated)
    monkeypatch.setattr("jelmon_analyzers.attribution.gauges.EVERY_SECONDS", 0.2)
    instruments = Instruments(Service.ANALYZER)
    bottleneck = BottleneckSettings(nats=NatsSettings(url=url), window_seconds=WINDOW, interval_seconds=0.2)
    analyzers = EventAnalyzers(EventAnalyzersSettings(bottleneck=bottleneck), instruments, health=True)

    def text() -> str:
        return instruments.render()[0].decode()

    task = asyncio.create_task(analyzers.run())
    try:
        async with Publisher(url) as publisher:
            await publisher.ensure_stream()
            for name in ("good", "bad", "fine"):
                card = Card(name, pipeline="p")
                await publisher.publish_many([card.started(), card.stage_started("s"), card.finished(Outcome.SUCCESS)])
        await _wait(lambda: f'{c.ANALYZER_ERRORS.name}{{analyzer="health",step="event"}} 3.0' in text())
        await _wait(lambda: f"{c.BOTTLENECK_WORKERS.name}{{" in text())
        await _wait(lambda: f'{c.HEALTH_SCORE.name}{{pipeline="p"}}' in text())
        failed = re.compile(rf'{c.ANALYZER_ERRORS.name}{{analyzer="(suggestions|attribution)",step="cycle"}} [1-9]')
        await _wait(lambda: set(failed.findall(text())) == {"suggestions", "attribution"})
        cycles = analyzers.bottleneck.cycles
        raising["cycle"] = False
        await _wait(lambda: analyzers.bottleneck.cycles > cycles + 2)
        assert not task.done()
    finally:
        await tasks.end(task)

    failures = [record.__dict__ for record in caplog.records if record.message == "an analyzer failed"]
    assert sorted((failure["analyzer"], failure["step"]) for failure in failures) == [
        ("attribution", "cycle"),
        ("health", "event"),
        ("suggestions", "cycle"),
    ]


@pytest.mark.parametrize("which", ["bottleneck", "health"])
async def test_the_command_serves_gauges_until_terminated(own_nats: tuple[str, Callable[[], str]], which: str) -> None:
    """As a user starts it; a few cards wait, so there are workers but no verdict."""
    url, _ = own_nats
    address = f"127.0.0.1:{free_port()}"
    async with Publisher(url) as publisher:
        await publisher.ensure_stream()
        for number in range(3):
            await publisher.publish(Card(f"c{number}", pipeline="p").stage_started("s"))
    command = [sys.executable, "-m", "jelmon", "analyzer", which, "--nats.url", url, "--web.listen-address", address]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    text = ""
    async with aiohttp.ClientSession() as session:
        until = time.monotonic() + 30
        while f"{c.BOTTLENECK_WORKERS.name}{{" not in text:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://{address}/metrics") as response:
                    text = await response.text()
        async with session.get(f"http://{address}/-/ready") as response:
            ready = response.status
    process.terminate()

    assert ready == 200
    assert f'{c.BOTTLENECK_WORKERS.name}{{origin="learnt",pipeline="p",stage="s"}} 3.0' in text
    assert f"{c.BOTTLENECK_SEVERITY.name}{{" not in text
    assert await asyncio.wait_for(process.wait(), 10) == 0


def read(*flags: str) -> EventAnalyzersSettings:
    """Read the settings as the command does."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return EventAnalyzersSettings.read(SettingsReader(parser.parse_args(["bottleneck", *flags]), {}))


def test_flags_and_environment_become_settings(tmp_path: Path) -> None:
    """With the health of a file."""
    path = tmp_path / "health.yaml"
    path.write_text("weights: {latency: 50}\ncard_target: 90s\nstall_limit: 5m\n")
    flags = ["--bottleneck.window", "30m", "--health.file", str(path), "--nats.url", "nats://n:4222"]
    settings = read(*flags)

    assert settings.bottleneck.window_seconds == 1800
    assert settings.health.weights[Part.LATENCY] == 50
    assert settings.health.weights[Part.FLOW] == 15
    assert (settings.health.card_target_seconds, settings.health.stall_limit_seconds) == (90, 300)
    assert settings.bottleneck.nats.url == "nats://n:4222"


def test_a_password_on_the_command_line_is_refused() -> None:
    """Every user of the machine could read it."""
    with pytest.raises(ConfigError, match="contains a password, which every user of this machine can see"):
        read("--recommendations.url", "postgresql://me:secret@db/jelmon")


async def test_resource_usage_is_dropped_after_failed_queries() -> None:
    """After three failed queries in a row."""
    resources = ResourceUsage("http://127.0.0.1:9", interval_seconds=0.01)
    resources._usage = {"cpu": 0.9}
    task = asyncio.create_task(resources.run())
    await _wait(lambda: resources.scarcest is None)
    await tasks.end(task)

    assert resources.trouble == "Prometheus does not respond"


def test_problems_of_the_health_file_are_reported_with_their_line(tmp_path: Path) -> None:
    """All at once, including those of the file as a whole."""
    path = tmp_path / "health.yaml"
    path.write_text("weights: {latencyy: 50}\ncard_target: soon\n")
    with pytest.raises(DefinitionError, match=r"(?s)health.yaml:1: unknown field 'latencyy'.*expected a duration"):
        load_health(path)
    path.write_text("objective: 2\n")
    with pytest.raises(DefinitionError, match="objective: 2 is not between 0 and 1"):
        load_health(path)
    path.write_text("")

    assert load_health(path) == HealthSettings()
