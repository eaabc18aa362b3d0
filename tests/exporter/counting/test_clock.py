"""Clocks step by days and back: no card is given up, no series dropped, no event of next week believed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.client import Publisher
from jelmon_exporter.app import Exporter
from jelmon_exporter.counting.clock import SETTLE_SECONDS, STEP_SECONDS, StreamClock
from jelmon_exporter.sources import local, partition_consumer
from jelmon_exporter.sources.jetstream import JetStreamSource

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
WEEK = 8 * 86400.0
NOW = 1_800_000_000.0


class Passing:
    """A monotonic clock for a test."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_step_is_followed_only_once_it_has_lasted() -> None:
    passing = Passing()
    clock = StreamClock(passing)
    assert clock.bounded(NOW + WEEK) == NOW + WEEK  # nothing is known yet

    clock.read(NOW)
    for _ in range(36):  # seconds in which the clock is eight days ahead
        passing.seconds += 1
        clock.read(NOW + WEEK + passing.seconds - 100)
    assert clock.now() == NOW + 36
    assert clock.bounded(NOW + WEEK) == NOW + 36 + STEP_SECONDS
    assert clock.bounded(NOW - WEEK) == NOW - WEEK  # a backlog is as old as it is

    clock.read(NOW + passing.seconds - 100)
    passing.seconds += SETTLE_SECONDS
    clock.read(NOW + WEEK + passing.seconds - 100)  # a step of its own: the earlier one is over
    assert clock.now() == NOW + 36 + SETTLE_SECONDS

    passing.seconds += SETTLE_SECONDS
    clock.read(NOW + WEEK + passing.seconds - 100)
    assert clock.now() == NOW + WEEK + 36 + 2 * SETTLE_SECONDS


@given(st.lists(st.tuples(st.floats(0.1, 5), st.sampled_from([0.0, WEEK, -WEEK, 365 * 86400.0])), max_size=60))
def test_steps_that_do_not_last_change_nothing(steps: list[tuple[float, float]]) -> None:
    """Whatever their order; with at most 300 seconds of them there is nothing to follow."""
    passing = Passing()
    clock = StreamClock(passing)
    clock.read(NOW)
    for seconds, offset in steps:
        passing.seconds += seconds
        clock.read(NOW + passing.seconds - 100 + offset)

        assert clock.now() == pytest.approx(NOW + passing.seconds - 100)


def stepping(exporter: Exporter) -> Callable[[float], None]:
    """Return a function that sets by how much the clock of the host is ahead of the truth."""
    import time

    ahead = 0.0

    def step(seconds: float) -> None:
        nonlocal ahead
        ahead = seconds

    context = exporter.source._context
    object.__setattr__(context, "clock", lambda: time.time() + ahead)
    return step


def event(kind: Any, data: e.Data, subject: str, time: datetime) -> Any:
    return e.make(kind, data, source="/test", subject=subject, time=time)


@pytest.mark.parametrize("nats", [True, False])
async def test_a_clock_eight_days_ahead_for_some_seconds(
    nats: bool,
    request: pytest.FixtureRequest,
    exporting: Exporting,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With and without a stream, over many checks: cards stay in progress, and series stay."""
    monkeypatch.setattr(partition_consumer, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(local, "CHECK_SECONDS", 0.05)
    url = request.getfixturevalue("own_nats_url") if nats else None
    now = datetime.now(UTC)
    card = e.CardData(pipeline="main")
    async with exporting(nats_url=url, state_path=tmp_path / "state.db") as exporter:
        await until(lambda: exporter.source.up)
        send = publisher(url, exporter)
        step = stepping(exporter)
        await send(event(e.CardStarted, card, "a", now))
        await until(lambda: exporter.view.value(c.CARDS_IN_PROGRESS, "main") == 1)
        step(WEEK)
        await send(event(e.CardStarted, card, "b", now + timedelta(seconds=WEEK)))
        await until(lambda: exporter.view.value(c.CARDS_STARTED, "main") == 2)
        await asyncio.sleep(1.0)  # twenty checks in which a card could be given up
        step(0.0)
        await send(event(e.CardFinished, e.CardFinishedData(pipeline="main", outcome=e.Outcome.SUCCESS), "a", now))
        await until(lambda: exporter.view.value(c.CARDS_FINISHED, "main", "success") == 1)

        assert exporter.view.value(c.CARDS_IN_PROGRESS, "main") == 1
        assert exporter.view.value(c.EVENTS_SKEWED) == 1
        last = exporter.view.value(c.LAST_ACTIVITY, "main")
        assert isinstance(last, float)
        assert last < (now + timedelta(hours=1)).timestamp()


def publisher(url: str | None, exporter: Exporter) -> Callable[[Any], Awaitable[None]]:
    async def over_nats(one: Any) -> None:
        assert isinstance(exporter.source, JetStreamSource)
        assert url is not None
        async with Publisher(url) as publishing:
            await publishing.publish(one)

    async def over_http(one: Any) -> None:
        assert exporter.sink is not None
        await exporter.sink.publish_each([e.encode(one)])

    return over_nats if url else over_http
