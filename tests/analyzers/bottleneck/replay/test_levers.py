"""Gains of other changes of a stage, where the answer is known."""

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import at, card, events_of, serve

from jelmon.events import Event
from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.replay.levers import Lever, gain_of


def _gain(analyzer: BottleneckAnalyzer, stage: str, lever: Lever, now: float) -> float:
    analyzer.report(at(now))
    found = gain_of(analyzer.line, stage, lever, now=at(now).timestamp(), seconds=900)
    assert found is not None
    return found


def test_one_more_worker_gains_what_a_line_with_one_more_shows() -> None:
    """The same cards, served by one and by two from the window's begin on."""
    random = np.random.default_rng(4)
    arrivals = np.cumsum(random.exponential(5.5, 200))
    works = random.exponential(5.0, 200)
    served = serve(arrivals, works, 1)
    analyzer = BottleneckAnalyzer(workers={"only": 1})
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(890))

    def flow_time(workers: int) -> float:
        run = serve(arrivals, works, workers)
        inside = sum(max(0.0, min(one.finished, 890) - min(one.queued, 890)) for one in run)
        return inside / sum(one.finished <= 890 for one in run)

    assert _gain(analyzer, "only", Lever.ONE_MORE_WORKER, 890) == pytest.approx(flow_time(1) - flow_time(2), rel=0.1)


def test_pauses_cost_what_no_pauses_would_gain() -> None:
    """A card every 10 s that takes 4 s; for two of fifteen minutes the worker takes none."""
    events: list[Event] = []
    free = 0.0
    for number in range(90):
        queued = 10.0 * number
        start = max(queued, free, 420.0 if 300 <= queued < 420 else 0.0)
        free = start + 4
        one = card(number)
        events += [
            one.stage_queued("only", time=at(queued)),
            one.stage_started("only", time=at(start)),
            one.stage_finished("only", last=True, time=at(free)),
        ]
    events.sort(key=lambda event: event.time)
    analyzer = BottleneckAnalyzer(workers={"only": 1})
    analyzer.observe_many(event for event in events if event.time <= at(899))

    assert _gain(analyzer, "only", Lever.NO_PAUSES, 899) == pytest.approx(
        (analyzer.flow_time(at(899)) or 0.0) - 4.0, abs=0.5
    )
    assert _gain(analyzer, "only", Lever.ONE_MORE_WORKER, 899) < _gain(analyzer, "only", Lever.NO_PAUSES, 899)


def test_dedicated_workers_end_the_waiting_for_a_shared_one() -> None:
    """One worker for two stages, each at 45 %: apart they hardly wait."""
    random = np.random.default_rng(9)
    calls = sorted((float(at), stage) for stage in "ab" for at in np.cumsum(random.exponential(8.0, 140)))
    events: list[Event] = []
    free = 0.0
    for number, (queued, stage) in enumerate(calls):
        start = max(queued, free)
        free = start + 3.6
        one = card(number)
        events += [
            one.stage_queued(stage, time=at(queued)),
            one.stage_started(stage, worker="w", time=at(start)),
            one.stage_finished(stage, worker="w", last=True, time=at(free)),
        ]
    events.sort(key=lambda event: event.time)
    analyzer = BottleneckAnalyzer()
    analyzer.observe_many(event for event in events if event.time <= at(950))

    assert _gain(analyzer, "a", Lever.OWN_WORKERS, 950) > 5
    assert _gain(analyzer, "a", Lever.MORE_ROOM, 950) == 0  # there is no limit on its queue
