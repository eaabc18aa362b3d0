"""What a faster stage would gain, against a run in which it really is faster."""

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, at, card, events_of, serve

from jelmon.events import Event
from jelmon_analyzers.bottleneck import BottleneckAnalyzer


def _flow_time(served: list[Served], begin: float, end: float) -> float:
    """Integral of work in process over cards that left."""
    inside = sum(max(0.0, min(one.finished, end) - max(one.queued, begin)) for one in served)
    return inside / sum(begin <= one.finished < end for one in served)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("rho", [0.6, 0.95, 1.2])
def test_the_gain_is_what_a_faster_stage_really_saves(rho: float, workers: int) -> None:
    """One queue, the same cards, work times .8 from the window's begin on."""
    random = np.random.default_rng(int(100 * rho) + workers)
    arrivals = np.cumsum(random.exponential(5.0 / workers / rho, 2000))
    services = random.lognormal(np.log(4.5), 0.5, 2000)
    until = float(arrivals[900])
    begin = until - 900
    served = serve(arrivals, services, workers)
    started = np.array([one.started for one in served])
    faster = serve(arrivals, np.where(started >= begin, 0.8 * services, services), workers)
    truth = _flow_time(served, begin, until) - _flow_time(faster, begin, until)
    analyzer = BottleneckAnalyzer(workers={"only": workers})
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(until))

    assert analyzer.gain(at(until))["only"] == pytest.approx(truth, rel=0.15, abs=0.3)


def test_a_large_line_is_replayed_stage_by_stage_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stages do not depend on each other, both ways say the same."""
    random = np.random.default_rng(8)
    arrivals = np.cumsum(random.exponential(5.5, 400))
    served = serve(arrivals, random.exponential(5.0, 400), 1)
    events = [event for event in events_of(served) if event.time <= at(1500)]
    whole, parts = BottleneckAnalyzer(), BottleneckAnalyzer()
    whole.observe_many(events)
    parts.observe_many(events)
    usual = whole.gain(at(1500))["only"]
    monkeypatch.setattr("jelmon_analyzers.bottleneck.replay.gains.MOST_VISITS", 0)

    assert parts.gain(at(1500))["only"] == pytest.approx(usual, rel=0.2)


def test_the_gain_is_withheld_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few runs, or stages that depend on each other in a line too large to run again."""
    few = BottleneckAnalyzer()
    few.observe_many(events_of(serve(np.arange(5.0), np.ones(5), 1)))

    assert few.gain(at(500)) == {}
    assert few.gains(at(500))["only"].reason == "too few runs ended in the window"

    monkeypatch.setattr("jelmon_analyzers.bottleneck.replay.gains.MOST_VISITS", 0)
    shared = BottleneckAnalyzer()
    events: list[Event] = []
    for number in range(120):
        one, stage, begin = card(number), "ab"[number % 2], 7.0 * number
        events += [
            one.stage_queued(stage, time=at(begin)),
            one.stage_started(stage, worker="w", time=at(begin)),
            one.stage_finished(stage, worker="w", last=True, time=at(begin + 5)),
        ]
    shared.observe_many(events)

    assert shared.gain(at(850)) == {}
    assert "depend on each other" in shared.gains(at(850))["a"].reason


def test_throughput_gains_only_where_a_stage_limits_a_saturated_line() -> None:
    """At 1.25 times what it can do a stage that is a fifth faster takes all; at half load nothing is to be won."""
    for gap, expected in ((4.0, 0.25), (10.0, 0.0)):
        arrivals = np.arange(0, 1800, gap)
        served = serve(arrivals, np.full(len(arrivals), 5.0), 1)
        analyzer = BottleneckAnalyzer()
        analyzer.observe_many(event for event in events_of(served) if event.time <= at(1800))

        assert analyzer.gains(at(1800))["only"].throughput_ratio == pytest.approx(expected, abs=0.02)
