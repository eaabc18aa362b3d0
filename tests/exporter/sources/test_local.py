"""Events counted without NATS: what is answered with 202 is in the state, once, whatever happens afterwards."""

import asyncio
import contextlib
import itertools
import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon.config.settings import ListenAddress
from jelmon.demo.processes import free_port
from jelmon.errors import ConfigError
from jelmon.nats.subjects import partition_of
from jelmon_exporter.app import Exporter, open_store
from jelmon_exporter.counting import clock
from jelmon_exporter.serving.view import View
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources import local
from jelmon_exporter.sources.http import BATCH, ONE, PATH
from jelmon_exporter.state.memory import MemoryStore
from jelmon_exporter.state.store import StoreUnavailableError

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
START = datetime(2026, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def running(exporting: Exporting, until: Until, **settings: Any) -> AsyncIterator[Exporter]:
    """An exporter without NATS that takes events."""
    async with exporting(nats_url=None, **settings) as exporter:
        await until(lambda: exporter.source.up)
        yield exporter


async def post(exporter: Exporter | str, events: list[e.Envelope] | bytes) -> tuple[int, dict[str, Any]]:
    """Send events as one batch; status and answer."""
    url = exporter if isinstance(exporter, str) else exporter.url
    body = events if isinstance(events, bytes) else e.encode_batch(events)
    kind = BATCH if body.startswith(b"[") else ONE
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}{PATH}", data=body, headers={"Content-Type": kind}) as response,
    ):
        return response.status, await response.json()


def figures(view: View) -> tuple[Any, ...]:
    """Cards started, finished and in progress; count and sum of their times."""
    histogram = view.value(c.CARD_PROCESSING, "main", "success")
    total, counts = histogram if isinstance(histogram, tuple) else (0, (0,))
    started, done = view.value(c.CARDS_STARTED, "main"), view.value(c.CARDS_FINISHED, "main", "success")
    return started, done, view.value(c.CARDS_IN_PROGRESS, "main"), sum(counts), total / 1e6


async def test_without_nats_events_are_counted_when_they_are_answered(
    exporting: Exporting, until: Until, cards: Any, say: Any
) -> None:
    """One, and a batch of several partitions; there is no stream, so no place in it. The exporter is ready."""
    async with running(exporting, until) as exporter:
        one = await post(exporter, e.encode(say.card_started("card-x", at=0)))
        many = await post(exporter, cards(0, 40))
        counted = figures(exporter.view)
        async with aiohttp.ClientSession() as session, session.get(f"{exporter.url}/-/ready") as response:
            ready = response.status

    assert one == (202, {"accepted": 1, "results": [{"index": 0, "id": "event-0", "status": "stored"}]})
    assert (many[0], many[1]["accepted"]) == (202, 80)
    assert counted == (41, 40, 1, 40, 60.0)
    assert ready == 200


async def test_without_nats_the_same_id_counts_once(exporting: Exporting, until: Until, cards: Any) -> None:
    """Within a post, in a later one, and the same step under another id; each is said to be a duplicate."""
    events = cards(0, 2)
    async with running(exporting, until) as exporter:
        first = await post(exporter, [*events, events[0]])
        again = await post(exporter, [*events, *cards(1, 3)])
        counted = figures(exporter.view), exporter.view.value(c.EVENTS_DUPLICATE)

    assert [result["status"] for result in first[1]["results"]] == ["stored"] * 4 + ["duplicate"]
    assert [result["status"] for result in again[1]["results"]] == ["duplicate"] * 6 + ["stored"] * 2
    assert counted == ((3, 3, 0, 3, 4.5), 7)


