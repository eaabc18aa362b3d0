"""What could not be read can be looked at, published again or dropped; and the streams can be made and checked."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import nats

from jelmon import catalogue as c
from jelmon.nats.subjects import STREAM

Jelmon = Callable[..., subprocess.CompletedProcess[str]]
Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]


async def test_dead_letters_are_listed_replayed_and_dropped(
    own_nats_url: str, exporting: Exporting, jelmon: Jelmon, until: Until
) -> None:
    async def dlq(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(jelmon, "dlq", *arguments, "--nats.url", own_nats_url)

    client = await nats.connect(own_nats_url)
    try:
        async with exporting(nats_url=own_nats_url) as exporter:
            await until(lambda: exporter.source.up)
            for payload in (b"one", b"two"):
                await client.jetstream().publish("jelmore.events.card.a", payload)
            await until(lambda: exporter.view.value(c.EVENTS_PARKED, "malformed") == 2)
            listed = await dlq("list", "--payload")

            assert listed.returncode == 1
            assert "malformed" in listed.stdout
            assert "b'two'" in listed.stdout
            assert "2 events parked" in listed.stdout

            replayed = await dlq("replay", "1")
            await until(lambda: exporter.view.value(c.EVENTS_PARKED, "malformed") == 3)

            assert "1 event published again" in replayed.stdout

            absent = await dlq("drop", "1")

            assert absent.returncode == 1
            assert "there is no dead letter 1" in absent.stderr

            dropped = await dlq("drop", "--all")

            assert "2 events dropped" in dropped.stdout
            assert (await dlq("list")).returncode == 0
            assert (await dlq("drop")).returncode == 2
    finally:
        await client.close()


def test_a_fresh_installation_has_no_dead_letters(own_nats_url: str, jelmon: Jelmon) -> None:
    """With the stream absent, then empty."""
    before = jelmon("dlq", "list", "--nats.url", own_nats_url)
    jelmon("stream", "init", "--nats.url", own_nats_url)
    empty = jelmon("dlq", "list", "--nats.url", own_nats_url)

    assert (before.returncode, before.stdout) == (0, "0 events parked\n"), before.stderr
    assert (empty.returncode, empty.stdout) == (0, "0 events parked\n"), empty.stderr


def test_the_streams_are_made_and_checked(own_nats_url: str, jelmon: Jelmon) -> None:
    absent = jelmon("stream", "info", "--nats.url", own_nats_url)
    made = jelmon("stream", "init", "--max-age", "2d", "--nats.url", own_nats_url)
    again = jelmon("stream", "init", "--nats.url", own_nats_url)
    parked = jelmon("dlq", "list", "--nats.url", own_nats_url)
    fine = jelmon("stream", "info", "--nats.url", own_nats_url)

    assert (absent.returncode, "stream JELMORE is absent" in absent.stdout) == (1, True)
    assert (made.returncode, "stream JELMORE: created" in made.stdout) == (0, True)
    assert "left unchanged" in again.stdout
    assert (fine.returncode, "kept for 2 days on disk" in fine.stdout) == (0, True)
    assert "partitions: the stream partitions events that arrive without one (NATS 2." in fine.stdout
    assert (parked.returncode, parked.stdout) == (0, "0 events parked\n"), parked.stderr


async def test_a_stream_made_by_others_is_checked(own_nats_url: str, jelmon: Jelmon) -> None:
    """`info` tells what is wrong; `init` mends what it may."""
    client = await nats.connect(own_nats_url)
    await client.jetstream().add_stream(name=STREAM, subjects=["jelmore.events.>"], storage="memory")
    await client.close()
    before = await asyncio.to_thread(jelmon, "stream", "info", "--nats.url", own_nats_url)
    init = await asyncio.to_thread(jelmon, "stream", "init", "--nats.url", own_nats_url)

    assert before.returncode == 1
    assert "events are not partitioned correctly" in before.stdout
    assert "stored in memory" in before.stdout
    assert "now partitioned" in init.stdout
    assert "events are not partitioned" not in init.stdout
