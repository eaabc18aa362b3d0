"""The same events, scraped live by a real Prometheus on a compressed clock and turned into history, are the same.

A running exporter and running analyzers get the events at simulated times, and their pages at each simulated scrape are
kept. A real Prometheus scrapes these pages ten times a second; each page tells its number, so that it does not matter
whether the machine is slow. At each page, all of its values must be those of the history at the simulated time.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import requests
import yaml
from aiohttp import web

from jelmon import catalogue as c
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.events import Envelope, encode
from jelmon.service.registry import Instruments
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import Scenario
from jelmon_analyzers.event_analyzers.service import EventAnalyzers
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.outputs.blocks import BlockMaker
from jelmon_history.settings import Settings
from jelmon_history.simulation import Simulation

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

pytestmark = pytest.mark.timeout(600)  # two Prometheus servers, one of which scrapes each page in real time

STEP = 30.0
TARGETS = (("jelmon-exporter", "live:1"), ("jelmon-analyzer", "live:2"))
Series = tuple[tuple[str, str], ...]
Query = Callable[[str, str, float], dict[Series, float]]
NUMBER = "page_number"
# facts of the running process and its host, which no event tells
UNKNOWN = {
    metric.name
    for metric in (
        c.ANALYZER_CYCLE,
        c.ANALYZER_WEB_CONFIG_RELOADED,
        c.CHECKPOINT_SUCCESS,
        c.CHECKPOINT_TIME,
        c.COLLECTED,
        c.COLLECTOR_TIME,
        c.COLLECTOR_UP,
        c.CONFIG_RELOADED,
        c.CONFIG_RELOAD_TIME,
        c.CONSUMER_LAG,
        c.EXPORTER_INFO,
        c.EXPORTER_RESETS,
        c.EXPORTER_WEB_CONFIG_RELOADED,
        c.HTTP_EVENTS,
        c.PARTITION_OWNED,
        c.SOURCE_UP,
    )
}


async def live_pages(events: list[Envelope]) -> AsyncIterator[tuple[float, str, str]]:
    """Yield the time of each scrape, and the pages of the running exporter and of the running analyzers then."""
    clock = [0.0]
    instruments = Instruments(c.Service.ANALYZER)
    analyzers = EventAnalyzers(EventAnalyzersSettings(), instruments, health=True)
    exporter = Exporter(
        ExporterSettings(nats=None, listen_address=ListenAddress("127.0.0.1", 0)),
        clock=lambda: clock[0],
    )
    waiting = iter(events)
    event: Envelope | None = next(waiting)
    first = int(events[0].time.timestamp() // STEP) - (events[0].time.timestamp() % STEP == 0)
    last = -int(-events[-1].time.timestamp() // STEP)
    clock[0] = first * STEP
    await exporter.start()
    try:
        while not exporter.source.up:
            await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as session:
            for number in range(first, last + 1):
                while event is not None and event.time.timestamp() <= number * STEP:
                    clock[0] = event.time.timestamp()
                    assert exporter.sink is not None
                    await exporter.sink.publish_each([encode(event)])
                    analyzers.bottleneck.observe(event)  # type: ignore[arg-type]
                    event = next(waiting, None)
                clock[0] = number * STEP
                if number in (first, last):
                    analyzers.attribution.recompute()
                analyzers.bottleneck.analyze(clock[0])
                async with session.get(f"{exporter.url}/metrics") as response:
                    page = await response.text()
                yield clock[0], page, instruments.render()[0].decode()
    finally:
        await exporter.stop()


class Pages:
    """Serves one page of both services at a time."""

    def __init__(self, pages: list[tuple[str, ...]]) -> None:
        self.pages = pages
        self.number = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a scrape."""
        text = self.pages[self.number][int(request.match_info["service"])]
        return web.Response(text=f"{text}{NUMBER} {self.number}\n", content_type="text/plain")


