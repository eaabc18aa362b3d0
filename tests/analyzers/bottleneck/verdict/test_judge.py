"""What is said with too little to judge by, when a stage is stuck, and of events that come twice, late or never."""

import random
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, at, card, events_of, serve

from jelmon.catalogue import Service
from jelmon.errors import ConfigError
from jelmon.events import Event, Outcome, PipelineDeclared, PipelineDeclaredData, StageDeclaration, make
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck import BottleneckAnalyzer, Cause, State
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges


def _fed(events: list[Event], **options: object) -> BottleneckAnalyzer:
    analyzer = BottleneckAnalyzer(**options)  # type: ignore[arg-type]
    analyzer.observe_many(events)
    return analyzer


# --- no verdict ---


def test_nothing_is_said_of_nothing() -> None:
    """Before the first event there is no stage and no verdict."""
    analyzer = BottleneckAnalyzer()

    assert analyzer.severity(at(0)) == {}
    assert analyzer.impact(at(0)) == {}
    assert analyzer.bottleneck(at(0)) is None


def test_a_few_cards_make_no_verdict_never_0() -> None:
    """Five cards, one behind the other: the stage is known, its severity is not there."""
    served = serve(np.array([0.0, 100, 101, 102, 400]), np.full(5, 60.0), 1)
    analyzer = _fed([event for event in events_of(served) if event.time <= at(600)])

    assert analyzer.severity(at(600)) == {}
    assert analyzer.report(at(600))["only"].reason == "too few cards"


def test_a_short_look_makes_no_verdict() -> None:
    """A third of the window must have been watched."""
    served = serve(np.arange(0, 120.0, 2), np.full(60, 4.0), 1)
    analyzer = _fed([event for event in events_of(served) if event.time <= at(100)])

    assert analyzer.report(at(100))["only"].reason == "watched too short"
    assert analyzer.severity(at(100)) == {}


def test_where_no_card_waited_there_is_no_verdict_and_no_0() -> None:
    """A hundred cards went through, one after the other. That costs no health."""
    served = serve(np.arange(0, 900.0, 9), np.full(100, 4.0), 1)
    analyzer = _fed([event for event in events_of(served) if event.time <= at(890)])
    watch = BottleneckGauges(Instruments(Service.ANALYZER), window_seconds=900)
    watch.analyzers["tested"] = analyzer

    assert analyzer.severity(at(890)) == {}
    assert analyzer.bottleneck(at(890)) is None
    assert analyzer.report(at(890))["only"].reason == "nothing waited"
    assert watch.severity("tested", at(890).timestamp()) == 0
    assert watch.severity("tested", at(9000).timestamp()) is None


def test_a_pipeline_that_went_quiet_is_idle_and_without_verdict() -> None:
    """Nothing waits and nothing comes."""
    served = serve(np.arange(0, 600.0, 5), np.full(120, 4.0), 1)
    analyzer = _fed(list(events_of(served)))

    assert analyzer.severity(at(2000)) == {}
    assert analyzer.report(at(2000))["only"].state is State.IDLE


# --- stuck ---


@pytest.mark.parametrize("quiet_for", [400.0, 5000.0])
def test_a_stage_that_never_completed_anything_is_named_stuck(quiet_for: float) -> None:
    """Ten cards came, none was taken; that they came before the window does not matter."""
    analyzer = _fed([card(number).stage_queued("deploy", time=at(number)) for number in range(10)])
    report = analyzer.report(at(10 + quiet_for))["deploy"]

    assert report.state is State.STUCK
    assert report.cause is Cause.UNAVAILABILITY
    assert report.severity is not None
    assert report.severity > 95


def test_a_stage_whose_workers_hang_is_named_stuck(queue: Callable[..., list[Served]]) -> None:
    """It worked for a while; then the card in service never ends and the others wait."""
    served = queue(rho=0.5, seconds=3000)
    events = [
        event
        for event in events_of(served)
        if event.time <= at(2000) or (event.time <= at(2060) and "queued" in type(event).__name__.lower())
    ]
    analyzer = _fed(events)
    report = analyzer.report(at(2000 + 900 + 60))["only"]

    assert report.state is State.STUCK
    assert report.severity is not None
    assert report.severity > 90


# --- state and cause ---


def _lineup(arrivals: np.ndarray, services: np.ndarray, workers: int, until: float) -> BottleneckAnalyzer:
    served = serve(arrivals, services, workers)
    return _fed(
        [event for event in events_of(served) if event.time <= at(until)], workers={"only": workers}, pipeline="tested"
    )


