"""Workers that serve several stages, named or not."""

from tests.analyzers.bottleneck.conftest import analyze, at, card, event_time

from jelmon.events import Event
from jelmon_analyzers.bottleneck import Cause


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
    analyzer = analyze(sorted((event for event in events if event.time <= at(590)), key=event_time))

    for stage, ratio in analyzer.contention(at(590)).items():
        assert ratio > 0.8, stage
    assert analyzer.report(at(590))["a"].cause is Cause.CONTENTION
    assert analyzer.cascade(at(590))["a"] > 80
    assert analyzer.line.sharing.partners(analyzer.line.index["a"], analyzer.line.clock) == {analyzer.line.index["b"]}


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
    analyzer = analyze(sorted((event for event in events if event.time <= at(1080)), key=event_time))

    assert analyzer.report(at(1080))["b"].cause is Cause.UNAVAILABILITY
    assert analyzer.line.sharing.inferred == {}
