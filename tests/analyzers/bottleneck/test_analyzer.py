"""Ties between stages, and events of other pipelines."""

import pytest
from tests.analyzers.bottleneck.conftest import analyze, at, card, event_time

from jelmon.errors import ConfigError
from jelmon.events import Event, PipelineDeclared, PipelineDeclaredData, make


@pytest.mark.parametrize("worker", [pytest.param("w", id="named"), pytest.param(None, id="without a name")])
def test_of_stages_that_share_a_worker_the_highest_gain_gets_the_highest_severity(worker: str | None) -> None:
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
    analyzer = analyze(sorted((event for event in events if event.time <= at(1100)), key=event_time))
    severity, gain = analyzer.severity(at(1100)), analyzer.gain(at(1100))
    limiting = analyzer.bottleneck(at(1100))

    assert analyzer.contention(at(1100))["b"] > 0.7
    assert gain["a"] > gain["b"]
    assert limiting is not None
    assert limiting.stage == "a"
    assert severity["a"] > severity["b"] > severity["a"] - 10


def test_an_event_of_another_pipeline_is_refused() -> None:
    """The error says what to do."""
    analyzer = analyze([card(1).stage_queued("a", time=at(0))])
    with pytest.raises(ConfigError, match="make one BottleneckAnalyzer for each pipeline"):
        analyzer.observe(
            make(PipelineDeclared, PipelineDeclaredData(pipeline="other", stages=()), source="/test", time=at(1))
        )
