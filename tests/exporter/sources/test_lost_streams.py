"""The stream of events disappears under a running exporter: it is made again, and counting goes on."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext

from jelmon import catalogue as c
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import DEAD_LETTER_STREAM, STREAM
from jelmon.service.tasks import end
from jelmon_exporter.app import Exporter
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.sources import partition_consumer
from jelmon_exporter.sources.forwarding import Forwarding
from jelmon_exporter.sources.partition_consumer import PartitionConsumer

Until = Callable[..., Awaitable[None]]
Exporting = Callable[..., Any]


def started(exporter: Exporter) -> int:
    value = exporter.view.value(c.EVENTS_APPLIED, "jelmore.card.started")
    return int(value) if isinstance(value, int | float) else 0


async def test_deleted_streams_are_made_again(own_nats_url: str, exporting: Exporting, until: Until, say: Any) -> None:
    client = await nats.connect(own_nats_url)
    context = client.jetstream()
    async with exporting(nats_url=own_nats_url) as exporter, Publisher(own_nats_url) as publisher:
        await until(lambda: exporter.source.up)
        await publisher.publish(say.card_started("card-1", at=1))
        await until(lambda: started(exporter) == 1)
        for stream in (STREAM, DEAD_LETTER_STREAM):
            await context.delete_stream(stream)
        await until(lambda: not exporter.source.up)
        await until(lambda: exporter.source.up)
        await publisher.publish(say.card_started("card-2", at=2))
        await until(lambda: started(exporter) == 2)
        await client.publish("jelmore.events.card.0.x", b"no event")  # needs the stream of dead letters
        async with asyncio.timeout(40):
            while (await context.stream_info(DEAD_LETTER_STREAM)).state.messages == 0:
                await asyncio.sleep(0.05)
    await client.close()


async def test_a_stream_of_dead_letters_that_is_missing_is_made_when_it_is_needed(
    own_nats_url: str, exporting: Exporting, until: Until
) -> None:
    client = await nats.connect(own_nats_url)
    context = client.jetstream()
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(lambda: exporter.source.up)
        await context.delete_stream(DEAD_LETTER_STREAM)
        await context.publish("jelmore.events.card.0.x", b"no event")
        async with asyncio.timeout(40):
            while True:
                try:
                    if (await context.stream_info(DEAD_LETTER_STREAM)).state.messages == 1:
                        break
                except nats.js.errors.NotFoundError:
                    pass
                await asyncio.sleep(0.05)
        await until(lambda: exporter.source.up)
    await client.close()


async def test_a_server_that_comes_back_with_an_empty_store(
    own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path, exporting: Exporting, until: Until, say: Any
) -> None:
    port, store = free_port(), tmp_path / "nats"
    url = launch.nats(own_processes, tool("nats-server"), store, port=port)
    async with exporting(nats_url=url) as exporter, Publisher(url) as publisher:
        await until(lambda: exporter.source.up)
        await publisher.publish(say.card_started("card-1", at=1))
        await until(lambda: started(exporter) == 1)
        own_processes.signal("nats-server", signal.SIGKILL)
        await until(lambda: not exporter.source.up)
        shutil.rmtree(store)
        await asyncio.to_thread(launch.nats, own_processes, tool("nats-server"), store, port=port)
        await until(lambda: exporter.source.up)
        await publisher.publish(say.card_started("card-2", at=2))
        await until(lambda: started(exporter) == 2)


@pytest.mark.parametrize("rude", [b"-ERR 'maximum subscriptions exceeded'\r\n", b""])
async def test_a_server_that_goes_away_while_the_connection_is_set_up(until: Until, rude: bytes) -> None:
    """It accepts the connection and ends it at the first subscription. The exporter once stopped at that."""
    ended = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","headers":true,"max_payload":1048576}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
                if not rude:
                    break
            if line.startswith((b"SUB", b"PUB", b"HPUB")):
                writer.write(rude)
                break
        await writer.drain()
        writer.close()
        ended += 1

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    forwarding = asyncio.create_task(Forwarding(NatsSettings(url=url), SeriesTable()).run())
    try:
        await until(lambda: ended >= 3 or forwarding.done())
        assert not forwarding.done()
    finally:
        await end(forwarding)
        server.close()


async def test_a_consumer_that_another_replica_recreated_is_noticed(
    own_nats_url: str, exporting: Exporting, cards: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took a partition from an emptied Redis reads everything through it; no further event may come."""
    monkeypatch.setattr(partition_consumer, "CHECK_SECONDS", 0.5)
    create, stolen = PartitionConsumer._create, asyncio.Event()

    async def create_and_lose(self: PartitionConsumer, context: JetStreamContext) -> int:
        pending = await create(self, context)
        if pending and not stolen.is_set():
            config = (await context.consumer_info(STREAM, self._name)).config
            await context.delete_consumer(STREAM, self._name)
            await context.add_consumer(STREAM, config)
            thief = await context.pull_subscribe_bind(self._name, STREAM)
            assert len(await thief.fetch(pending, timeout=30)) == pending
            stolen.set()
        return pending

    monkeypatch.setattr(PartitionConsumer, "_create", create_and_lose)
    async with Publisher(own_nats_url) as publisher:
        await publisher.ensure_stream()
        await publisher.publish_many(cards(0, 1))
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(stolen.is_set)
        await until(lambda: exporter.view.value(c.CARDS_FINISHED, "main", "success") == 1)
