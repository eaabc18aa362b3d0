"""Following the stream of events, also on a NATS that takes one filter for a consumer, not several."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon import events as e
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.nats.connection import NatsSettings, connect
from jelmon.nats.partitions import ensure_partitions
from jelmon.nats.subjects import STREAM
from jelmon.service.tasks import end
from jelmon_analyzers.follow import Follower


def _card(number: int) -> e.CardStarted:
    return e.make(e.CardStarted, e.CardData(pipeline="main"), source="/test", subject=f"card-{number}")


async def test_an_old_nats_shows_each_event_once(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """One that came without a partition is seen as the copy that has one, not twice."""
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server 2.9"), tmp_path / "nats", port=free_port())
        settings = NatsSettings(url=url)
        declared = e.make(
            e.PipelineDeclared, e.PipelineDeclaredData(pipeline="main", stages=()), source="/test", subject="main"
        )
        event = _card(7)
        seen: list[str] = []
        follower = Follower(settings, lambda one: seen.append(one.id), replay_seconds=60)
        client = await connect(settings, name="test")
        async with Publisher(url) as publisher:
            await publisher.ensure_stream()
            await ensure_partitions(client)
            await client.jetstream().publish("jelmore.events.card.card-7", e.encode(event))
            await publisher.publish(declared)
            await publisher.publish(event)
            following = asyncio.create_task(follower.run())
            async with asyncio.timeout(30):
                while seen.count(event.id) < 1:
                    await asyncio.sleep(0.02)
                await publisher.publish(last := _card(8))
                while last.id not in seen:
                    await asyncio.sleep(0.02)
            await end(following)
        await client.close()

    assert seen.count(event.id) == 1
    assert declared.id in seen


async def test_events_that_went_out_together_are_all_seen(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Those that are followed, that is: a message may hold others as well."""
    gate = e.GateEvaluatedData(pipeline="main", gate="coverage", verdict=e.Verdict.PASSED)
    events: list[e.Envelope] = [
        _card(7),
        e.make(e.GateEvaluated, gate, source="/test", subject="card-7"),
        e.make(e.StageQueued, e.StageData(pipeline="main", stage="tests"), source="/test", subject="card-7"),
    ]
    seen: list[str] = []
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port())
        client = await connect(NatsSettings(url=url), name="test")
        async with Publisher(url) as publisher:
            await publisher.ensure_stream()
            await publisher.publish_many(events)
            stored = (await client.jetstream().stream_info(STREAM)).state.messages
            follower = Follower(NatsSettings(url=url), lambda one: seen.append(one.id), replay_seconds=60)
            following = asyncio.create_task(follower.run())
            async with asyncio.timeout(30):
                while events[2].id not in seen:
                    await asyncio.sleep(0.02)
            await end(following)
        await client.close()

    assert stored == 1
    assert seen == [events[0].id, events[2].id]


class Followed:
    """A server of its own, and a follower of it."""

    def __init__(self, folder: Path, nats_server: Path, processes: Processes) -> None:
        self._folder, self._program, self._processes, self._port = folder / "nats", nats_server, processes, free_port()
        self.url = self.start()
        self.seen: list[str] = []
        self.follower = Follower(NatsSettings(url=self.url), lambda one: self.seen.append(one.id), replay_seconds=60)

    def start(self) -> str:
        return launch.nats(self._processes, self._program, self._folder, port=self._port)

    def kill(self, *, with_store: bool) -> None:
        self._processes.signal("nats-server", signal.SIGKILL)
        if with_store:
            shutil.rmtree(self._folder)

    async def sees(self, publisher: Publisher, number: int) -> None:
        event = _card(number)
        await publisher.publish(event)
        await _until(lambda: event.id in self.seen)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_lost_consumer_is_made_again_after_the_last_event(tool: Callable[[str], Path], tmp_path: Path) -> None:
    with Processes(tmp_path / "logs") as processes:
        line = Followed(tmp_path, tool("nats-server"), processes)
        client = await connect(NatsSettings(url=line.url), name="test")
        context = client.jetstream()
        async with Publisher(line.url) as publisher:
            await publisher.ensure_stream()
            following = asyncio.create_task(line.follower.run())
            await line.sees(publisher, 1)
            for consumer in await context.consumers_info(STREAM):
                await context.delete_consumer(STREAM, consumer.name)
            await line.sees(publisher, 2)
            await _until(lambda: line.follower.connected)
            await end(following)
        await client.close()

    assert len(line.seen) == len(set(line.seen)) == 2


@pytest.mark.parametrize("with_store", [False, True], ids=["with its store", "with an empty store"])
async def test_following_goes_on_when_the_server_is_back(
    tool: Callable[[str], Path], tmp_path: Path, with_store: bool
) -> None:
    with Processes(tmp_path / "logs") as processes:
        line = Followed(tmp_path, tool("nats-server"), processes)
        async with Publisher(line.url, patience=60) as publisher:
            await publisher.ensure_stream()
            following = asyncio.create_task(line.follower.run())
            await line.sees(publisher, 1)
            line.kill(with_store=with_store)
            await _until(lambda: not line.follower.connected)
            trouble = line.follower.trouble
            await asyncio.to_thread(line.start)
            await _until(lambda: publisher.connected)
            await publisher.ensure_stream()  # as the exporter does
            await line.sees(publisher, 2)
            await end(following)

    assert trouble
    assert len(line.seen) == len(set(line.seen)) == 2
