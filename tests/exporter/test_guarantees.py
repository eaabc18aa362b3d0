"""What the exporter promises about its counts, against real servers that fail. The table is docs/guarantees.md."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import free_port, pause
from jelmon.nats.subjects import STREAM, subject_of
from jelmon_exporter.app import Exporter
from jelmon_exporter.serving.view import View
from jelmon_exporter.sources import partition_consumer
from jelmon_exporter.state.redis import RedisStore
from jelmon_exporter.state.store import StoreUnavailableError

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
HERE = Path(__file__).parent


def figures(view: View) -> tuple[Any, ...]:
    """Cards started, finished, in progress, and the histogram of their time: count and sum."""
    histogram = view.value(c.CARD_PROCESSING, "main", "success")
    total, counts = histogram if isinstance(histogram, tuple) else (0, (0,))
    return (
        view.value(c.CARDS_STARTED, "main"),
        view.value(c.CARDS_FINISHED, "main", "success"),
        view.value(c.CARDS_IN_PROGRESS, "main"),
        sum(counts),
        total / 1e6,
    )


def exactly(number: int) -> tuple[Any, ...]:
    """The figures after so many cards went through."""
    return number, number, 0, number, 1.5 * number


def finished(exporter: Exporter) -> float:
    value = exporter.view.value(c.CARDS_FINISHED, "main", "success")
    return value if isinstance(value, int | float) else 0


async def publish(url: str, events: list[e.Envelope], *, batch: int = e.MAX_BATCH_EVENTS) -> None:
    async with Publisher(url, batch=batch) as publisher:
        await publisher.ensure_stream()
        await publisher.publish_many(events)


async def ready(exporter: Exporter, until: Until) -> None:
    await until(lambda: exporter.source.up and exporter.view.complete)


async def test_kill_9_before_and_after_checkpoints(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """Eight hard exits in one run, before a checkpoint and between checkpoint and acknowledgement."""
    await publish(servers.nats_url, cards(0, 4000), batch=4)
    for number in range(8):
        point = ("before", "after")[number % 2]
        child = await asyncio.create_subprocess_exec(
            sys.executable, HERE / "crashing.py", servers.nats_url, servers.redis_url, point, str(5 + 3 * number)
        )

        assert await asyncio.wait_for(child.wait(), 30) == -signal.SIGKILL
    store = RedisStore(servers.redis_url, renew_seconds=0.2)
    async with exporting(nats_url=servers.nats_url, store=store) as exporter:
        await until(lambda: finished(exporter) == 4000, seconds=30)

        assert figures(exporter.view) == exactly(4000)
        assert exporter.view.value(c.EVENTS_DUPLICATE) == 0


class LosesReplies(RedisStore):
    """Writes, and then claims that nothing was heard: for the first three commits of events."""

    lost = 0

    async def commit(self, partition: int, **what: Any) -> None:
        await super().commit(partition, **what)
        if what["changes"].ids and self.lost < 3:
            self.lost += 1
            raise StoreUnavailableError("the reply was lost")


async def test_lost_reply_of_a_checkpoint(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    store = LosesReplies(servers.redis_url)
    async with exporting(nats_url=servers.nats_url, store=store) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 500))
        await until(lambda: finished(exporter) == 500)

        assert store.lost == 3
        assert figures(exporter.view) == exactly(500)


async def test_redelivery_and_publisher_retries(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """The same id under a new sequence: JetStream's own window is not relied on."""
    client = await nats.connect(servers.nats_url)
    try:
        async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
            await ready(exporter, until)
            for _ in range(2):
                for event in cards(0, 1):
                    await client.publish(subject_of(event), e.encode(event))
            for event in (again := cards(1, 200)):
                await client.publish(subject_of(event), e.encode(event))
            for event in again:
                await client.publish(subject_of(event), e.encode(event))
            await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 398 + 2)

            assert figures(exporter.view) == exactly(200)
    finally:
        await client.close()


async def test_events_sent_again_in_other_company_count_once(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """A retry groups events into other messages, which the stream stores; the events' own ids tell."""
    events = cards(0, 300)
    client = await nats.connect(servers.nats_url)
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        stored = []
        for again in (events, events[150:], [*events[100:], *events[:100]]):
            await publish(servers.nats_url, again)
            stored.append((await client.jetstream().stream_info(STREAM)).state.messages)
        async with Publisher(servers.nats_url, batch=7) as publisher:
            await publisher.publish_many(events)
        await client.close()
        await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 450 + 600 + 600)

        assert stored[0] < stored[1] < stored[2] < 3 * 600 / 5  # the stream did not recognise them
        assert figures(exporter.view) == exactly(300)