@contextlib.asynccontextmanager
async def scraped(pages: list[tuple[str, ...]], program: Path, folder: Path, query: Query) -> AsyncIterator[str]:
    """Let a real Prometheus scrape the pages, each until it has it; yield its URL."""
    served = Pages(pages)
    app = web.Application()
    app.router.add_get("/{service}/metrics", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"127.0.0.1:{runner.addresses[0][1]}"
    config = folder / "prometheus.yml"
    jobs = [
        {
            "job_name": job,
            "metrics_path": f"/{number}/metrics",
            "static_configs": [{"targets": [target], "labels": {"instance": instance}}],
        }
        for number, (job, instance) in enumerate(TARGETS)
    ]
    timing = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    config.write_text(yaml.safe_dump({"global": timing, "scrape_configs": jobs}), encoding="utf-8")
    try:
        with Processes(folder / "logs") as processes:
            url = await asyncio.to_thread(launch.prometheus, processes, program, folder / "data", config)
            for number in range(len(pages)):
                served.number = number
                async with asyncio.timeout(120):
                    has_it = f"last_over_time({NUMBER}[1h]) == {number}"
                    while len(await asyncio.to_thread(query, url, has_it, time.time())) < len(TARGETS):
                        await asyncio.sleep(0.05)
            yield url
    finally:
        await runner.cleanup()


def first_scrapes(url: str, instance: str) -> dict[int, float]:
    """Return when Prometheus first had each page of a service."""
    expr = f'{NUMBER}{{instance="{instance}"}}[1h]'
    answer = requests.post(f"{url}/api/v1/query", data={"query": expr}, timeout=60).json()
    (series,) = answer["data"]["result"]
    moments: dict[int, float] = {}
    for moment, number in series["values"]:
        moments.setdefault(int(number), moment)
    return moments


def is_told(labels: Series) -> bool:
    """Return whether a series is one that events tell."""
    name = dict(labels)["__name__"]
    metric = next((name.removesuffix(part) for part in ("_bucket", "_sum", "_count") if name.endswith(part)), name)
    return name.startswith("jelmore_") and not UNKNOWN & {name, metric} and not name.startswith("jelmore_system_")


async def test_history_is_what_a_live_prometheus_holds(
    tool: Callable[[str], Path], tmp_path: Path, query: Query, troubled: Scenario
) -> None:
    """Every value of every page, and nothing else: a series that ended is gone at once, in both."""
    program = Path(os.environ.get("JELMON_TEST_PROMETHEUS") or tool("prometheus"))
    events = [step.event for step in simulate(troubled, seed=5, start=START, seconds=600)]
    moments, pages = [], []
    async for moment, *texts in live_pages(events):
        moments.append(moment)
        pages.append(tuple(texts))

    maker = BlockMaker(program, tmp_path / "history")
    try:
        settings = Settings(step=STEP, analyzer_seconds=STEP, exporter_instance="live:1", analyzer_instance="live:2")
        arrivals = [Arrival(event.time.timestamp(), event) for event in events]  # type: ignore[arg-type]
        for chunk in Simulation(settings).run(arrivals):
            await asyncio.to_thread(maker.write, chunk)
        await asyncio.to_thread(maker.finish)
        compared = ended = 0
        async with scraped(pages, program, tmp_path, query) as live_url:
            for _, instance in TARGETS:
                before: set[Series] = set()
                scrapes = await asyncio.to_thread(first_scrapes, live_url, instance)
                for number, moment in enumerate(moments):
                    everything = f'{{instance="{instance}"}}'
                    live = await asyncio.to_thread(query, live_url, everything, scrapes[number])
                    past = await asyncio.to_thread(query, maker.url, everything, moment)
                    live = {labels: value for labels, value in live.items() if is_told(labels)}
                    past = {labels: value for labels, value in past.items() if is_told(labels)}

                    assert sorted(live) == sorted(past), f"page {number}"
                    assert {labels: past[labels] for labels in live} == live, f"page {number}"
                    compared += len(live)
                    ended += len(before - set(live))
                    before = set(live)
    finally:
        await asyncio.to_thread(maker.close)

    assert len(moments) == 22
    assert compared > 10_000
    assert ended >= 5
