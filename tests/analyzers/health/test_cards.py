"""The parts of health from the events of cards."""

from datetime import UTC, datetime, timedelta

import pytest

from jelmon.client import Card
from jelmon.events import Event, Outcome, PipelineDeclared, PipelineDeclaredData, make
from jelmon_analyzers.health.cards import Cards
from jelmon_analyzers.health.scoring import HealthSettings, Part, score

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def now(seconds: float) -> float:
    return at(seconds).timestamp()


def _cards() -> Cards:
    return Cards(HealthSettings(card_target_seconds=60, stall_limit_seconds=120))


def _run(cards: Cards, number: int, *, begin: float, seconds: float | None, outcome: Outcome = Outcome.SUCCESS) -> None:
    one = Card(f"c{number}", pipeline="p")
    cards.observe(one.queued(time=at(begin)))
    cards.observe(one.started(time=at(begin)))
    if seconds is not None:
        cards.observe(one.finished(outcome, time=at(begin + seconds)))


def _parts(cards: Cards, when: float) -> dict[Part, float]:
    return cards.parts(now(when), severity=None, usage=None)


def test_latency_is_apdex_with_failures_and_overdue_cards_frustrated() -> None:
    """Two in time, one within four times the target, one failed, one not done for five times the target."""
    cards = _cards()
    _run(cards, 1, begin=0, seconds=30)
    _run(cards, 2, begin=0, seconds=60)
    _run(cards, 3, begin=0, seconds=200)
    _run(cards, 4, begin=0, seconds=10, outcome=Outcome.FAILURE)
    _run(cards, 5, begin=0, seconds=None)

    assert _parts(cards, 301)[Part.LATENCY] == pytest.approx((2 + 0.5) / 5)


def test_a_declared_target_comes_before_the_configured_one_and_the_newest_counts() -> None:
    """An older declaration that comes later is passed over."""
    cards = _cards()
    for when, target in ((10, 5), (0, 1000)):
        data = PipelineDeclaredData(pipeline="p", stages=(), card_target_seconds=target)
        cards.observe(make(PipelineDeclared, data, source="/t", time=at(when)))
    _run(cards, 1, begin=20, seconds=30)

    assert _parts(cards, 60)[Part.LATENCY] == 0


def test_cancelled_cards_do_not_count() -> None:
    """They neither succeed nor fail."""
    cards = _cards()
    for number in range(20):
        _run(cards, number, begin=0, seconds=30, outcome=Outcome.CANCELLED if number < 10 else Outcome.SUCCESS)

    assert _parts(cards, 60)[Part.SUCCESS] == 1
    assert _parts(cards, 60)[Part.LATENCY] == 1


def test_a_stalled_pipeline_is_not_fresh_and_capped() -> None:
    """Cards are there, nothing happens: silence is not good news."""
    cards = _cards()
    for number in range(12):
        _run(cards, number, begin=number, seconds=20)
    for number in range(12, 18):
        _run(cards, number, begin=number, seconds=None)
    health = score(cards.parts(now(1000), severity=100.0, usage=None))

    assert health.parts[Part.FRESHNESS] == 0
    assert health.score is not None
    assert health.score <= 40


def test_an_idle_pipeline_scores_100_with_low_coverage() -> None:
    """Nothing to do and nothing in hand; half an hour before, cards failed."""
    cards = _cards()
    for number in range(20):
        _run(cards, number, begin=0, seconds=30, outcome=Outcome.FAILURE)
    health = score(_parts(cards, 4000))

    assert health.score == 100
    assert health.coverage == pytest.approx(0.65)
    assert Part.LATENCY not in health.parts


def test_a_pipeline_without_any_card_has_no_parts() -> None:
    """No data is no sample, not 100."""
    assert _parts(_cards(), 10) == {}


def test_repeated_and_late_events_change_nothing() -> None:
    """The end told twice, the start told after the end."""
    cards = _cards()
    one = Card("c", pipeline="p")
    events: list[Event] = [one.queued(time=at(0)), one.started(time=at(1)), one.finished(time=at(9))]
    for event in (*events, *events):
        cards.observe(event)
    parts = _parts(cards, 20)

    assert parts[Part.FLOW] == 1
    assert parts[Part.LATENCY] == 1
    assert parts[Part.FRESHNESS] == 1
