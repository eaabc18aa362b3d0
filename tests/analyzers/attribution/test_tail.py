"""Known causes are found with their share; where nothing explains the time, nobody is named."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.client import Card
from jelmon.events import TestOutcome
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import DEMO, Change
from jelmon_analyzers.attribution import attribute
from jelmon_analyzers.attribution.cards import CardCauses
from jelmon_analyzers.attribution.gauges import AttributionGauges
from jelmon_analyzers.attribution.tail import quantile_regression

NAMES = ["wait", "run", "noise"]


def _made(seed: int, cards: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Waits with a long tail, runs without one, a cause that does nothing, and a little that is not explained."""
    random = np.random.default_rng(seed)
    wait = random.lognormal(2, 1, cards)
    run = random.normal(30, 3, cards)
    noise = random.lognormal(2, 1, cards)
    return np.column_stack([wait, run, noise]), wait + run + random.normal(0, 1, cards)


def test_the_cause_with_the_long_tail_is_named_with_its_share() -> None:
    """What the slow cards have more of is the wait, nearly alone; its interval holds the true share."""
    causes, times = _made(1)
    found = attribute(NAMES, causes, times)
    slow = times >= np.quantile(times, 0.9)
    truth = (causes[slow, 0].mean() - causes[:, 0].mean()) / (times[slow].mean() - times.mean())
    shares = {driver.name: driver for driver in found.drivers}

    assert found.drivers[0].name == "wait"
    assert shares["wait"].share == pytest.approx(truth, abs=0.05)
    assert shares["wait"].lower <= truth <= shares["wait"].upper
    assert shares["noise"].share < 0.05
    assert found.explained > 0.8


def test_without_an_explanation_there_are_no_drivers() -> None:
    """Out of sample a model of noise is worth nothing, however many causes it may choose from."""
    random = np.random.default_rng(2)
    found = attribute([f"c{n}" for n in range(10)], random.lognormal(0, 1, (300, 10)), random.lognormal(3, 1, 300))

    assert found.drivers == ()
    assert found.reason == "the model explains too little"
    assert found.explained < 0.3


def test_too_few_cards_or_constant_causes_give_a_reason() -> None:
    """Before there is anything to fit."""
    assert attribute(["a"], np.ones((20, 1)), np.ones(20)).reason == "too few cards"
    assert attribute(["a"], np.ones((200, 1)), np.arange(200.0)).reason == "nothing varies"
    assert attribute([], np.ones((200, 0)), np.arange(200.0)).reason == "nothing varies"


def test_quantile_regression_has_a_tenth_of_the_points_above_it() -> None:
    """And without causes it is the quantile."""
    causes, times = _made(3)
    intercept, coefficients = quantile_regression(causes, times)

    assert np.mean(times > intercept + causes @ coefficients + 1e-9) == pytest.approx(0.1, abs=0.02)
    assert quantile_regression(np.zeros((11, 1)), np.arange(11.0))[0] == pytest.approx(9.0, abs=1.0)


def test_causes_of_a_card_are_its_waits_runs_retries_and_tests() -> None:
    """By hand."""
    start = datetime(2026, 1, 5, tzinfo=UTC)

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    one, cards = Card("c", pipeline="p"), CardCauses(lambda: {"cpu": 0.5})
    for event in (
        one.stage_queued("a", time=at(0)),
        one.stage_started("a", time=at(4)),
        one.test_finished("unit", TestOutcome.PASSED, duration_seconds=2.5, time=at(9)),
        one.stage_finished("a", time=at(10)),
        one.stage_retried("a", attempt=2, time=at(10)),
        one.stage_queued("a", attempt=2, time=at(10)),
        one.stage_started("a", attempt=2, time=at(11)),
        one.stage_finished("a", attempt=2, time=at(18)),
        one.finished(time=at(20)),
    ):
        cards.observe(event)
    names, rows, times = cards.table()

    assert dict(zip(names, rows[0].tolist(), strict=True)) == {
        "a run": 13.0,
        "a wait": 5.0,
        "host cpu": 0.5,
        "retries": 1.0,
        "unit tests": 2.5,
    }
    assert times.tolist() == [16.0]


def test_the_wait_for_the_slow_stage_of_the_demo_is_named_in_the_gauges() -> None:
    """The demo with tests three times slower for a part of the time: cards wait for it, and that makes them slow."""
    changes = (
        Change(at_seconds=300, kind="slow", stage="test_execution", factor=2.5),
        Change(at_seconds=450, kind="recover", stage="test_execution"),
    )
    instruments = Instruments(Service.ANALYZER)
    gauges = AttributionGauges(instruments, usage=dict, leads=lambda: True)
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    for step in simulate(DEMO.with_changes(changes), seed=3, start=start, seconds=800):
        gauges.observe(step.event)  # type: ignore[arg-type]
    found = attribute(*gauges._cards["demo"].table())
    gauges.export({"demo": found})
    text = instruments.render()[0].decode()

    assert found.explained > 0.5
    assert found.drivers[0].name == "test_execution wait"
    assert found.drivers[0].lower > 0.3
    assert f'{c.ATTRIBUTION_SHARE.name}{{driver="{found.drivers[0].name}",pipeline="demo"}}' in text


async def test_the_gauges_update_themselves_and_count_skipped_pipelines() -> None:
    """With one card there is too little; when another replica leads, nothing is said at all."""
    instruments = Instruments(Service.ANALYZER)
    leads = [True]
    gauges = AttributionGauges(instruments, usage=dict, leads=lambda: leads[0], every_seconds=0.01)
    gauges.observe(Card("c", pipeline="p").stage_started("a"))
    task = asyncio.create_task(gauges.run())
    skipped = f'{c.ANALYZER_SKIPPED.name}{{analyzer="attribution",reason="too_few_cards"}}'
    while skipped not in instruments.render()[0].decode():
        await asyncio.sleep(0.01)
    leads[0] = False
    await tasks.end(task)

    assert c.ATTRIBUTION_SHARE.name + "{" not in instruments.render()[0].decode()
