"""What a faster stage would gain, against a run in which it really is faster."""

from dataclasses import replace

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, at, card, events_of, serve

from jelmon.events import Event
from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.replay.model import CardTrace, LineModel
from jelmon_analyzers.bottleneck.replay.replay import replay


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


def test_a_large_line_is_run_stage_by_stage_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
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


# --- the replay itself ---


def _traces(arrivals: np.ndarray, *works: np.ndarray) -> list[CardTrace]:
    stages = list(range(len(works)))
    return [
        CardTrace(float(arrival), stages, [float(work[number]) for work in works], [0.0] * len(works))
        for number, arrival in enumerate(arrivals)
    ]


def test_the_replay_of_one_queue_is_the_queue() -> None:
    """Against the recursion of Kiefer and Wolfowitz."""
    random = np.random.default_rng(2)
    arrivals = np.cumsum(random.exponential(2.0, 500))
    works = random.exponential(5.0, 500)
    served = serve(arrivals, works, 3)
    end = 800.0
    model = LineModel(workers=[3], pools=[0], capacities=[None], pauses=[[]])
    result = replay(model, _traces(arrivals, works), begin=0.0, end=end, speeds=[1.0])

    assert result.departures == sum(one.finished <= end for one in served)
    assert result.card_seconds == pytest.approx(
        sum(max(0.0, min(one.finished, end) - min(one.queued, end)) for one in served)
    )


def test_blocking_after_service_against_the_recursion_of_a_line_with_finite_queues() -> None:
    """One worker a stage, room for two before the second: a card leaves stage 1 when the last but two has begun."""
    random = np.random.default_rng(3)
    arrivals = np.cumsum(random.exponential(4.0, 300))
    first, second = random.exponential(2.0, 300), random.exponential(5.0, 300)
    leaves: list[float] = []
    starts: list[float] = []
    ends: list[float] = []
    for number in range(300):
        begin = max(arrivals[number], leaves[-1] if leaves else 0.0)
        room = starts[number - 2] if number >= 2 else 0.0
        leaves.append(max(begin + first[number], room))
        starts.append(max(leaves[-1], ends[-1] if ends else 0.0))
        ends.append(starts[-1] + second[number])
    model = LineModel(workers=[1, 1], pools=[0, 1], capacities=[None, 2], pauses=[[], []])
    result = replay(model, _traces(arrivals, first, second), begin=0.0, end=1000.0, speeds=[1.0, 1.0])

    assert result.departures == sum(end <= 1000 for end in ends)


def test_a_shared_worker_serves_one_stage_at_a_time() -> None:
    """Two stages, one worker: the work of both adds up."""
    model = LineModel(workers=[1], pools=[0, 0], capacities=[None, None], pauses=[[], []])
    traces = _traces(np.zeros(10), np.full(10, 2.0), np.full(10, 3.0))

    assert replay(model, traces, begin=0, end=49.9, speeds=[1, 1]).departures == 9
    assert replay(model, traces, begin=0, end=50.1, speeds=[1, 1]).departures == 10
    assert replay(model, traces, begin=0, end=44.1, speeds=[1, 0.8]).departures == 10


def test_a_pause_and_a_limit_on_work_in_process_keep_cards_waiting() -> None:
    """Nothing starts during the pause; with one card inside at a time the stages never overlap."""
    traces = _traces(np.zeros(4), np.full(4, 2.0), np.full(4, 3.0))
    model = LineModel(workers=[1, 1], pools=[0, 1], capacities=[None, None], pauses=[[], []])

    assert replay(model, traces, begin=0, end=14.1, speeds=[1, 1]).departures == 4
    assert replay(replace(model, wip_limit=1), traces, begin=0, end=14.9, speeds=[1, 1]).departures == 2
    assert replay(replace(model, pauses=[[(0.0, 10.0)], []]), traces, begin=0, end=14.9, speeds=[1, 1]).departures == 0
