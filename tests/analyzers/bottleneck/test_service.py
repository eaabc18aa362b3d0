"""The analyzer on a real stream: it reads the last window again, names the stage, and outlives a restart of NATS."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.client import Card, Publisher
from jelmon.config.settings import ListenAddress
from jelmon.events import PipelineDeclared, PipelineDeclaredData, StageDeclaration, make
from jelmon.nats.connection import NatsSettings
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.service.web import Server
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Change
from jelmon_analyzers.bottleneck.service import BottleneckService, BottleneckSettings

WINDOW = 300.0


class Running:
    """A service with its metrics and its health endpoints on HTTP, as production has them."""

    def __init__(self, service: BottleneckService, url: str, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.url = url
        self._session = session

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(f"{self.url}{path}") as response:
            return response.status, await response.text()

    async def values(self, metric: c.Gauge | c.Counter) -> dict[str, float]:
        """Labels as text -> value."""
        _, text = await self.get("/metrics")
        found = re.findall(rf"^{metric.name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    async def wait(self, done: Callable[[], bool], *, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"not in {seconds} s; checks: {self.service.checks()}"
            await asyncio.sleep(0.02)

    def waiting(self) -> int:
        """Cards that wait for the one stage of pipeline p."""
        analyzer = self.service.gauges.analyzers.get("p")
        return sum(stage.waiting for stage in analyzer.line.stages) if analyzer is not None else 0

    async def cycle(self) -> None:
        seen = self.service.cycles
        await self.wait(lambda: self.service.cycles > seen)


@contextlib.asynccontextmanager
async def running(url: str, **more: float) -> AsyncIterator[Running]:
    instruments = Instruments(Service.ANALYZER)
    settings = BottleneckSettings(
        nats=NatsSettings(url=url), window_seconds=WINDOW, interval_seconds=more.get("interval", 0.1)
    )
    service = BottleneckService(settings, instruments)
    server = Server("analyzer", checks=service.checks)

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = instruments.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    server.app.router.add_get("/metrics", metrics)
    await server.start(ListenAddress("127.0.0.1", 0))
    task = asyncio.create_task(service.run())
    try:
        async with aiohttp.ClientSession() as session:
            yield Running(service, server.url, session)
    finally:
        await tasks.end(task)
        await server.stop()


async def test_the_last_window_is_replayed_and_the_slow_stage_named(
    own_nats: tuple[str, Callable[[], str]],
) -> None:
    """The demo pipeline, whose tests became three times slower: seven minutes of it lie in the stream already."""
    url, _ = own_nats
    seconds = 420.0
    slow = Change(at_seconds=60, kind="slow", stage="test_execution", factor=3)
    start = datetime.now(UTC) - timedelta(seconds=seconds)
    steps = simulate(DEMO.with_changes((slow,)), seed=5, start=start, seconds=seconds)
    async with Publisher(url, batch=1) as publisher:  # minutes at once: together they would lose their order
        await publisher.ensure_stream()
        await publisher.publish_many(step.event for step in steps)
    async with running(url) as live:
        await live.wait(lambda: live.service.cycles > 0)
        named = await live.values(c.BOTTLENECK_INFO)
        severity = await live.values(c.BOTTLENECK_OVERALL)
        workers = await live.values(c.BOTTLENECK_WORKERS)
        gains = await live.values(c.BOTTLENECK_GAIN)
        episodes = await live.values(c.BOTTLENECK_EPISODES)

        assert ["test_execution" in labels for labels in named] == [True]
        assert severity['pipeline="demo"'] >= 75
        # declared long before the window that is read again: the declaration is found all the same
        assert workers['origin="declared",pipeline="demo",stage="test_execution"'] == 6
        assert max(gains, key=gains.__getitem__) == 'pipeline="demo",stage="test_execution"'
        assert episodes['pipeline="demo",stage="test_execution"'] == 1
        assert await live.values(c.ANALYZER_SUCCESS) != {}
        assert (await live.get("/-/ready"))[0] == 200
        assert (await live.get("/-/healthy"))[0] == 200


async def test_a_declaration_older_than_the_replay_is_read(
    own_nats: tuple[str, Callable[[], str]],
) -> None:
    """Declared a week ago by its own time; one card comes now."""
    url, _ = own_nats
    old = make(
        PipelineDeclared,
        PipelineDeclaredData(pipeline="p", stages=(StageDeclaration(stage="s", workers=7),)),
        source="/test",
        subject="p",
        time=datetime.now(UTC) - timedelta(days=6),
    )
    async with Publisher(url) as publisher:
        await publisher.ensure_stream()
        await publisher.publish(old)
        async with running(url) as live:
            await live.wait(lambda: live.service.cycles > 0)
            await publisher.publish(Card("c", pipeline="p").stage_queued("s"))
            await live.wait(lambda: live.waiting() == 1)
            await live.cycle()

            assert await live.values(c.BOTTLENECK_WORKERS) == {'origin="declared",pipeline="p",stage="s"': 7}
            assert await live.values(c.BOTTLENECK_SEVERITY) == {}


async def test_no_gauges_while_nats_is_down_and_no_events_missed_after(
    own_nats: tuple[str, Callable[[], str]],
) -> None:
    """No stream at first, then events, then a restart of the server: all events are seen once."""
    url, restart = own_nats
    async with running(url) as live:
        await live.wait(lambda: "absent" in live.service.checks()["events"].detail)

        assert (await live.get("/-/ready"))[0] == 503

        async with Publisher(url) as publisher:
            await publisher.ensure_stream()
            await publisher.publish_many(Card(f"a{n}", pipeline="p").stage_queued("s") for n in range(10))
        await live.wait(lambda: live.waiting() == 10)
        await asyncio.to_thread(restart)
        async with Publisher(url) as publisher:
            await publisher.publish_many(Card(f"b{n}", pipeline="p").stage_queued("s") for n in range(10))
        await live.wait(lambda: live.waiting() == 20, seconds=30)

        assert (await live.get("/-/ready"))[0] == 200
