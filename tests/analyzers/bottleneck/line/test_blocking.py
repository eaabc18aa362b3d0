"""Blocked cards, reported or inferred, and which stage is blamed."""

from collections.abc import Callable

import pytest
from tests.analyzers.bottleneck.conftest import at, card

from jelmon.client import Card
from jelmon.events import Event, Outcome
from jelmon_analyzers.bottleneck import BottleneckAnalyzer


def _two_stages(*, told: bool) -> list[Event]:
    """40 cards through a (2 s each) to b (10 s each), where one may wait: a is held up most of the time."""
    events: list[tuple[float, int, Event]] = []
    free_a = free_b = 0.0
    starts_b: list[float] = []

    def tell(time: float, event: Callable[..., Event], *args: object, **more: object) -> None:
        events.append((time, len(events), event(*args, time=at(time), **more)))

    for number in range(40):
        one: Card = card(number)
        tell(0.0, one.stage_queued, "a")
        begin = free_a
        tell(begin, one.stage_started, "a")
        done = begin + 2.0
        room = max(done, starts_b[number - 2] + 10.0) if number >= 2 else done
        held = room > done
        tell(done, one.stage_finished, "a", Outcome.SUCCESS, next_stage="b", held_up=held and told)
        tell(room, one.stage_queued, "b")
        start = max(room, free_b)
        starts_b.append(start)
        tell(start, one.stage_started, "b")
        free_b = start + 10.0
        tell(free_b, one.stage_finished, "b", Outcome.SUCCESS, last=True)
        free_a = room
    return [event for _, _, event in sorted(events, key=lambda part: (part[0], part[1]))]


def test_loss_upstream_of_a_full_queue_is_blamed_on_the_full_stage() -> None:
    """The one that blocks is severe and has the impact; the one that is blocked has neither, though all wait there."""
    analyzer = BottleneckAnalyzer(window_seconds=300, workers={"a": 1, "b": 1})
    analyzer.observe_many(event for event in _two_stages(told=True) if event.time <= at(330))
    report = analyzer.report(at(330))

    assert report["b"].severity is not None
    assert report["b"].severity > 95
    assert report["a"].severity is not None
    assert report["a"].severity == pytest.approx(20, abs=1)  # the 2 of 10 seconds in which it works
    assert report["b"].impact > 4 * report["a"].impact
    assert report["b"].cascade is not None
    assert report["b"].cascade > 90
    assert report["a"].mean_blocked > 0.7
    assert (analyzer.bottleneck(at(330)) or report["a"]).stage == "b"


def test_without_a_buffer_cards_blocked_for_a_stage_wait_for_it() -> None:
    """Nothing ever queues for b, as there is no room; a holds each card until b can take it."""
    analyzer = BottleneckAnalyzer(window_seconds=300)
    for number in range(40):
        one, begin = card(number), 10.0 * number
        for event in (
            one.stage_queued("a", time=at(begin)),
            one.stage_started("a", time=at(begin)),
            one.stage_finished("a", next_stage="b", held_up=True, time=at(begin + 2)),
            one.stage_queued("b", time=at(begin + 10)),
            one.stage_started("b", time=at(begin + 10)),
        ):
            analyzer.observe(event)
        if number:
            analyzer.observe(card(number - 1).stage_finished("b", last=True, time=at(begin + 10)))
    severity = analyzer.severity(at(330))

    # a holds a card for b during 8 of 10 seconds, to the end of each run; the other 2 count too, by half, as here the
    # next run is told to begin before the last one is told to have ended: it looks as if there were two workers
    assert severity["b"] == pytest.approx(90, abs=1)
    assert "a" not in severity
    assert analyzer.impact(at(330))["b"] == pytest.approx(240, abs=3)


def test_a_late_queued_event_is_not_blocking() -> None:
    """Nobody says so, and no limit is declared: what finished in a is nowhere until b tells of it."""
    analyzer = BottleneckAnalyzer(window_seconds=300)
    analyzer.observe_many(event for event in _two_stages(told=False) if event.time <= at(330))
    report = analyzer.report(at(330))

    assert report["a"].mean_blocked == 0
    assert report["a"].severity is not None
    assert report["a"].severity > 95


def test_a_full_declared_queue_blocks_without_a_reported_block() -> None:
    """With the capacity known, the same log tells the truth."""
    told = BottleneckAnalyzer(window_seconds=300)
    told.observe_many(event for event in _two_stages(told=True) if event.time <= at(330))
    found = BottleneckAnalyzer(window_seconds=300, queue_capacities={"b": 1})
    found.observe_many(event for event in _two_stages(told=False) if event.time <= at(330))

    assert told.severity(at(330)) == pytest.approx(found.severity(at(330)), abs=2)
    assert told.report(at(330))["a"].mean_blocked == pytest.approx(found.report(at(330))["a"].mean_blocked, abs=0.05)