async def test_without_nats_what_is_bad_is_refused_and_the_rest_counted(
    exporting: Exporting, until: Until, say: Any
) -> None:
    bad = say.card_started("card-2", at=1, pipeline="")
    async with running(exporting, until) as exporter:
        status, body = await post(exporter, [say.card_started("card-1", at=0), bad, say.card_started("card-3", at=2)])
        counted = exporter.view.value(c.CARDS_STARTED, "main")

    assert (status, body["accepted"]) == (400, 2)
    assert [(one["status"], one.get("field")) for one in body["results"]] == [
        ("stored", None),
        ("refused", "data.pipeline"),
        ("stored", None),
    ]
    assert counted == 2


async def test_without_nats_a_state_file_keeps_everything_over_a_restart(
    exporting: Exporting, until: Until, cards: Any, tmp_path: Path
) -> None:
    """Counts, cards in flight and the ids that tell duplicates."""
    events = cards(0, 30)
    starts, ends = events[::2], events[1::2]
    async with running(exporting, until, state_path=tmp_path / "state") as exporter:
        await post(exporter, starts)
    async with running(exporting, until, state_path=tmp_path / "state") as exporter:
        before = figures(exporter.view)
        again = await post(exporter, starts)
        await post(exporter, ends)
        after = figures(exporter.view)

    assert before == (30, None, 30, 0, 0.0) or before == (30, 0, 30, 0, 0.0)
    assert {result["status"] for result in again[1]["results"]} == {"duplicate"}
    assert after == (30, 30, 0, 30, 45.0)


async def test_without_nats_kill_9_costs_no_event_and_doubles_none(
    exporting: Exporting, until: Until, cards: Any, tmp_path: Path
) -> None:
    """A producer that sends again whatever was not answered, and an exporter that is killed while it does."""
    port, state = free_port(), tmp_path / "state"
    url = f"http://127.0.0.1:{port}"
    events = cards(0, 200)
    left = [events[at : at + 10] for at in range(0, len(events), 10)]
    answered = 0

    async def start() -> asyncio.subprocess.Process:
        flags = ["--nats.url", "none", "--state.path", str(state), "--web.listen-address", f"127.0.0.1:{port}"]
        return await asyncio.create_subprocess_exec(sys.executable, "-m", "jelmon", "exporter", *flags)

    async def produce() -> None:
        nonlocal answered
        while left:
            with contextlib.suppress(aiohttp.ClientError):
                status, _ = await post(url, left[0])
                if status == 202:
                    answered += 1
                    left.pop(0)
                    continue
            await asyncio.sleep(0.02)

    exporter = await start()
    producing = asyncio.create_task(produce())
    for kill_at in (8, 24):
        await until(lambda expected=kill_at: answered >= expected)
        exporter.kill()
        await exporter.wait()
        exporter = await start()
    await asyncio.wait_for(producing, 60)
    exporter.send_signal(signal.SIGKILL)
    await exporter.wait()
    async with running(exporting, until, state_path=state) as again:
        counted = figures(again.view)

    assert answered == 40
    assert counted == (200, 200, 0, 200, 300.0)


async def test_without_nats_a_state_that_was_counted_with_it_goes_on(
    exporting: Exporting, until: Until, cards: Any, own_nats_url: str, tmp_path: Path
) -> None:
    """And the other way round: the stream is taken up where it was left."""
    first, second = cards(0, 20), cards(20, 40)
    state = {"state_path": tmp_path / "state"}
    async with exporting(nats_url=own_nats_url, **state) as exporter, Publisher(own_nats_url) as publisher:
        await until(lambda: exporter.source.up)
        await publisher.publish_many(first[::2])
        await until(lambda: exporter.view.value(c.CARDS_STARTED, "main") == 20)
    async with running(exporting, until, **state) as exporter:
        await post(exporter, [*first, *second[::2]])
        between = figures(exporter.view)
    async with exporting(nats_url=own_nats_url, **state) as exporter, Publisher(own_nats_url) as publisher:
        await publisher.publish_many(second)
        await until(lambda: exporter.view.value(c.CARDS_FINISHED, "main", "success") == 40)
        after = figures(exporter.view)

    assert between == (40, 20, 20, 20, 30.0)
    assert after == (40, 40, 0, 40, 60.0)


