"""A simulated pipeline that stalls in the middle of things: the exporter's gauges show just what is left."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from jelmon.client import Publisher
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.events import (
    CardFinished,
    CardQueued,
    CardStarted,
    Envelope,
    StageFinished,
    StageQueued,
    StageRetried,
    StageStarted,
)
from jelmon.nats.connection import NatsSettings
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Change
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings

Key = tuple[str, str]
SECONDS = 400.0


def left_over(events: list[Envelope]) -> dict[Key, float]:
    """Metric and stage -> value, by plain bookkeeping over all events."""
    waiting, started, finished = set[str](), set[str](), set[str]()
    stages: defaultdict[str, dict[str, set[str]]] = defaultdict(
        lambda: {"queued": set(), "running": set(), "held": set()}
    )
    counts: Counter[Key] = Counter()
    last = 0.0
    for event in events:
        if isinstance(event, CardStarted | CardFinished | StageStarted | StageFinished | StageRetried):
            last = event.time.timestamp()
        match event:
            case CardQueued(subject=card):
                waiting.add(card)
                counts["jelmore_cards_queued_total", ""] += 1
            case CardStarted(subject=card):
                waiting.remove(card)
                started.add(card)
            case CardFinished(subject=card):
                finished.add(card)
            case StageQueued(subject=card, data=data):
                for stage in stages.values():
                    stage["held"].discard(card)
                stages[data.stage]["queued"].add(card)
            case StageStarted(subject=card, data=data):
                stages[data.stage]["queued"].remove(card)
                stages[data.stage]["running"].add(card)
                counts["jelmore_stage_runs_started_total", data.stage] += 1
            case StageFinished(subject=card, data=data):
                stages[data.stage]["running"].remove(card)
                if data.held_up:
                    stages[data.stage]["held"].add(card)
            case StageRetried(data=data):
                counts["jelmore_stage_retries_total", data.stage] += 1
            case _:
                pass
    values: dict[Key, float] = {
        ("jelmore_cards_waiting", ""): len(waiting),
        ("jelmore_cards_in_progress", ""): len(started - finished),
        ("jelmore_pipeline_last_activity_timestamp_seconds", ""): last,
        ("jelmore_pipeline_stall_limit_seconds", ""): 30,
    }
    for name, stage in stages.items():
        values["jelmore_stage_queue_depth", name] = len(stage["queued"])
        values["jelmore_stage_runs_in_progress", name] = len(stage["running"])
        values["jelmore_stage_held_up", name] = len(stage["held"])
    return values | counts


async def test_the_gauges_show_what_a_stall_leaves(tmp_path: Path, tool: Callable[[str], Path]) -> None:
    """Waiting, in progress, queued, running and held up, stage by stage; and when something last moved."""
    scenario = DEMO.with_changes(
        (
            Change(at_seconds=100, kind="slow", stage="security_scan", factor=6),
            Change(at_seconds=300, kind="stall"),
        )
    )
    start = datetime.now(UTC) - timedelta(seconds=SECONDS)
    events = [step.event for step in simulate(scenario, seed=7, start=start, seconds=SECONDS)]
    expected = left_over(events)
    assert expected["jelmore_stage_held_up", "quality_gates"] > 0
    assert expected["jelmore_stage_queue_depth", "security_scan"] == 10
    with Processes(tmp_path / "logs") as processes:
        url = await asyncio.to_thread(launch.nats, processes, tool("nats-server"), tmp_path / "nats")
        async with Publisher(url) as publisher:
            await publisher.ensure_stream()
            await publisher.publish_many(events)
        exporter = Exporter(ExporterSettings(listen_address=ListenAddress("127.0.0.1", 0), nats=NatsSettings(url=url)))
        await exporter.start()
        try:
            found = await _settled(exporter, expected)
        finally:
            await exporter.stop()

    assert found == expected


async def _settled(exporter: Exporter, expected: dict[Key, float]) -> dict[Key, float]:
    """The same samples of the exporter, once they are right or time is up."""
    deadline = time.monotonic() + 30
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{exporter.url}/metrics") as response:
                text = await response.text()
            found = {
                (sample.name, sample.labels.get("stage", "")): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.labels.get("pipeline") == "demo"
            }
            chosen = {key: found.get(key, -1.0) for key in expected}
            if chosen == expected or time.monotonic() > deadline:
                return chosen
            await asyncio.sleep(0.1)
