"""The replay of a line against recursions and simple cases."""

from dataclasses import replace

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import serve

from jelmon_analyzers.bottleneck.replay.model import CardTrace, LineModel
from jelmon_analyzers.bottleneck.replay.replay import replay


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