def test_states_follow_the_queue() -> None:
    """More comes than goes: growing. Nothing comes any more and a long queue is left: draining."""
    arrivals = np.arange(0, 900.0, 3)
    growing = _lineup(arrivals, np.full(300, 5.0), 1, 900)
    draining = _lineup(arrivals, np.full(300, 5.0), 1, 1300)

    assert growing.report(at(900))["only"].state is State.GROWING
    assert draining.report(at(1300))["only"].state is State.DRAINING
    assert growing.report(at(900))["only"].cause is Cause.UTILISATION


def test_causes_tell_lumps_from_scatter() -> None:
    """Ten at once at half load: batching. The same load one by one with widely scattered runs: variability."""
    generator = np.random.default_rng(5)
    lumps = _lineup(np.repeat(np.arange(0, 900.0, 60), 10), np.full(150, 3.0), 1, 900)
    scattered = _lineup(np.cumsum(generator.exponential(6.0, 150)), generator.lognormal(np.log(2.0), 1.0, 150), 1, 880)

    assert lumps.report(at(900))["only"].cause is Cause.BATCHING
    assert scattered.report(at(880))["only"].cause is Cause.VARIABILITY


def test_waiting_with_free_workers_is_unavailability() -> None:
    """Two workers are declared; for five minutes nobody takes the cards that wait."""
    events: list[Event] = []
    for number in range(60):
        arrival = 15.0 * number
        start = max(arrival, 600.0 + number) if 300 <= arrival < 600 else arrival
        one = card(number)
        events += [
            one.stage_queued("only", time=at(arrival)),
            one.stage_started("only", time=at(start)),
            one.stage_finished("only", last=True, time=at(start + 5)),
        ]
    analyzer = _fed(sorted((event for event in events if event.time <= at(890)), key=_time), workers={"only": 2})

    assert analyzer.report(at(890))["only"].cause is Cause.UNAVAILABILITY


def _time(event: Event) -> datetime:
    return event.time


def test_a_shared_worker_makes_contention() -> None:
    """One worker serves a and b in turn: whoever waits for a waits while it serves b, and the other way round."""
    events: list[Event] = []
    clock = 0.0
    for number in range(60):
        one, stage = card(number), "ab"[number % 2]
        queued = 10.0 * number
        start = max(queued, clock)
        clock = start + 9.9
        events += [
            one.stage_queued(stage, time=at(max(0.0, queued - 8))),
            one.stage_started(stage, worker="w", time=at(start)),
            one.stage_finished(stage, worker="w", last=True, time=at(clock)),
        ]
    analyzer = _fed(sorted((event for event in events if event.time <= at(590)), key=_time))

    for stage, ratio in analyzer.contention(at(590)).items():
        assert ratio > 0.8, stage
    assert analyzer.report(at(590))["a"].cause is Cause.CONTENTION
    assert analyzer.cascade(at(590))["a"] > 80
    assert analyzer.line.sharing.partners(analyzer.line.index["a"], analyzer.line.clock) == {analyzer.line.index["b"]}


@pytest.mark.parametrize("worker", [pytest.param("w", id="named"), pytest.param(None, id="without a name")])
def test_of_stages_that_share_a_worker_the_one_that_gains_most_is_the_most_severe(worker: str | None) -> None:
    """Short work of b waits longest, behind long work of a: a is what makes them both wait."""
    events: list[Event] = []
    queue: list[tuple[float, int, str]] = []
    clock, arrivals = 0.0, [(4.2 * number, number) for number in range(260)]
    while arrivals or queue:
        if not queue:
            clock = max(clock, arrivals[0][0])
        while arrivals and arrivals[0][0] <= clock:
            when, number = arrivals.pop(0)
            queue.append((when, number, "a"))
            events.append(card(number).stage_queued("a", time=at(when)))
        _, number, stage = queue.pop(0)
        one, begin = card(number), clock
        clock += 3.4 if stage == "a" else 1.0
        events.append(one.stage_started(stage, worker=worker, time=at(begin)))
        following = "b" if stage == "a" else None
        finished = one.stage_finished(
            stage, worker=worker, next_stage=following, last=following is None, time=at(clock)
        )
        events.append(finished)
        if following:
            queue.append((clock, number, "b"))
            events.append(one.stage_queued("b", time=at(clock)))
    analyzer = _fed(sorted((event for event in events if event.time <= at(1100)), key=_time))
    severity, gain = analyzer.severity(at(1100)), analyzer.gain(at(1100))
    limiting = analyzer.bottleneck(at(1100))

    assert analyzer.contention(at(1100))["b"] > 0.7
    assert gain["a"] > gain["b"]
    assert limiting is not None
    assert limiting.stage == "a"
    assert severity["a"] > severity["b"] > severity["a"] - 10


