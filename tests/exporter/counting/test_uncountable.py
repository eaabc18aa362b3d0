"""No event stops the counting: one that cannot be counted is parked with its reason, and the others are counted."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Published, Publisher
from jelmon.errors import EventError, Rejection
from jelmon.nats import connection
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import STREAM, subject_of
from jelmon_exporter.app import Exporter
from jelmon_exporter.counting.tracker import HANDLERS
from jelmon_exporter.series.cells import HistogramCell
from jelmon_exporter.streams.dead_letters import dead_letters

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
STORES = ("memory", "disk", "redis")


def total(exporter: Exporter, metric: c.Metric) -> float:
    values = (exporter.view.merged(series) for series in exporter.view.families[metric.name].values())
    return sum(value for value in values if isinstance(value, int | float))


def settings(store: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    match store:
        case "redis":
            return {"redis_url": request.getfixturevalue("redis_url")}
        case "disk":
            return {"state_path": folder / "state.db"}
    return {}


def fail_while_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards called bad-... raise in the middle of their handler, after it changed something."""
    handle = HANDLERS[e.CardStarted]

    def handler(ledger: Any, event: Any, time: datetime) -> bool:
        done = handle(ledger, event, time)
        if event.subject.startswith("bad"):
            raise OverflowError("date value out of range")
        return done

    monkeypatch.setitem(cast("dict[Any, Any]", HANDLERS), e.CardStarted, handler)


