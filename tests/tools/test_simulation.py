"""The simulation is a queueing system: it obeys the laws that are proved for such systems."""

import itertools
import math
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jelmon.events import (
    CallFinished,
    CardFinished,
    CardQueued,
    CardStarted,
    Envelope,
    GateEvaluated,
    Outcome,
    PipelineDeclared,
    ScanFinished,
    SessionFinished,
    SessionStarted,
    StageFinished,
    StageQueued,
    StageRetried,
    StageStarted,
    TestFinished,
    Verdict,
    encode,
    parse,
)
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import (
    DEMO,
    Arrivals,
    Change,
    Duration,
    Gate,
    Scenario,
    Sessions,
    Stage,
    Tests,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
CALM = DEMO.with_changes(())


def events(scenario: Scenario, seconds: float, *, seed: int = 1) -> list[Any]:
    """What a run tells."""
    return [step.event for step in simulate(scenario, seed=seed, start=START, seconds=seconds)]


def at(event: Envelope) -> float:
    """Seconds from the start."""
    return (event.time - START).total_seconds()


def one_stage(per_minute: float, workers: int, median: float, **more: object) -> Scenario:
    """A queue with nothing behind it."""
    stage = Stage(stage="only", workers=workers, service=Duration(median_seconds=median, spread=0.8), **more)  # type: ignore[arg-type]
    return Scenario(pipeline="p", arrivals=Arrivals(per_minute=per_minute), stages=(stage,))


def waits(told: list[Any]) -> list[float]:
    """Time from queued to started, for each run that started."""
    queued = {(e.subject, e.data.stage, e.data.attempt): at(e) for e in told if isinstance(e, StageQueued)}
    started = [e for e in told if isinstance(e, StageStarted)]
    return [at(e) - queued[e.subject, e.data.stage, e.data.attempt] for e in started]


# --- the same and the different ---


def test_the_same_seed_tells_the_same_story() -> None:
    """Ids included: nothing but the arguments decides."""
    assert events(DEMO, 120) == events(DEMO, 120)


def test_another_seed_tells_another_story() -> None:
    """And none of its cards or events has the name of another run's."""
    first, second = events(DEMO, 60, seed=1), events(DEMO, 60, seed=2)

    assert len(first) != len(second)
    assert not {event.id for event in first} & {event.id for event in second}


def test_a_change_later_does_not_alter_what_came_before() -> None:
    """Up to the slow-down the demo and the calm demo are one."""
    assert events(DEMO, 59.9) == events(CALM, 59.9)


def test_every_event_is_valid_in_order_and_has_an_id_of_its_own() -> None:
    """Consumers accept them all; times never go back."""
    told = events(DEMO, 300)
    for event in told:
        assert parse(encode(event)) == event
    times = [event.time for event in told]

    assert times == sorted(times)
    assert len({event.id for event in told}) == len(told)


def test_the_demo_declares_itself_first_and_tells_everything() -> None:
    """Consumers know the stages before the first card; each kind of evidence is there."""
    told = events(CALM, 600)
    first = told[0]

    assert isinstance(first, PipelineDeclared)
    assert first.data.stall_limit_seconds == 30
    assert [stage.stage for stage in first.data.stages] == [
        "code_analysis",
        "test_execution",
        "quality_gates",
        "security_scan",
        "deploy",
    ]
    assert all(stage.workers and stage.time_limit_seconds for stage in first.data.stages)
    assert {type(event) for event in told} == {
        PipelineDeclared,
        CardQueued,
        CardStarted,
        CardFinished,
        StageQueued,
        StageStarted,
        StageFinished,
        StageRetried,
        GateEvaluated,
        TestFinished,
        ScanFinished,
        SessionStarted,
        SessionFinished,
        CallFinished,
    }


def test_the_demo_is_lively_and_mostly_well() -> None:
    """In real time one sees cards come and go, and not only successes."""
    told = events(CALM, 3600)
    outcomes = Counter(event.data.outcome for event in told if isinstance(event, CardFinished))
    per_minute = sum(outcomes.values()) / 60

    assert 30 < per_minute < 60
    assert 0.85 < outcomes[Outcome.SUCCESS] / sum(outcomes.values()) < 0.98
    assert outcomes[Outcome.FAILURE] > 0


# --- laws ---


def test_littles_law_holds() -> None:
    """Cards in the system, on average, are arrivals per second times the average stay: counted in two ways."""
    horizon = 6_000.0
    told = events(msgspec.structs.replace(CALM, calls=(), sessions=()), horizon)
    arrived = {event.subject: at(event) for event in told if isinstance(event, CardQueued)}
    left = {event.subject: at(event) for event in told if isinstance(event, CardFinished)}
    area, level, before = 0.0, 0, 0.0
    for event in told:
        if isinstance(event, CardQueued | CardFinished):
            area += level * (at(event) - before)
            before = at(event)
            level += 1 if isinstance(event, CardQueued) else -1
    mean_stay = statistics.fmean(left[card] - arrived[card] for card in left)
    rate = len(arrived) / horizon

    assert area / before == pytest.approx(rate * mean_stay, rel=0.02)


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_the_mean_wait_of_one_worker_is_pollaczek_and_khinchines(load: float) -> None:
    """An M/G/1 queue: the mean wait is known exactly, so arrivals, service times and queue are all right at once."""
    service = Duration(median_seconds=1.0, spread=0.8)
    mean, second_moment = service.mean_seconds, math.exp(2 * 0.8**2)
    rate = load / mean
    expected = rate * second_moment / (2 * (1 - load))
    mean_wait = statistics.fmean(waits(events(one_stage(60 * rate, 1, 1.0), 60_000 * mean)))

    assert mean_wait == pytest.approx(expected, rel=0.08)


def test_workers_are_as_busy_as_the_work_that_arrives() -> None:
    """Offered load over workers, whatever the order of service."""
    told = events(one_stage(60.0, 4, 2.0), 15_000)
    started = {(e.subject, e.data.attempt): at(e) for e in told if isinstance(e, StageStarted)}
    busy = sum(at(e) - started[e.subject, e.data.attempt] for e in told if isinstance(e, StageFinished))
    expected = 1.0 * Duration(median_seconds=2.0, spread=0.8).mean_seconds / 4

    assert busy / 15_000 / 4 == pytest.approx(expected, rel=0.03)


def test_arrivals_are_a_poisson_process() -> None:
    """Gaps have the mean and the spread (as large as the mean) of the exponential distribution."""
    arrivals = [at(event) for event in events(one_stage(60.0, 50, 0.1), 8_000) if isinstance(event, CardQueued)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]

    assert statistics.fmean(gaps) == pytest.approx(1.0, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1.0, rel=0.04)


def test_arrivals_swing_over_the_day() -> None:
    """Around the peak hour twice as many as on average, at the opposite hour next to none."""
    scenario = msgspec.structs.replace(
        one_stage(1.0, 100, 0.1), arrivals=Arrivals(per_minute=1.0, daily_swing=1.0, peak_hour=14)
    )
    hours = Counter(event.time.hour for event in events(scenario, 10 * 86400) if isinstance(event, CardQueued))

    assert sum(hours.values()) == pytest.approx(10 * 1440, rel=0.02)
    assert hours[14] / 10 == pytest.approx(119, rel=0.06)
    assert hours[2] / 10 < 3


# --- order and room ---


def test_a_run_never_starts_before_it_is_queued_nor_ends_before_it_starts() -> None:
    """Queued, started, finished, each once and in this order; a card starts with its first run."""
    steps: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    cards: defaultdict[str, list[str]] = defaultdict(list)
    for event in events(DEMO, 300):
        if isinstance(event, StageQueued | StageStarted | StageFinished):
            steps[event.subject, event.data.stage, event.data.attempt].append(type(event).__name__)
            cards[event.subject].append("run")
        elif isinstance(event, CardQueued | CardStarted | CardFinished):
            cards[event.subject].append(type(event).__name__)
    whole = ["StageQueued", "StageStarted", "StageFinished"]

    assert all(told == whole[: len(told)] for told in steps.values())
    for told in cards.values():
        milestones = [step for step in told if step != "run"]
        assert milestones == ["CardQueued", "CardStarted", "CardFinished"][: len(milestones)]
        assert told[0] == "CardQueued"
        assert "CardFinished" not in told[:-1]


def _levels(told: list[Any], stage: str) -> tuple[int, int]:
    """The most cards that ever waited and that ever were served or held up, after each instant."""
    waiting = serving = most_waiting = most_serving = 0
    holds: set[str] = set()
    for _, instant in itertools.groupby(told, key=lambda event: event.time):
        for event in instant:
            if not isinstance(event, StageQueued | StageStarted | StageFinished):
                continue
            if event.data.stage != stage:
                if isinstance(event, StageQueued) and event.subject in holds:
                    holds.discard(event.subject)
                    serving -= 1
                continue
            if isinstance(event, StageQueued):
                waiting += 1
            elif isinstance(event, StageStarted):
                waiting -= 1
                serving += 1
            elif event.data.held_up:
                holds.add(event.subject)
            else:
                serving -= 1
        most_waiting, most_serving = max(most_waiting, waiting), max(most_serving, serving)
    return most_waiting, most_serving


def test_queues_and_workers_keep_within_their_numbers() -> None:
    """A pipeline whose narrow third stage holds up the two before it fills every place and never one more."""
    service = Duration(median_seconds=1.0, spread=0.5)
    scenario = Scenario(
        pipeline="p",
        arrivals=Arrivals(per_minute=120),
        stages=(
            Stage(stage="a", workers=3, queue_capacity=4, service=service),
            Stage(stage="b", workers=2, queue_capacity=0, service=service, error_share=0.1, max_attempts=3),
            Stage(stage="c", workers=1, queue_capacity=2, service=service),
        ),
    )
    told = events(scenario, 2000)
    held = Counter(e.data.stage for e in told if isinstance(e, StageFinished) and e.data.held_up)

    assert {name: _levels(told, name) for name in "abc"} == {"a": (4, 3), "b": (0, 2), "c": (2, 1)}
    assert held["a"] > 100
    assert held["b"] > 100


def test_each_worker_serves_one_card_at_a_time() -> None:
    """The names of workers tell them apart, and a held-up card keeps its worker."""
    serving: dict[str | None, str] = {}
    for event in events(CALM, 600):
        if isinstance(event, StageStarted):
            assert event.data.worker not in serving
            serving[event.data.worker] = event.subject
        elif isinstance(event, StageFinished):
            assert serving.get(event.data.worker) == event.subject
            if not event.data.held_up:
                del serving[event.data.worker]
        elif isinstance(event, StageQueued):
            serving = {worker: card for worker, card in serving.items() if card != event.subject}


# --- what goes wrong ---


def test_in_a_stall_cards_arrive_and_wait_and_nothing_starts_or_finishes() -> None:
    """That is what a stall looks like from outside."""
    told = [event for event in events(DEMO, 300) if at(event) > 100]
    kinds = {type(event) for event in told} - {SessionStarted, SessionFinished, CallFinished}
    arrivals = sum(isinstance(event, CardQueued) for event in told)

    assert kinds == {CardQueued, StageQueued}
    assert arrivals > 100


def test_after_a_stall_work_goes_on_where_it_was() -> None:
    """Time in the stall is no work: with a stall of 100 s, the same runs end 100 s later."""
    scenario = one_stage(10.0, 2, 3.0)
    stalled = scenario.with_changes(
        (Change(at_seconds=200, kind="stall"), Change(at_seconds=300, kind="recover", stage="only"))
    )
    ends = {e.subject: at(e) for e in events(scenario, 1000) if isinstance(e, StageFinished)}
    late = {e.subject: at(e) for e in events(stalled, 1000) if isinstance(e, StageFinished)}
    started = {e.subject: at(e) for e in events(scenario, 1000) if isinstance(e, StageStarted)}
    in_service = [card for card, end in ends.items() if started[card] < 200 < end]

    assert in_service
    assert all(late[card] == pytest.approx(ends[card] + 100, abs=1e-5) for card in in_service)
    assert not [end for end in late.values() if 200 < end < 300]


def test_a_slow_down_stretches_work_by_its_factor() -> None:
    """Twice as slow from the start is the same as twice the work."""
    slow = one_stage(2.0, 5, 3.0).with_changes((Change(at_seconds=0, kind="slow", factor=2),))
    double = one_stage(2.0, 5, 6.0)

    def stays(scenario: Scenario) -> list[float]:
        return [at(event) for event in events(scenario, 2000) if isinstance(event, StageFinished)]

    assert stays(slow) == pytest.approx(stays(double), abs=1e-5)


def test_a_run_over_its_limit_is_a_timeout_at_the_limit() -> None:
    """No run is longer, and those that would have been say so."""
    told = events(one_stage(60.0, 10, 2.0, time_limit_seconds=3.0), 2000)
    started = {event.subject: at(event) for event in told if isinstance(event, StageStarted)}
    runs = [(at(e) - started[e.subject], e.data.outcome) for e in told if isinstance(e, StageFinished)]

    assert max(length for length, _ in runs) == pytest.approx(3.0, abs=1e-5)
    assert {outcome for length, outcome in runs if length > 2.9999} == {Outcome.TIMEOUT}
    assert {outcome for length, outcome in runs if length < 2.999} == {Outcome.SUCCESS}


def test_attempts_are_counted_and_end() -> None:
    """A stage that always fails is tried three times; then the card fails. Each retry is told before it."""
    told = events(one_stage(6.0, 2, 1.0, error_share=1.0, max_attempts=3), 300)
    attempts: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for event in told:
        if isinstance(event, StageStarted | StageRetried | StageFinished):
            attempts[event.subject].append((type(event).__name__[5:], event.data.attempt))
    finished = [event for event in told if isinstance(event, CardFinished)]
    card = attempts[finished[0].subject]

    assert card == [
        ("Started", 1),
        ("Finished", 1),
        ("Retried", 2),
        ("Started", 2),
        ("Finished", 2),
        ("Retried", 3),
        ("Started", 3),
        ("Finished", 3),
    ]
    assert {event.data.outcome for event in finished} == {Outcome.ERROR}
    assert [e.data.last for e in told if isinstance(e, StageFinished) and e.subject == finished[0].subject] == [
        False,
        False,
        True,
    ]


def test_evidence_and_outcome_agree() -> None:
    """A failed test or gate fails its run; shares are as asked for."""
    scenario = one_stage(
        60.0,
        50,
        0.5,
        tests=(Tests(category="unit", per_run=2, failure_share=0.1, reasons={"a": 1, "b": 3}),),
        gates=(Gate(gate="g", failed_share=0.05, warned_share=0.2),),
    )
    told = events(scenario, 5_000)
    tests = [event for event in told if isinstance(event, TestFinished)]
    failed = [event for event in tests if event.data.outcome == "failed"]
    verdicts = Counter(event.data.verdict for event in told if isinstance(event, GateEvaluated))
    bad = {event.subject for event in failed} | {
        event.subject for event in told if isinstance(event, GateEvaluated) and event.data.verdict == "failed"
    }
    unsuccessful = {e.subject for e in told if isinstance(e, StageFinished) and e.data.outcome is Outcome.FAILURE}

    assert bad == unsuccessful
    assert len(failed) / len(tests) == pytest.approx(0.1, rel=0.1)
    assert Counter(event.data.failure_reason for event in failed)["b"] / len(failed) == pytest.approx(0.75, rel=0.1)
    assert verdicts[Verdict.WARNED] / sum(verdicts.values()) == pytest.approx(0.2, rel=0.1)


def test_sessions_begin_and_end() -> None:
    """Every end has its beginning, and they last as long as asked for."""
    scenario = msgspec.structs.replace(
        one_stage(0.1, 1, 1.0),
        sessions=(Sessions(kind="agent", per_minute=60, duration=Duration(median_seconds=30, spread=0.5)),),
    )
    told = events(scenario, 5000)
    begun = {event.subject: event.time for event in told if isinstance(event, SessionStarted)}
    ended = {event.subject: event.time for event in told if isinstance(event, SessionFinished)}
    lengths = [(ended[session] - begun[session]).total_seconds() for session in ended]

    assert statistics.median(lengths) == pytest.approx(30, rel=0.05)
