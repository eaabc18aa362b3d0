"""From findings to gauges and stored suggestions."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.analyzers.suggestions.conftest import BOTTLENECK, REGRESSIONS

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.client import Card
from jelmon.events import (
    Event,
    PipelineDeclared,
    PipelineDeclaredData,
    StageDeclaration,
    make,
)
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.bottleneck.replay.levers import Lever, gain_of
from jelmon_analyzers.suggestions.service import SuggestionService
from jelmon_analyzers.suggestions.storage import open_suggestion_store
from jelmon_analyzers.suggestions.strategies import load


def _overloaded(gauges: BottleneckGauges, *, until: float) -> None:
    """A stage of two workers to which a card comes every 2 s and takes 5 s."""
    stages = (StageDeclaration(stage="deploy", workers=2),)
    data = PipelineDeclaredData(pipeline="demo", stages=stages)
    gauges.observe(make(PipelineDeclared, data, source="/t", time=datetime.fromtimestamp(0, UTC)))
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
        gauges.observe(event)


async def test_a_bottleneck_becomes_a_stored_suggestion_with_its_gain(tmp_path: Path) -> None:
    """From events to the gauge, the row, and the seconds that one more worker would save."""
    instruments = Instruments(Service.ANALYZER)
    gauges = BottleneckGauges(instruments, window_seconds=900)
    store = open_suggestion_store(f"sqlite:///{tmp_path / 'r.db'}")
    service = SuggestionService(gauges, instruments, load(), window_seconds=900, store=store)
    _overloaded(gauges, until=900.0)
    gauges.export(900.0)
    service.cycle(900.0)
    task = asyncio.create_task(service.run())
    while not (rows := await store.read()):
        await asyncio.sleep(0.01)
    await tasks.end(task)
    text = instruments.render()[0].decode()
    added = next(row for row in rows if row["strategy"] == "add_worker")
    line = gauges.analyzers["demo"].line

    # five seconds every two need 2.5 workers: with three nobody waits, and what waited is gone
    assert added["expected_seconds"] == pytest.approx(
        gain_of(line, "deploy", Lever.ONE_MORE_WORKER, now=900, seconds=900)
    )
    assert added["expected_seconds"] > 60
    assert f'{c.SUGGESTIONS.name}{{pipeline="demo",strategy="add_worker"}} 1.0' in text
    assert gain_of(line, "deploy", Lever.NO_PAUSES, now=900, seconds=900) == pytest.approx(0)


def test_a_stuck_stage_gets_a_suggestion_before_half_a_window_has_passed() -> None:
    """Thirty cards ran through; then three wait, and nothing has moved for three minutes of fifteen."""
    instruments = Instruments(Service.ANALYZER)
    gauges = BottleneckGauges(instruments, window_seconds=900)
    service = SuggestionService(gauges, instruments, load(), window_seconds=900)
    for number in range(33):
        one, begin = Card(f"c{number}", pipeline="demo"), 20.0 * number
        gauges.observe(one.stage_queued("deploy", time=datetime.fromtimestamp(begin, UTC)))
        if number < 30:
            gauges.observe(one.stage_started("deploy", time=datetime.fromtimestamp(begin, UTC)))
            gauges.observe(one.stage_finished("deploy", last=True, time=datetime.fromtimestamp(begin + 5, UTC)))
    gauges.export(840.0)
    service.cycle(840.0)

    assert [one.strategy for one in service.suggestions.open] == ["unstick"]
    assert service.suggestions.open[0].action == "restart_pipeline"
    assert service.suggestions.open[0].severity == pytest.approx(100 * 240 / 840, abs=3)


async def test_failed_writes_are_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the database is created after the first attempt."""
    monkeypatch.setattr("jelmon_analyzers.suggestions.service._RETRY_SECONDS", 0.02)
    folder = tmp_path / "later"
    store = open_suggestion_store(f"sqlite:///{folder / 'r.db'}")
    instruments = Instruments(Service.ANALYZER)
    service = SuggestionService(
        BottleneckGauges(instruments, window_seconds=900),
        instruments,
        load(),
        window_seconds=900,
        store=store,
        sources=[lambda: [BOTTLENECK]],
    )
    service.cycle(1.0)
    task = asyncio.create_task(service.run())
    while not service.trouble:
        await asyncio.sleep(0.01)
    folder.mkdir()
    while service.trouble:
        await asyncio.sleep(0.01)
    await tasks.end(task)

    assert len(await store.read()) == 4


def test_findings_of_other_sources_become_suggestions(tmp_path: Path) -> None:
    """The gauge counts open suggestions by strategy."""
    instruments = Instruments(Service.ANALYZER)
    gauges = BottleneckGauges(instruments, window_seconds=900)
    service = SuggestionService(gauges, instruments, load(), window_seconds=900, sources=[lambda: REGRESSIONS])
    service.cycle(1.0)

    assert instruments.values(c.SUGGESTIONS)["demo", "look_at_change"] == 2