def fail_while_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A duration of 77 s raises when the numbers of a batch are brought into the histogram, long after its handler."""
    observe_all = HistogramCell.observe_all

    def observing(self: HistogramCell, durations: list[timedelta]) -> int:
        if timedelta(seconds=77) in durations:
            raise OverflowError("date value out of range")
        return observe_all(self, durations)

    monkeypatch.setattr(HistogramCell, "observe_all", observing)


@pytest.mark.parametrize("store", STORES)
async def test_an_event_that_raises_is_parked_and_the_others_count(
    store: str,
    request: pytest.FixtureRequest,
    own_nats_url: str,
    exporting: Exporting,
    cards: Any,
    say: Any,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fail_while_applied(monkeypatch)
    fail_while_drained(monkeypatch)
    bad = [say.card_started(f"bad-{number}", at=number) for number in range(3)]
    slow = [say.card_started("slow", at=500), say.card_finished("slow", at=577)]
    events = [*cards(0, 40), bad[0], *cards(40, 60), bad[1], *slow, bad[2], *cards(60, 80)]
    async with Publisher(own_nats_url) as publisher:
        await publisher.ensure_stream()
        await publisher.publish_many(events)
    async with exporting(nats_url=own_nats_url, **settings(store, request, tmp_path)) as exporter:
        await until(lambda: total(exporter, c.EVENTS_PARKED) == 4 and exporter.view.complete)
        await until(lambda: exporter.view.value(c.CARDS_FINISHED, "main", "success") == 80)

        assert exporter.view.value(c.EVENTS_PARKED, "uncountable") == 4
        assert exporter.view.value(c.CARDS_STARTED, "main") == 81
        assert exporter.view.value(c.CARDS_IN_PROGRESS, "main") == 1  # the slow card, whose end is parked
        assert total(exporter, c.EVENTS_DUPLICATE) == 0
        client = await connection.connect(NatsSettings(url=own_nats_url), name="test")
        letters = [letter async for letter in dead_letters(client.jetstream())]
        await client.close()

        assert sorted(e.parse(letter.payload).subject or "" for letter in letters) == [
            "bad-0",
            "bad-1",
            "bad-2",
            "slow",
        ]
        assert {letter.reason for letter in letters} == {"uncountable"}
        assert all("counting raised OverflowError: date value out of range" in letter.message for letter in letters)
        await exporter.source.last()  # it still works


async def test_without_nats_the_request_is_told_and_the_others_count(
    exporting: Exporting, say: Any, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fail_while_applied(monkeypatch)
    async with exporting(nats_url=None, state_path=tmp_path / "state.db") as exporter:
        await until(lambda: exporter.source.up)
        sent = [say.card_started(name, at=1) for name in ("good", "bad", "fine")]
        results = await exporter.sink.publish_each([e.encode(event) for event in sent])
        again = await exporter.sink.publish_each([e.encode(event) for event in sent])

        assert isinstance(results[1], EventError)
        assert results[1].reason is Rejection.UNCOUNTABLE
        assert [results[0], results[2]] == [Published(0), Published(0)]
        assert [again[0], again[2]] == [Published(0, duplicate=True)] * 2
        assert exporter.view.value(c.CARDS_STARTED, "main") == 2
        assert exporter.view.value(c.EVENTS_PARKED, "uncountable") == 2


DEFAULT_DATES = (
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),  # as .NET writes a date that was never set
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
)
DISTANT = (
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
)


@pytest.mark.parametrize("time", DEFAULT_DATES, ids=str)
def test_a_default_date_is_refused(time: datetime) -> None:
    event = e.make(e.CardStarted, e.CardData(pipeline="main"), source="/test", subject="a", time=time)
    good = e.make(e.CardStarted, e.CardData(pipeline="main"), source="/test", subject="a")
    with pytest.raises(EventError, match=r"is before the year 2000 - at `\$\.time`") as caught:
        e.parse(e.encode(event))
    with pytest.raises(EventError):
        e.parse_all([e.encode(good), e.encode(event)])
    with pytest.raises(EventError):
        e.parse_batch(e.encode_batch([good, event]))

    assert caught.value.reason is Rejection.INVALID
    assert "default date" in caught.value.hint


async def test_times_at_the_ends_of_the_calendar_stop_nothing(
    own_nats_url: str, exporting: Exporting, until: Until
) -> None:
    """Stored by a producer that publishes by itself, each kind of event that keeps its time, alone and in batches."""
    started = e.SessionData(kind="chat")
    kinds: list[tuple[type[Any], e.Data]] = [
        (e.CardQueued, e.CardData(pipeline="main")),
        (e.CardStarted, e.CardData(pipeline="main")),
        (e.CardFinished, e.CardFinishedData(pipeline="main", outcome=e.Outcome.SUCCESS)),
        (e.StageQueued, e.StageData(pipeline="main", stage="build")),
        (e.StageStarted, e.StageStartedData(pipeline="main", stage="build")),
        (e.StageFinished, e.StageFinishedData(pipeline="main", stage="build", outcome=e.Outcome.SUCCESS)),
        (e.SessionStarted, started),
    ]
    events = [
        e.make(kind, data, source="/test", subject=f"item-{number}", time=time)
        for number, time in enumerate((*DEFAULT_DATES, *DISTANT))
        for kind, data in kinds
    ]
    client = await connection.connect(NatsSettings(url=own_nats_url), name="test")
    async with exporting(nats_url=own_nats_url) as exporter:
        await until(lambda: exporter.source.up)
        context = client.jetstream()
        for event in events:
            await context.publish(subject_of(event), e.encode(event))
        await context.publish("jelmore.events.batch.0.x", e.encode_batch(events[:14]))
        last = (await context.stream_info(STREAM)).state.last_seq
        assert last
        await until(lambda: total(exporter, c.EVENTS_PARKED) == len(DEFAULT_DATES) * len(kinds) + 14)
        await until(lambda: total(exporter, c.EVENTS_APPLIED) == len(DISTANT) * len(kinds))

        assert exporter.view.value(c.EVENTS_PARKED, "invalid") == total(exporter, c.EVENTS_PARKED)
        assert total(exporter, c.EVENTS_SKEWED) >= len(DISTANT)
        assert exporter.source.up
    await client.close()


async def test_a_counter_above_two_to_the_53_survives_a_restore_exactly(
    tmp_path: Path, exporting: Exporting, until: Until
) -> None:
    large = 2**53
    scan = e.ScanFinishedData(pipeline="main", scanner="s", outcome=e.Outcome.SUCCESS, findings={e.Severity.LOW: large})
    one = e.ScanFinishedData(pipeline="main", scanner="s", outcome=e.Outcome.SUCCESS, findings={e.Severity.LOW: 1})

    async def count(exporter: Exporter, data: e.ScanFinishedData) -> Any:
        await until(lambda: exporter.source.up)
        event = e.make(e.ScanFinished, data, source="/test", subject="a")
        assert exporter.sink is not None
        assert await exporter.sink.publish_each([e.encode(event)]) == [Published(0)]
        return exporter.view.value(c.SCAN_FINDINGS, "main", "s", "low")

    for number in range(3):
        async with exporting(nats_url=None, state_path=tmp_path / "state.db") as exporter:
            before = exporter.view.value(c.SCAN_FINDINGS, "main", "s", "low") or 0
            found = await count(exporter, scan)
            assert found == (number + 1) * large + number
            assert await count(exporter, one) == (number + 1) * (large + 1)
            assert before in (0, number * (large + 1))
        await asyncio.sleep(0)
