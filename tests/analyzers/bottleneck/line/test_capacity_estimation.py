"""Lines with small buffers or none: which stage is the bottleneck, and which capacity is learnt from times."""

from collections.abc import Callable

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import START, at, card

from jelmon.events import Event, PipelineDeclared, PipelineDeclaredData, StageDeclaration, make
from jelmon_analyzers import BottleneckAnalyzer

SECONDS = 3000.0
STAGES = ("first", "second", "third", "fourth")
MEANS = (2.6, 2.4, 4.4, 2.2)  # the third limits the line
LATE = 2.0


class Blocked:
    """A line of single workers, first come first served; a card that finds no room keeps its worker."""

    def __init__(self, room: int | None, *, seed: int = 1, every: float = 4.8) -> None:
        random = np.random.default_rng(seed)
        count = int(SECONDS / every)
        arrivals = np.cumsum(random.exponential(every, count))
        works = random.gamma(4.0, np.array(MEANS) / 4.0, (count, len(MEANS)))
        self.queued, self.started, self.finished = (np.zeros_like(works) for _ in range(3))
        left = np.zeros_like(works)
        last = len(MEANS) - 1
        for n in range(count):
            for j in range(last + 1):
                self.queued[n, j] = left[n, j - 1] if j else arrivals[n]
                self.started[n, j] = max(self.queued[n, j], left[n - 1, j] if n else 0.0)
                self.finished[n, j] = left[n, j] = self.started[n, j] + works[n, j]
                if j < last and room is not None and n >= max(room, 1):
                    # it may go on when the card that is so many places ahead of it has started there, or left
                    gate = self.started[n - room, j + 1] if room else left[n - 1, j + 1]
                    left[n, j] = max(left[n, j], gate)

    def events(
        self,
        *,
        told: bool = False,
        declared: int | None = None,
        seen: Callable[[float, float, np.random.Generator], float] = lambda queued, started, _: queued,
    ) -> list[Event]:
        """What it tells; ``seen`` says when ``queued`` is told."""
        random = np.random.default_rng(7)
        found: list[Event] = []
        for (n, j), queued in np.ndenumerate(self.queued):
            one, name, following = card(n), STAGES[j], STAGES[j + 1] if j + 1 < len(STAGES) else None
            started, finished = self.started[n, j], self.finished[n, j]
            held = told and following is not None and self.queued[n, j + 1] > finished + 1e-9
            found += [
                one.stage_queued(name, time=at(seen(float(queued), float(started), random) if j else float(queued))),
                one.stage_started(name, time=at(float(started))),
                one.stage_finished(
                    name, next_stage=following, held_up=held, last=not following, time=at(float(finished))
                ),
            ]
        found = sorted((event for event in found if event.time <= at(SECONDS)), key=_order)
        if declared is None:
            return found
        stages = tuple(
            StageDeclaration(stage=name, workers=1, queue_capacity=declared if number else None)
            for number, name in enumerate(STAGES)
        )
        data = PipelineDeclaredData(pipeline="tested", stages=stages)
        return [make(PipelineDeclared, data, source="/test", time=START), *found]


def _order(event: Event) -> tuple[float, int]:
    # at one moment: a worker ends, a card is let in, a worker takes it
    kinds = ("StageFinished", "StageQueued", "StageStarted")
    return event.time.timestamp(), kinds.index(type(event).__name__)


def _fed(events: list[Event]) -> BottleneckAnalyzer:
    analyzer = BottleneckAnalyzer()
    analyzer.observe_many(events)
    return analyzer


@pytest.mark.parametrize("room", [0, 1, 3])
@pytest.mark.parametrize("how", ["told", "declared", "learnt"])
def test_the_slow_stage_is_the_most_severe_with_any_buffer(room: int, how: str) -> None:
    """Its own queue is empty or short, and the long one stands before the first stage, which it holds up."""
    line = Blocked(room)
    analyzer = _fed(line.events(told=how == "told", declared=room if how == "declared" else None))
    severity = analyzer.severity(at(SECONDS))
    report = analyzer.report(at(SECONDS))

    assert max(severity, key=severity.__getitem__) == "third"
    assert severity["third"] > 60
    assert severity["first"] < severity["third"] - 10
    assert report["second"].mean_blocked > 0.2
    assert report["third"].queue_capacity == room
    assert report["third"].capacity_declared == (how == "declared")


def test_a_lightly_loaded_line_without_buffers_has_no_bottleneck() -> None:
    """Now and then a card is held up; that is not half of the time."""
    severity = _fed(Blocked(0, every=12.0).events(told=True)).severity(at(SECONDS))

    assert len(severity) == len(STAGES)
    assert max(severity.values()) < 40


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lambda queued, started, _: started, id="told only when the work starts"),
        pytest.param(lambda queued, started, random: min(started, queued + random.uniform(0, LATE)), id="told late"),
        pytest.param(lambda queued, started, _: min(started, queued + 0.2), id="told a constant time late"),
    ],
)
def test_a_late_queued_event_is_not_blocking(
    seen: Callable[[float, float, np.random.Generator], float],
) -> None:
    """Nothing is learnt from it: the worker went on with another card, or all come late."""
    analyzer = _fed(Blocked(None).events(seen=seen))

    assert {report.queue_capacity for report in analyzer.report(at(SECONDS)).values()} == {None}
    assert {report.mean_blocked for report in analyzer.report(at(SECONDS)).values()} == {0.0}


def test_a_learnt_capacity_is_dropped_when_it_no_longer_holds() -> None:
    """The limit goes: cards wait in numbers that it would not have let in."""
    events = Blocked(2).events()
    analyzer = _fed(events)

    assert analyzer.line.capacity(analyzer.line.index["third"]) == 2

    later = Blocked(None, seed=2)
    for part in (later.queued, later.started, later.finished):
        part += SECONDS
    analyzer.observe_many(
        sorted(
            (
                event
                for n, j in np.ndindex(later.queued.shape)
                for one in (card(f"later-{n}"),)
                for event in (
                    one.stage_queued(STAGES[j], time=at(float(later.queued[n, j]))),
                    one.stage_started(STAGES[j], time=at(float(later.started[n, j]))),
                    one.stage_finished(STAGES[j], last=j == len(STAGES) - 1, time=at(float(later.finished[n, j]))),
                )
            ),
            key=_order,
        )
    )

    assert analyzer.line.capacity(analyzer.line.index["third"]) is None
