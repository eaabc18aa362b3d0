"""Following the stream of events, also on a NATS that takes one filter for a consumer, not several."""

import asyncio
from collections.abc import Callable
from pathlib import Path

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