async def test_without_nats_posts_at_the_same_time_share_commits(
    exporting: Exporting, until: Until, cards: Any, tmp_path: Path
) -> None:
    """A disk that takes its time is waited for by all of them together; each is answered for its own events."""
    events = cards(0, 300)
    async with running(exporting, until, state_path=tmp_path / "state") as exporter:
        commits = exporter.process_series.cell(c.CHECKPOINT_TIME)
        before = sum(commits.counts)
        answers = await asyncio.gather(*(post(exporter, events[at : at + 20]) for at in range(0, 600, 20)))
        made = sum(commits.counts) - before
        counted = figures(exporter.view)

    assert {status for status, _ in answers} == {202}
    assert counted == (300, 300, 0, 300, 450.0)
    assert made < 30 * 16 / 2


class Failing(MemoryStore):
    """Refuses commits while it is told to."""

    broken = False

    async def commit(self, partition: int, **what: Any) -> None:
        if self.broken:
            raise StoreUnavailableError("the disk is full")
        await super().commit(partition, **what)


async def test_without_nats_what_cannot_be_kept_is_not_accepted(
    exporting: Exporting, until: Until, cards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is to come again; when the state can be written again everything counts once."""
    monkeypatch.setattr(local, "ANSWER_SECONDS", 0.3)
    store = Failing()
    async with running(exporting, until, store=store) as exporter:
        store.broken = True
        refused = [await post(exporter, cards(0, 5)) for _ in range(2)]
        shown = exporter.view.value(c.CARDS_STARTED, "main")
        store.broken = False
        await until(lambda: exporter.view.value(c.CARDS_STARTED, "main") == 5)
        again = await post(exporter, cards(0, 5))
        counted = figures(exporter.view)

    assert [status for status, _ in refused] == [503, 503]
    assert refused[0][1]["hint"] == "send the whole request again"
    assert shown is None
    assert (again[0], counted) == (202, (5, 5, 0, 5, 7.5))


async def test_without_nats_time_passes_also_where_no_event_comes(
    until: Until, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is idle for long goes, while another partition is busy."""
    monkeypatch.setattr(local, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(clock, "STEP_SECONDS", math.inf)  # here the time that the clock shows has passed
    now = [START.timestamp()]
    settings = ExporterSettings(listen_address=ListenAddress("127.0.0.1", 0), nats=None)
    exporter = Exporter(settings, clock=lambda: now[0])
    await exporter.start()
    try:
        await until(lambda: exporter.source.up)
        await post(exporter, [say.card_finished("card-1", at=0, pipeline="idle")])
        shown = exporter.view.value(c.CARDS_FINISHED, "idle", "success")
        now[0] += 2 * settings.series_idle
        for number in itertools.count():
            await post(exporter, [say.card_started("card-2", at=now[0] - START.timestamp() + number, pipeline="busy")])
            if exporter.view.value(c.CARDS_FINISHED, "idle", "success") is None:
                break
            assert number < 1000
    finally:
        await exporter.stop()

    assert shown == 1
    assert partition_of("card-1") != partition_of("card-2")


def test_without_nats_commits_wait_for_the_disk(tmp_path: Path) -> None:
    """The state file is all there is; with a stream behind it losing the last commits would do no harm."""
    levels = []
    for settings in (
        ExporterSettings(nats=None, state_path=tmp_path / "a"),
        ExporterSettings(state_path=tmp_path / "b"),
    ):
        store: Any = open_store(settings)
        levels.append(store._database.execute("PRAGMA synchronous").fetchone()[0])
        asyncio.run(store.close())

    assert levels == [2, 1]


def test_without_nats_there_is_one_exporter() -> None:
    with pytest.raises(ConfigError, match="replicas that share a Redis need NATS to divide the events among them"):
        ExporterSettings(nats=None, redis_url="redis://127.0.0.1:6379/0")
