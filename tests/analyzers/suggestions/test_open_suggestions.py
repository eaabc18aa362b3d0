"""The life of suggestions, where they are written, and what a change of the line gains."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.analyzers.suggestions.test_strategies import BOTTLENECK

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.client import Card
from jelmon.errors import ConfigError, SourceError
from jelmon.events import (
    ActionFinished,
    ActionFinishedData,
    Event,
    Outcome,
    PipelineDeclared,
    PipelineDeclaredData,
    StageDeclaration,
    make,
)
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.bottleneck.replay.levers import Lever, gain_of
from jelmon_analyzers.suggestions.open_suggestions import GONE_SECONDS, Book
from jelmon_analyzers.suggestions.service import Desk
from jelmon_analyzers.suggestions.storage import open_suggestion_store
from jelmon_analyzers.suggestions.strategies import load


def _book() -> Book:
    return Book(load(), gain=lambda *_: 7.5, flow_time=lambda _, now: 100.0 - now / 100, settle_seconds=900)


def _action(action: str, time: float, outcome: Outcome = Outcome.SUCCESS) -> ActionFinished:
    data = ActionFinishedData(action=action, outcome=outcome, pipeline="demo")
    return make(ActionFinished, data, source="/t", subject="a", time=datetime.fromtimestamp(time, UTC))


def _declared(workers: int, time: float) -> PipelineDeclared:
    stages = (StageDeclaration(stage="deploy", workers=workers),)
    data = PipelineDeclaredData(pipeline="demo", stages=stages)
    return make(PipelineDeclared, data, source="/t", time=datetime.fromtimestamp(time, UTC))


def test_a_suggestion_is_opened_once_and_closed_when_it_has_long_not_fitted() -> None:
    """A cycle without the finding does not close it yet."""
    book = _book()

    assert [one.strategy for one in book.update([BOTTLENECK], 0)] == ["add_worker", "speed_up", "more_room", "throttle"]
    assert book.update([BOTTLENECK], 15) == []
    assert book.update([], 30) == []
    assert book.open[0].expected_seconds == 7.5
    assert book.open[3].expected_seconds is None

    closed = book.update([], 15 + GONE_SECONDS)

    assert len(closed) == 4
    assert {one.closed_at for one in closed} == {15 + GONE_SECONDS}
    assert book.open == ()


def test_an_applied_suggestion_is_measured_before_and_a_window_after() -> None:
    """By the action that was carried out; one that failed changes nothing."""
    book = _book()
    book.update([BOTTLENECK], 0)

    assert book.observe(_action("scale_up", 100, Outcome.FAILURE)) == []
    assert [(one.strategy, one.before_seconds) for one in book.observe(_action("scale_up", 100))] == [
        ("add_worker", 99.0)
    ]
    assert book.update([], 200) == []

    measured = [one for one in book.update([], 1000) if one.applied_at is not None]

    assert [(one.strategy, one.before_seconds, one.after_seconds) for one in measured] == [("add_worker", 99.0, 90.0)]


def test_more_workers_in_a_declaration_are_the_suggestion_applied() -> None:
    """Somebody did it by hand and said so."""
    book = _book()
    book.observe(_declared(2, 0))
    book.update([BOTTLENECK], 10)

    assert book.observe(_declared(2, 20)) == []
    assert [one.strategy for one in book.observe(_declared(3, 30))] == ["add_worker"]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'recommendations.db'}"
    return str(request.getfixturevalue("postgres_dsn"))


async def test_recommendations_are_written_once_and_brought_up_to_date(store_url: str) -> None:
    """In both databases; the same row, with its outcome later."""
    book = _book()
    opened = book.update([BOTTLENECK], 1000.0)
    store = open_suggestion_store(store_url)
    await store.save(opened)
    await store.save(opened)
    await store.save(book.observe(_action("scale_up", 1100)))
    await store.save(book.update([], 2500))
    rows = await store.read()
    added = next(row for row in rows if row["strategy"] == "add_worker")

    assert len(rows) == 4
    assert (added["opened_at"], added["applied_at"], added["closed_at"]) == (1000.0, 1100.0, 2500.0)
    assert (added["before_seconds"], added["after_seconds"], added["expected_seconds"]) == (89.0, 75.0, 7.5)
    assert added["advice"].startswith("Give deploy one more worker")


async def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """And a URL that is none."""
    with pytest.raises(SourceError, match="the table of recommendations in "):
        await open_suggestion_store(f"sqlite:///{tmp_path / 'no' / 'such.db'}").save(_book().update([BOTTLENECK], 0))
    with pytest.raises(ConfigError, match="not the URL of a database"):
        open_suggestion_store("mysql://x")


def _overloaded(watch: BottleneckGauges, *, until: float) -> None:
    """A stage of two workers to which a card comes every 2 s and takes 5 s."""
    stages = (StageDeclaration(stage="deploy", workers=2),)
    data = PipelineDeclaredData(pipeline="demo", stages=stages)
    watch.observe(make(PipelineDeclared, data, source="/t", time=datetime.fromtimestamp(0, UTC)))
    free = [0.0, 0.0]
    told: list[tuple[float, int, Event]] = []
    for number, arrival in enumerate(np.arange(1.0, until, 2.0)):
        one = Card(f"c{number}", pipeline="demo")
        start = max(float(arrival), min(free))
        free[free.index(min(free))] = start + 5
        moments = [(float(arrival), 0), (start, -1), (start + 5, -2)]
        for time, order in moments:
            if time > until:
                continue
            when = datetime.fromtimestamp(time, UTC)
            match order:
                case 0:
                    told.append((time, order, one.stage_queued("deploy", time=when)))
                case -1:
                    told.append((time, order, one.stage_started("deploy", time=when)))
                case _:
                    told.append((time, order, one.stage_finished("deploy", last=True, time=when)))
    for _, _, event in sorted(told, key=lambda part: part[:2]):
        watch.observe(event)


async def test_the_desk_turns_a_verdict_into_written_advice_with_its_gain(tmp_path: Path) -> None:
    """From events to the gauge, the row, and the seconds that one more worker would save."""
    instruments = Instruments(Service.ANALYZER)
    watch = BottleneckGauges(instruments, window_seconds=900)
    store = open_suggestion_store(f"sqlite:///{tmp_path / 'r.db'}")
    desk = Desk(watch, instruments, load(), window_seconds=900, store=store)
    _overloaded(watch, until=900.0)
    watch.export(900.0)
    desk.cycle(900.0)
    task = asyncio.create_task(desk.run())
    while not (rows := await store.read()):
        await asyncio.sleep(0.01)
    await tasks.end(task)
    text = instruments.render()[0].decode()
    added = next(row for row in rows if row["strategy"] == "add_worker")
    line = watch.analyzers["demo"].line

    # five seconds every two need 2.5 workers: with three nobody waits, and what waited is gone
    assert added["expected_seconds"] == pytest.approx(
        gain_of(line, "deploy", Lever.ONE_MORE_WORKER, now=900, seconds=900)
    )
    assert added["expected_seconds"] > 60
    assert f'{c.SUGGESTIONS.name}{{pipeline="demo",strategy="add_worker"}} 1.0' in text
    assert gain_of(line, "deploy", Lever.NO_PAUSES, now=900, seconds=900) == pytest.approx(0)


def test_a_stuck_stage_is_advised_upon_before_it_has_been_so_for_half_a_window() -> None:
    """Thirty cards ran through; then three wait, and nothing has moved for three minutes of fifteen."""
    instruments = Instruments(Service.ANALYZER)
    watch = BottleneckGauges(instruments, window_seconds=900)
    desk = Desk(watch, instruments, load(), window_seconds=900)
    for number in range(33):
        one, begin = Card(f"c{number}", pipeline="demo"), 20.0 * number
        watch.observe(one.stage_queued("deploy", time=datetime.fromtimestamp(begin, UTC)))
        if number < 30:
            watch.observe(one.stage_started("deploy", time=datetime.fromtimestamp(begin, UTC)))
            watch.observe(one.stage_finished("deploy", last=True, time=datetime.fromtimestamp(begin + 5, UTC)))
    watch.export(840.0)
    desk.cycle(840.0)

    assert [one.strategy for one in desk.book.open] == ["unstick"]
    assert desk.book.open[0].action == "restart_pipeline"
    assert desk.book.open[0].severity == pytest.approx(100 * 240 / 840, abs=3)


async def test_what_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the database comes into being only after the first attempt."""
    monkeypatch.setattr("jelmon_analyzers.suggestions.service._RETRY_SECONDS", 0.02)
    folder = tmp_path / "later"
    store = open_suggestion_store(f"sqlite:///{folder / 'r.db'}")
    instruments = Instruments(Service.ANALYZER)
    desk = Desk(
        BottleneckGauges(instruments, window_seconds=900),
        instruments,
        load(),
        window_seconds=900,
        store=store,
        others=[lambda: [BOTTLENECK]],
    )
    desk.cycle(1.0)
    task = asyncio.create_task(desk.run())
    while not desk.trouble:
        await asyncio.sleep(0.01)
    folder.mkdir()
    while desk.trouble:
        await asyncio.sleep(0.01)
    await tasks.end(task)

    assert len(await store.read()) == 4
