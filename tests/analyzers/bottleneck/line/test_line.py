"""Repeated, late and missing events, and declarations."""

import random
from collections.abc import Callable

import pytest
from tests.analyzers.bottleneck.conftest import Served, analyze, at, card, events_of

from jelmon.events import Event, Outcome, PipelineDeclared, PipelineDeclaredData, StageDeclaration, make
from jelmon_analyzers.bottleneck import BottleneckAnalyzer


def test_repeated_events_change_nothing(queue: Callable[..., list[Served]]) -> None:
    """Every event three times, some of them much later."""
    served = queue(rho=0.8, seconds=2000)
    events = [event for event in events_of(served) if event.time <= at(1800)]
    again = sorted(
        [(number, event) for number, event in enumerate(events)]
        + [(number + 1, event) for number, event in enumerate(events)]
        + [(number + 40, event) for number, event in enumerate(events)],
        key=lambda part: part[0],
    )
    once, thrice = analyze(events), analyze([event for _, event in again])

    assert once.report(at(1800)) == thrice.report(at(1800))


def test_a_queued_event_after_its_started_event_adds_no_waiting_card() -> None:
    """The card is already in service; its wait is over when it becomes known."""
    one = card(1)
    analyzer = analyze([one.stage_started("only", time=at(20)), one.stage_queued("only", time=at(10))])
    report = analyzer.report(at(30))["only"]

    assert (report.waiting, report.in_service) == (0, 1)
    assert analyzer.line.cards["card-1"].open[0].queued == at(10).timestamp()


def test_the_end_of_a_card_closes_all_its_visits() -> None:
    """Visits without a reported end do not stay open."""
    one = card(1)
    analyzer = analyze(
        [
            one.stage_queued("a", time=at(0)),
            one.stage_started("b", time=at(1)),
            one.stage_finished("c", held_up=True, next_stage="d", time=at(2)),
            one.finished(time=at(3)),
        ]
    )

    assert {(part.waiting, part.in_service, part.blocked) for part in analyzer.report(at(9)).values()} == {(0, 0, 0)}


def test_a_retry_is_another_visit(queue: Callable[..., list[Served]]) -> None:
    """The failed attempt ends even without an event; the next one waits and runs."""
    one = card(1)
    analyzer = analyze(
        [
            one.stage_queued("a", time=at(0)),
            one.stage_started("a", time=at(1)),
            one.stage_retried("a", attempt=2, time=at(5)),
            one.stage_queued("a", attempt=2, time=at(5)),
            one.stage_started("a", attempt=2, time=at(6)),
            one.stage_finished("a", attempt=1, time=at(5)),
        ]
    )
    report = analyzer.report(at(7))["a"]

    assert (report.waiting, report.in_service) == (0, 1)


def test_counts_are_never_negative_in_any_order_of_events(queue: Callable[..., list[Served]]) -> None:
    """Shuffled within a minute, some lost; all counts are 0 when all cards have ended."""
    served = queue(rho=0.9, seconds=2000)
    generator = random.Random(4)
    events = [event for event in events_of(served) if generator.random() > 0.1]
    events.sort(key=lambda event: event.time.timestamp() + generator.uniform(0, 60))
    analyzer = BottleneckAnalyzer(patience_seconds=0)
    for event in events:
        analyzer.observe(event)
        stage = analyzer.line.stages[0]
        assert min(stage.waiting, stage.in_service, stage.blocked) >= 0
    for number in range(len(served)):
        analyzer.observe(card(number).finished(Outcome.SUCCESS, time=at(9000)))

    assert (stage.waiting, stage.in_service, stage.blocked) == (0, 0, 0)


def test_a_card_may_come_back_to_a_stage() -> None:
    """A second visit with the same attempt, after the first one, counts."""
    one = card(1)
    told: list[Event] = []
    for begin in (0, 100):
        told += [
            one.stage_queued("a", time=at(begin)),
            one.stage_started("a", time=at(begin + 5)),
            one.stage_finished("a", next_stage="b", time=at(begin + 9)),
            one.stage_queued("b", time=at(begin + 9)),
            one.stage_started("b", time=at(begin + 20)),
            one.stage_finished("b", next_stage="a", time=at(begin + 30)),
        ]
    report = analyze(told).report(at(150))

    assert (report["a"].finishes, report["b"].finishes) == (2, 2)


def test_cards_without_a_reported_end_leave_by_the_last_stage_and_are_dropped() -> None:
    """From a to b, with no end reported: b is learnt as the last stage; memory stays bounded."""
    analyzer = BottleneckAnalyzer()
    for number in range(2000):
        one, begin = card(number), 2.0 * number
        for stage, shift, following in (("a", 0.0, "b"), ("b", 1.0, None)):
            analyzer.observe(one.stage_queued(stage, time=at(begin + shift)))
            analyzer.observe(one.stage_started(stage, time=at(begin + shift)))
            analyzer.observe(one.stage_finished(stage, next_stage=following, time=at(begin + shift + 1)))
    until = 2.0 * 2000

    assert analyzer.gains(at(until))["b"].reason == ""
    assert analyzer.gain(at(until))["b"] == pytest.approx(0.2, abs=0.02)
    assert analyzer.severity(at(until)) == {}
    assert {report.reason for report in analyzer.report(at(until)).values()} == {"nothing waited"}
    assert len(analyzer.line.cards) < 1500


def test_workers_are_declared_or_estimated() -> None:
    """The newest declaration counts; without one the most ever seen in service does."""
    events: list[Event] = []
    for number in range(3):
        events.append(card(number).stage_started("a", time=at(1)))
        events.append(card(number).stage_started("b", time=at(1)))
    declared = make(
        PipelineDeclared,
        PipelineDeclaredData(
            pipeline="tested", stages=(StageDeclaration(stage="a", workers=6), StageDeclaration(stage="b"))
        ),
        source="/test",
        time=at(0),
    )
    report = analyze([declared, *events]).report(at(100))

    assert (report["a"].workers, report["a"].workers_declared) == (6, True)
    assert (report["b"].workers, report["b"].workers_declared) == (3, False)
    assert report["a"].utilisation == pytest.approx(0.5, abs=0.02)