def test_a_stage_that_pauses_does_not_share_its_workers_with_one_that_is_busy() -> None:
    """b takes nothing in one minute of three; a works 70 % of the time."""
    events: list[Event] = []
    free_a = free_b = 0.0
    for number in range(220):
        one, queued = card(number), 5.0 * number
        free_a = max(queued, free_a) + 3.5
        start = max(free_a, free_b)
        start = start if start % 180 < 120 else start - start % 180 + 180
        free_b = start + 1.5
        events += [
            one.stage_queued("a", time=at(queued)),
            one.stage_started("a", time=at(free_a - 3.5)),
            one.stage_finished("a", next_stage="b", time=at(free_a)),
            one.stage_queued("b", time=at(free_a)),
            one.stage_started("b", time=at(start)),
            one.stage_finished("b", last=True, time=at(free_b)),
        ]
    analyzer = _fed(sorted((event for event in events if event.time <= at(1080)), key=_time))

    assert analyzer.report(at(1080))["b"].cause is Cause.UNAVAILABILITY
    assert analyzer.line.sharing.inferred == {}


# --- events twice, late, never ---


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
    once, thrice = _fed(events), _fed([event for _, event in again])

    assert once.report(at(1800)) == thrice.report(at(1800))


def test_a_queued_that_comes_after_its_started_does_not_wait_for_ever() -> None:
    """The card is in service already; the wait is over when it becomes known."""
    one = card(1)
    analyzer = _fed([one.stage_started("only", time=at(20)), one.stage_queued("only", time=at(10))])
    report = analyzer.report(at(30))["only"]

    assert (report.waiting, report.in_service) == (0, 1)
    assert analyzer.line.cards["card-1"].open[0].queued == at(10).timestamp()


def test_the_end_of_a_card_ends_everything_it_did() -> None:
    """Ends that were never told do not stay for ever."""
    one = card(1)
    analyzer = _fed(
        [
            one.stage_queued("a", time=at(0)),
            one.stage_started("b", time=at(1)),
            one.stage_finished("c", held_up=True, next_stage="d", time=at(2)),
            one.finished(time=at(3)),
        ]
    )

    assert {(part.waiting, part.in_service, part.blocked) for part in analyzer.report(at(9)).values()} == {(0, 0, 0)}


def test_a_retry_is_another_visit(queue: Callable[..., list[Served]]) -> None:
    """The attempt that failed ends, also if its end is not told; the next one waits and runs."""
    one = card(1)
    analyzer = _fed(
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


def test_counts_never_fall_below_nothing_whatever_order_events_come_in(queue: Callable[..., list[Served]]) -> None:
    """Shuffled within a minute, some lost: counts stay counts, and everything ends when the cards do."""
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
    report = _fed(told).report(at(150))

    assert (report["a"].finishes, report["b"].finishes) == (2, 2)


def test_cards_whose_end_is_never_told_leave_by_the_last_stage_and_are_forgotten() -> None:
    """From a to b, and no word of an end: b is learnt to be the last stage; memory does not grow for ever."""
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


# --- declarations, pipelines ---


def test_workers_are_declared_or_learnt_and_it_says_which() -> None:
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
    report = _fed([declared, *events]).report(at(100))

    assert (report["a"].workers, report["a"].workers_declared) == (6, True)
    assert (report["b"].workers, report["b"].workers_declared) == (3, False)
    assert report["a"].utilisation == pytest.approx(0.5, abs=0.02)


def test_one_analyzer_is_for_one_pipeline() -> None:
    """An event of another one is refused, with what to do."""
    analyzer = _fed([card(1).stage_queued("a", time=at(0))])
    with pytest.raises(ConfigError, match="make one BottleneckAnalyzer for each pipeline"):
        analyzer.observe(
            make(PipelineDeclared, PipelineDeclaredData(pipeline="other", stages=()), source="/test", time=at(1))
        )
