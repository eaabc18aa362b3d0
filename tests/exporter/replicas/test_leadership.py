"""Exporters with a state of their own, on local disk: one shows the figures, the next goes on without a gap."""

import asyncio
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest

from jelmon import catalogue as c
from jelmon.client import Publisher
from jelmon.demo import launch
from jelmon.demo.processes import free_port, pause
from jelmon.nats import streams
from jelmon.nats.subjects import DEAD_LETTER_STREAM, STREAM
from jelmon_exporter.app import Exporter

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]


class Replica:
    """An exporter as a process of its own."""

    def __init__(self, nats_url: str, folder: Path, name: str) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "jelmon", "exporter", "--nats.url", nats_url]
        self._command += ["--web.listen-address", str(self.port), "--state.path", str(folder / name)]
        self._log = folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, stderr=log)

    def ready(self) -> bool:
        return launch.answers(f"http://127.0.0.1:{self.port}/-/ready")

    def shown(self) -> int | None:
        """How many cards it says are finished; None if it shows no figures."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as response:
                page = response.read().decode()
        except OSError:
            return None
        assert "jelmore_exporter_source_up" in page  # its own figures are always there
        found = re.search(
            r'^jelmore_cards_finished_total{pipeline="main",outcome="success"} (\d+)$', page, re.MULTILINE
        )
        return int(found[1]) if found else None

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture
def replicas(own_nats_url: str, tmp_path: Path) -> Any:
    started = [Replica(own_nats_url, tmp_path, name) for name in ("a", "b")]
    yield started
    for replica in started:
        replica.end(signal.SIGKILL)


async def test_of_two_exporters_on_local_disk_one_shows_and_the_other_goes_on(
    own_nats_url: str, replicas: list[Replica], cards: Any, until: Until
) -> None:
    """Killed under load, and paused for longer than its lease: never two show, and never less than was shown before."""
    a, b = replicas
    await until(lambda: a.ready() and b.ready())
    async with Publisher(own_nats_url) as publisher:
        await publisher.publish_many(cards(0, 500))
        await until(lambda: 500 in (a.shown(), b.shown()))
        leader, other = (a, b) if a.shown() else (b, a)

        assert other.shown() is None

        await publisher.publish_many(cards(500, 1500))
        await asyncio.sleep(0.1)
        before = leader.shown()
        leader.end(signal.SIGKILL)
        await publisher.publish_many(cards(1500, 2000))
        seen: list[int] = []

        def all_are_shown() -> bool:
            if (shown := other.shown()) is not None:
                seen.append(shown)
            return bool(seen and seen[-1] == 2000)

        await until(lambda: other.shown() is not None)
        await until(all_are_shown)

        assert before is not None
        assert seen[0] >= before
        assert seen == sorted(seen)

        leader.start()
        await until(leader.ready)

        assert (leader.shown(), other.shown()) == (None, 2000)

        pause(other.process)
        await publisher.publish_many(cards(2000, 2500))
        await until(lambda: leader.shown() == 2500)
        other.process.send_signal(signal.SIGCONT)
        for _ in range(10):  # as it wakes it does not know yet that another leads
            assert other.shown() is None
            await asyncio.sleep(0.1)
        await until(other.ready)

        assert (leader.shown(), other.shown()) == (2500, None)


async def test_what_cannot_be_read_is_parked_once_by_all_replicas(
    own_nats_url: str, exporting: Exporting, until: Until, tmp_path: Path
) -> None:
    """One that comes late and counts from the beginning does not park again what NATS has forgotten as a duplicate."""
    client = await nats.connect(own_nats_url)
    context = client.jetstream()
    await context.add_stream(streams.dead_letter_stream().evolve(duplicate_window=0.1))

    def parked(exporter: Exporter) -> Any:
        return exporter.view.value(c.EVENTS_PARKED, "malformed")

    try:
        async with exporting(nats_url=own_nats_url, state_path=tmp_path / "a") as first:
            await until(lambda: first.leadership.exposes)
            for number in range(20):
                await context.publish(f"jelmore.events.card.{number}", b"no JSON")
            await until(lambda: parked(first) == 20)
            await until(lambda: len(first.leadership._note().counted) == 16)
            await asyncio.sleep(2.5)  # until the lease was renewed with that
            async with exporting(nats_url=own_nats_url, state_path=tmp_path / "b") as second:
                await until(lambda: parked(second) == 20)
                before = (await context.stream_info(DEAD_LETTER_STREAM)).state.messages
                await context.publish("jelmore.events.card.a", b"no JSON")
                await until(lambda: parked(first) == parked(second) == 21)
                await asyncio.sleep(0.5)

        assert before == 20
        assert (await context.stream_info(DEAD_LETTER_STREAM)).state.messages >= 21
    finally:
        await client.close()


async def test_a_successor_that_knows_less_counts_a_reset(
    own_nats_url: str, exporting: Exporting, cards: Any, until: Until, tmp_path: Path
) -> None:
    """It came when the stream had dropped what the leader had counted, and says so."""
    client = await nats.connect(own_nats_url)
    try:
        async with exporting(nats_url=own_nats_url, state_path=tmp_path / "a") as first:
            await until(lambda: first.leadership.exposes)
            async with Publisher(own_nats_url) as publisher:
                await publisher.publish_many(cards(0, 100))
            await until(lambda: first.view.value(c.CARDS_FINISHED, "main", "success") == 100)
            await client.jetstream().purge_stream(STREAM)
            async with Publisher(own_nats_url) as publisher:
                await publisher.publish_many(cards(100, 110))
            await until(lambda: first.view.value(c.CARDS_FINISHED, "main", "success") == 110)
        async with exporting(nats_url=own_nats_url, state_path=tmp_path / "b") as second:
            await until(lambda: second.leadership.exposes)

            assert second.process_series.cell(c.EXPORTER_RESETS, "takeover").value == 1
            assert second.view.value(c.CARDS_FINISHED, "main", "success") == 10
        async with exporting(nats_url=own_nats_url, state_path=tmp_path / "a") as first:
            await until(lambda: first.leadership.exposes)

            assert first.process_series.cell(c.EXPORTER_RESETS, "takeover").value == 0
    finally:
        await client.close()
