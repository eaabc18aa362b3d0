"""NATS before 2.10 cannot put events into partitions: publishers name them, and the exporter does it for the others."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import pytest

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.nats import partitions
from jelmon.nats.subjects import DEAD_LETTER_STREAM, STREAM, partitioned, subject_of
from jelmon_exporter.app import Exporter

Exporting = Callable[..., Any]
Jelmon = Callable[..., subprocess.CompletedProcess[str]]
Until = Callable[..., Awaitable[None]]
OLD, NEW = "nats-server 2.9", "nats-server"
MAPPING = """mappings = {
  "jelmore.events.*.*": "jelmore.events.{{wildcard(1)}}.{{partition(16,2)}}.{{wildcard(2)}}"
}
"""


@pytest.fixture
def old_servers(make_servers: Callable[..., Any]) -> Any:
    return make_servers(nats=OLD)


def figures(exporter: Exporter) -> tuple[Any, ...]:
    """Cards started, finished, in progress, and the histogram of their time: count and sum in seconds."""
    histogram = exporter.view.value(c.CARD_PROCESSING, "main", "success")
    total, counts = histogram if isinstance(histogram, tuple) else (0, (0,))
    return (
        exporter.view.value(c.CARDS_STARTED, "main"),
        exporter.view.value(c.CARDS_FINISHED, "main", "success"),
        exporter.view.value(c.CARDS_IN_PROGRESS, "main"),
        sum(counts),
        total / 1e6,
    )


def exactly(number: int) -> tuple[Any, ...]:
    return number, number, 0, number, 1.5 * number


def without_partition(event: e.Envelope) -> str:
    _, _, noun, _, key = subject_of(event).split(".")
    return f"jelmore.events.{noun}.{key}"


async def publish(url: str, events: list[e.Envelope]) -> None:
    """As the client does when it has time: one by one."""
    async with Publisher(url) as publisher:
        for event in events:
            await publisher.publish(event)


async def publish_raw(url: str, events: list[e.Envelope]) -> None:
    """As any program does that knows of no partitions."""
    client = await nats.connect(url)
    try:
        context = client.jetstream()
        await asyncio.gather(
            *(
                context.publish(without_partition(event), e.encode(event), headers={"Nats-Msg-Id": event.id})
                for event in events
            )
        )
    finally:
        await client.close()


async def stored_subjects(url: str) -> dict[str, int]:
    client = await nats.connect(url)
    try:
        info = await client.jetstream().stream_info(STREAM, subjects_filter="jelmore.events.>")
        return info.state.subjects or {}
    finally:
        await client.close()


async def test_the_oldest_nats_is_good_enough(
    old_servers: Any, exporting: Exporting, cards: Any, until: Until, jelmon: Jelmon
) -> None:
    """Events of publishers are stored as by a newer one; those without a partition are counted just as well."""
    settings = {"nats_url": old_servers.nats_url, "redis_url": old_servers.redis_url}
    async with exporting(**settings) as exporter:
        await until(lambda: exporter.source.up and exporter.view.complete)
        await publish(old_servers.nats_url, cards(0, 50))
        subjects = await stored_subjects(old_servers.nats_url)
        await publish_raw(old_servers.nats_url, cards(50, 500))
        mixed = cards(500, 550)  # of each card one event so and one so
        await publish_raw(old_servers.nats_url, mixed[::2])
        await publish(old_servers.nats_url, mixed[1::2])
        await until(lambda: figures(exporter) == exactly(550))

        assert subjects == {partitioned("card", f"card-{number}"): 2 for number in range(50)}
        assert exporter.view.value(c.EVENTS_DUPLICATE) == 0
    async with exporting(**settings) as exporter:
        await until(lambda: exporter.source.up and exporter.view.complete)
        await publish_raw(old_servers.nats_url, cards(550, 560))
        await until(lambda: figures(exporter) == exactly(560))
        told = await asyncio.to_thread(jelmon, "stream", "info", "--nats.url", old_servers.nats_url)

    assert told.returncode == 0
    assert "partitions: the exporter copies events that arrive without one into theirs (NATS 2.9." in told.stdout


async def test_a_copy_that_is_made_twice_counts_once(
    old_servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """The one who copied died before it could say so: at once, or longer ago than NATS knows message ids."""
    client = await nats.connect(old_servers.nats_url)
    try:
        async with Publisher(old_servers.nats_url) as publisher:
            await publisher.ensure_stream()
        await partitions.ensure_partitions(client)
        events = cards(0, 2)
        for number, event in enumerate(events, start=1):
            await client.jetstream().publish(without_partition(event), e.encode(event))
            copied = {"Nats-Msg-Id": f"{STREAM}-{2 * number - 1}" if number < 4 else "long ago"}
            await client.jetstream().publish(subject_of(event), e.encode(event), headers=copied)
        async with exporting(nats_url=old_servers.nats_url) as exporter:
            await until(lambda: exporter.view.value(c.EVENTS_DUPLICATE) == 1)

            assert figures(exporter) == exactly(2)
    finally:
        await client.close()


async def test_what_cannot_be_read_is_parked_also_without_a_partition(
    old_servers: Any, exporting: Exporting, jelmon: Jelmon, until: Until
) -> None:
    """And can be sent again."""
    client = await nats.connect(old_servers.nats_url)
    try:
        async with exporting(nats_url=old_servers.nats_url) as exporter:
            await until(lambda: exporter.source.up)
            await client.jetstream().publish("jelmore.events.card.a", b"no JSON")
            await until(lambda: exporter.view.value(c.EVENTS_PARKED, "malformed") == 1)
            letter = await client.jetstream().get_msg(DEAD_LETTER_STREAM, 1)
            await asyncio.to_thread(jelmon, "dlq", "replay", "1", "--nats.url", old_servers.nats_url)
            await until(lambda: exporter.view.value(c.EVENTS_PARKED, "malformed") == 2)

            assert letter.headers is not None
            assert letter.headers["Jelmon-Subject"] == partitioned("card", "a")
    finally:
        await client.close()


async def test_a_newer_nats_takes_over_what_the_older_stored(
    old_servers: Any, exporting: Exporting, cards: Any, until: Until
) -> None:
    """The server is replaced under a running exporter; what an old producer sends in between is counted, too."""
    url = old_servers.nats_url
    async with exporting(nats_url=url, redis_url=old_servers.redis_url) as exporter:
        await until(lambda: exporter.source.up and exporter.view.complete)
        async with Publisher(url) as publisher:  # stays connected all the while
            half = cards(0, 400)
            await publisher.publish_many(half[0:400:2])
            await publish_raw(url, half[400::2])
            await until(lambda: exporter.view.value(c.CARDS_STARTED, "main") == 400)
            await old_servers.end("nats-server")
            old_servers.nats = NEW
            await old_servers.start_nats()
            await publish_raw(url, half[401::2])
            await publisher.publish_many(half[1:400:2])
        await until(lambda: figures(exporter) == exactly(400))
        client = await nats.connect(url)
        try:
            context = client.jetstream()
            found: list[bool] = []

            async def is_by_stream() -> None:
                found[:] = [partitions.by_stream((await context.stream_info(STREAM)).config)]

            while not found or not found[0]:
                await is_by_stream()
            while await partitions.waiting(context) is not None:
                await asyncio.sleep(0.05)
        finally:
            await client.close()
        before = await stored_subjects(url)
        await publish_raw(url, cards(400, 500))
        await until(lambda: figures(exporter) == exactly(500))
        new = set(await stored_subjects(url)) - set(before)

        assert new == {partitioned("card", f"card-{number}") for number in range(400, 500)}
        assert exporter.view.value(c.EVENTS_DUPLICATE) == 0
        assert exporter.view.value(c.STREAM_CHANGES, "recreated") == 0


async def test_a_mapping_of_the_server_is_as_good(
    make_servers: Callable[..., Any],
    exporting: Exporting,
    jelmon: Jelmon,
    cards: Any,
    until: Until,
) -> None:
    """Nothing is copied, and it does not stand in the way of a newer server."""
    servers = make_servers(nats=OLD, nats_config=MAPPING)
    expected = {partitioned("card", f"card-{number}"): 2 for number in range(60)}
    async with exporting(nats_url=servers.nats_url) as exporter:
        await until(lambda: exporter.source.up and exporter.view.complete)
        await publish_raw(servers.nats_url, cards(0, 50))
        await publish(servers.nats_url, cards(50, 60))
        await until(lambda: figures(exporter) == exactly(60))
        subjects = await stored_subjects(servers.nats_url)

        told = await asyncio.to_thread(jelmon, "stream", "info", "--nats.url", servers.nats_url)

        assert subjects == expected
        assert "partitions: a mapping of the NATS server partitions events that arrive without one" in told.stdout

        await servers.end("nats-server")
        servers.nats = NEW
        await servers.start_nats()
        await publish_raw(servers.nats_url, cards(60, 150))
        await until(lambda: figures(exporter) == exactly(150))