async def test_memory_shows_nothing_until_all_is_counted_again(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """A restart is no reset that Prometheus could see: the first value shown is the last one shown before."""
    await publish(servers.nats_url, cards(0, 5000))
    async with exporting(nats_url=servers.nats_url) as exporter:
        shown: list[float] = []

        def all_are_shown() -> bool:
            value = exporter.view.value(c.CARDS_STARTED, "main")
            if isinstance(value, int | float):
                shown.append(value)
            return bool(value == 5000)

        await until(all_are_shown)

        assert set(shown) == {5000}
        assert exporter.view.complete

        await publish(servers.nats_url, cards(5000, 5010))
        await until(lambda: finished(exporter) == 5010)


async def test_duplicates_are_known_after_a_restart(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """The horizon of ids is part of what is committed."""
    events = cards(0, 100)
    client = await nats.connect(servers.nats_url)
    try:
        async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
            await ready(exporter, until)
            await publish(servers.nats_url, events)
            await until(lambda: finished(exporter) == 100)
        for event in events:
            await client.publish(subject_of(event), e.encode(event))
        await client.flush()
        async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
            await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 200)

            assert figures(exporter.view) == exactly(100)
    finally:
        await client.close()


async def test_nats_restarted(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        await servers.end("nats-server")
        await until(lambda: not exporter.source.up)
        await servers.start_nats()
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: finished(exporter) == 600, seconds=40)

        assert figures(exporter.view) == exactly(600)
        assert exporter.source.up


async def test_nats_frozen(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """A server that is there but says nothing: noticed, told, and counted on when it thaws."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        servers.processes.signal("nats-server", signal.SIGSTOP)
        try:
            await until(lambda: not exporter.source.up, seconds=30)
        finally:
            servers.processes.signal("nats-server", signal.SIGCONT)
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: finished(exporter) == 600, seconds=40)
        await until(lambda: exporter.source.up, seconds=40)

        assert figures(exporter.view) == exactly(600)


async def test_stream_purged_before_it_was_counted(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """What was dropped uncounted is counted as lost; what comes after is counted."""
    settings = {"nats_url": servers.nats_url, "redis_url": servers.redis_url}
    client = await nats.connect(servers.nats_url)
    try:
        async with exporting(**settings) as exporter:
            await ready(exporter, until)
            await publish(servers.nats_url, cards(0, 100))
            await until(lambda: finished(exporter) == 100)
        await publish(servers.nats_url, cards(100, 200), batch=1)
        await client.jetstream().purge_stream(STREAM)
        await publish(servers.nats_url, cards(200, 300))
        async with exporting(**settings) as exporter:
            await until(lambda: finished(exporter) == 200)
            lost = exporter.view.value(c.EVENTS_LOST)

            assert figures(exporter.view) == exactly(200)
            assert lost == 200
    finally:
        await client.close()


class Gated(RedisStore):
    """Commits no events until the gate is open."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.gate = asyncio.Event()
        self.waiting = 0

    async def commit(self, partition: int, **what: Any) -> None:
        if what["changes"].ids and not self.gate.is_set():
            self.waiting += 1
            await self.gate.wait()
        await super().commit(partition, **what)


@pytest.mark.parametrize("stands_still", [False, True])
async def test_stream_purged_while_events_waited(
    servers: Any, exporting: Exporting, until: Until, say: Any, monkeypatch: pytest.MonkeyPatch, stands_still: bool
) -> None:
    """Counted and lost are all there were: exactly, or when nobody looked for long and more came meanwhile, nearly."""
    monkeypatch.setattr(partition_consumer, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(partition_consumer, "_PAUSED_SECONDS", 0.2 if stands_still else 1000.0)
    client = await nats.connect(servers.nats_url)
    store = Gated(servers.redis_url)

    async def publish(numbers: range) -> None:
        async with Publisher(servers.nats_url, batch=1) as publisher:
            await publisher.ensure_stream()
            await publisher.publish_many(say.card_started(f"card-{number}", at=number) for number in numbers)

    try:
        await publish(range(3000))
        async with exporting(nats_url=servers.nats_url, store=store, batch_messages=10) as exporter:
            await until(lambda: store.waiting == 16)
            if stands_still:
                await publish(range(3000, 5000))
                await asyncio.sleep(0.3)  # longer than counts as standing still
            await client.jetstream().purge_stream(STREAM)
            store.gate.set()

            def in_all() -> float:
                values = exporter.view.value(c.CARDS_STARTED, "main"), exporter.view.value(c.EVENTS_LOST)
                return sum(value for value in values if isinstance(value, int | float))

            expected = pytest.approx(5000, rel=0.02) if stands_still else 3000
            await until(lambda: in_all() == expected)
            await publish(range(5000, 5200))
            expected = pytest.approx(5200, rel=0.02) if stands_still else 3200
            await until(lambda: in_all() == expected)
            await asyncio.sleep(0.5)

            assert in_all() == expected
            assert exporter.view.value(c.STREAM_CHANGES, "trimmed") == 1
    finally:
        await client.close()


async def test_stream_recreated(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """Its sequences begin anew; counts go on, and events that were counted before are not counted again."""
    client = await nats.connect(servers.nats_url)
    try:
        async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
            await ready(exporter, until)
            await publish(servers.nats_url, cards(0, 100))
            await until(lambda: finished(exporter) == 100)
            await client.jetstream().delete_stream(STREAM)
            await until(lambda: not exporter.source.up)
            async with Publisher(servers.nats_url) as publisher:
                await publisher.ensure_stream()
            await publish(servers.nats_url, cards(100, 150))
            await until(lambda: finished(exporter) == 150, seconds=40)

            assert figures(exporter.view) == exactly(150)
            assert exporter.view.value(c.STREAM_CHANGES, "recreated") == 1
    finally:
        await client.close()


async def test_redis_restarted(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """Counting waits; the last committed figures are served all the while."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        await servers.end("redis-server")
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: exporter.process_series.cell(c.STATE_STORE_UP).value == 0)
        async with aiohttp.ClientSession() as session, session.get(f"{exporter.url}/metrics") as response:
            text = await response.text()

        assert 'jelmore_cards_finished_total{pipeline="main",outcome="success"} 300\n' in text

        await servers.start_redis()
        await until(lambda: finished(exporter) == 600)

        assert figures(exporter.view) == exactly(600)


@pytest.mark.quiet
async def test_it_stops_in_time_when_redis_is_gone(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """Events that wait for a checkpoint are left to the successor; an orchestrator need not kill us."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await servers.end("redis-server")
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: exporter.process_series.cell(c.STATE_STORE_UP).value == 0)
        started = time.monotonic()
    took = time.monotonic() - started

    assert took < 9
    await servers.start_redis()
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as successor:
        await until(lambda: finished(successor) == 300)

        assert figures(successor.view) == exactly(300)


async def test_redis_emptied(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """The owner that lives writes everything again."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        await exporter.store._client.flushall()
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: finished(exporter) == 600)

        assert figures(exporter.view) == exactly(600)
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as successor:
        await ready(successor, until)

        assert figures(successor.view) == exactly(600)


async def test_redis_rolled_back(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """Redis loses its newest writes, the owner lives: values and position fall back together and are written again."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        await _copy_append_only_file(servers, restore=False)
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: finished(exporter) == 600)
        await servers.end("redis-server", signal.SIGKILL)
        await _copy_append_only_file(servers, restore=True)
        await servers.start_redis()
        await publish(servers.nats_url, cards(600, 900))
        await until(lambda: finished(exporter) == 900)

        assert figures(exporter.view) == exactly(900)


async def test_redis_rolled_back_and_the_owner_gone(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """A successor counts again from the older position, from the stream."""
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
        await ready(exporter, until)
        await publish(servers.nats_url, cards(0, 300))
        await until(lambda: finished(exporter) == 300)
        await _copy_append_only_file(servers, restore=False)
        await publish(servers.nats_url, cards(300, 600))
        await until(lambda: finished(exporter) == 600)
    await servers.end("redis-server", signal.SIGKILL)
    await _copy_append_only_file(servers, restore=True)
    await servers.start_redis()
    async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as successor:
        await until(lambda: finished(successor) == 600, seconds=30)

        assert figures(successor.view) == exactly(600)


async def _copy_append_only_file(servers: Any, *, restore: bool) -> None:
    """Keep what Redis has on disk now, or put it back."""
    folder = servers.redis_folder
    for name in ("appendonly.aof", "appendonlydir"):  # Redis 6, Redis 7
        live, kept = folder / name, folder / f"kept-{name}"
        source, target = (kept, live) if restore else (live, kept)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            await asyncio.to_thread(shutil.copytree, source, target)
        elif source.exists():
            await asyncio.to_thread(shutil.copy, source, target)


async def test_an_owner_that_was_paused_is_fenced(servers: Any, exporting: Exporting, cards: Any, until: Until) -> None:
    """Paused beyond its lease and woken, it can write nothing; both show the same in the end."""
    port = free_port()
    command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(port)]
    command += ["--nats.url", servers.nats_url, "--redis.url", servers.redis_url]
    paused = subprocess.Popen(command, env={**os.environ, "METRICS_BATCH_INTERVAL": "50ms"}, stderr=subprocess.DEVNULL)
    try:
        await until(lambda: launch.answers(f"http://127.0.0.1:{port}/-/ready"), seconds=30)
        await publish(servers.nats_url, cards(0, 300))
        await _scraped(port, "jelmore_cards_finished_total", 300)
        publishing = asyncio.create_task(publish(servers.nats_url, cards(300, 900)))
        pause(paused)
        async with exporting(nats_url=servers.nats_url, redis_url=servers.redis_url) as exporter:
            await until(lambda: finished(exporter) == 900, seconds=40)
            await publishing
            paused.send_signal(signal.SIGCONT)
            await publish(servers.nats_url, cards(900, 1200))
            await until(lambda: finished(exporter) == 1200, seconds=40)

            assert figures(exporter.view) == exactly(1200)
            assert exporter.view.value(c.EVENTS_DUPLICATE) == 0

            await _scraped(port, "jelmore_cards_finished_total", 1200)
    finally:
        paused.send_signal(signal.SIGCONT)
        paused.terminate()
        await asyncio.to_thread(paused.wait, 20)

    assert paused.returncode == 0


async def _scraped(port: int, name: str, expected: float) -> None:
    """Wait until a scrape gives the value."""
    deadline = time.monotonic() + 30
    found: list[float] = []
    while found != [expected]:
        assert time.monotonic() < deadline, found
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
            text = await response.text()
        pattern = rf'^{name}{{[^}}]*outcome="success"}} (\S+)$'
        found = [float(value) for value in re.findall(pattern, text, re.MULTILINE)]
        await asyncio.sleep(0.1)


@pytest.mark.quiet
async def test_three_replicas_show_the_same_and_one_may_die(
    servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """Under load, each replica serves the committed whole, also while another is killed."""
    settings = {"nats_url": servers.nats_url, "redis_url": servers.redis_url}
    port = free_port()
    command = [sys.executable, "-m", "jelmon", "exporter", "--web.listen-address", str(port)]
    command += ["--nats.url", servers.nats_url, "--redis.url", servers.redis_url]
    third = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        async with exporting(**settings) as one, exporting(**settings) as two:
            await until(lambda: launch.answers(f"http://127.0.0.1:{port}/-/ready"), seconds=30)
            await until(lambda: sum(_owned(replica) for replica in (one, two)) in (10, 11), seconds=30)
            publishing = asyncio.create_task(publish(servers.nats_url, cards(0, 3000)))
            await until(lambda: finished(one) > 100)
            third.kill()
            await publishing
            killed = time.monotonic()
            await until(lambda: _owned(one) + _owned(two) == 16, seconds=30)
            took = time.monotonic() - killed

            async def whole(replica: Exporter) -> bool:
                await replica.mirror.refresh()
                return finished(replica) == 3000

            for replica in (one, two):
                deadline = time.monotonic() + 20
                while not await whole(replica):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)

                assert figures(replica.view) == exactly(3000)
            assert took < 10
    finally:
        third.kill()
        third.wait()


def _owned(exporter: Exporter) -> int:
    return sum(exporter.process_series.cell(c.PARTITION_OWNED, str(number)).value == 1 for number in range(16))
