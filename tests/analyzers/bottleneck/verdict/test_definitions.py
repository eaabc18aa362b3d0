"""The figures are what their definitions say: against a slow count over the log, and against queueing theory."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, at, card, events_of

from jelmon.client import Card
from jelmon.events import Event, Outcome
from jelmon_analyzers.bottleneck import BottleneckAnalyzer


def _overlap(begin: np.ndarray, end: np.ndarray, low: float, high: float) -> float:
    return float(np.clip(np.minimum(end, high) - np.maximum(begin, low), 0, None).sum())


def _saturated(served: list[Served], low: float, high: float) -> float:
    """Length of the union of all waits within the window."""
    total, reach = 0.0, low
    for queued, started, _ in sorted(served):
        total += max(0.0, min(started, high) - max(queued, reach))
        reach = max(reach, min(started, high))
    return total


@pytest.mark.parametrize("workers", [1, 3])
def test_littles_law_and_the_utilisation_law_hold_on_every_export(
    queue: Callable[..., list[Served]], workers: int
) -> None:
    """Mean number times window = time spent there by all cards; U = busy / (c T); and so every half minute."""
    served = queue(rho=0.85, workers=workers, seconds=4000)
    table = np.array(served)
    analyzer = BottleneckAnalyzer(window_seconds=600, workers={"only": workers})
    events = list(events_of(served))
    exports = 0
    for now in np.arange(630.0, 3600.0, 30.0):
        while events and events[0].time <= at(now):
            analyzer.observe(events.pop(0))
        report = analyzer.report(at(now))["only"]
        # the window begins at a bucket's edge, so that no share of a bucket is estimated
        low = now - 600

        assert _overlap(table[:, 0], table[:, 1], low, now) == pytest.approx(report.mean_waiting * 600, abs=1e-3)
        assert _overlap(table[:, 1], table[:, 2], low, now) == pytest.approx(report.mean_in_service * 600, abs=1e-3)
        assert report.utilisation == pytest.approx(report.mean_in_service / workers)
        assert report.severity == pytest.approx(100 * _saturated(served, low, now) / 600, abs=1e-3)
        assert report.impact == pytest.approx(report.mean_waiting * 600, abs=1e-3)
        assert np.count_nonzero((table[:, 0] > low) & (table[:, 0] <= now)) == report.arrivals
        exports += 1

    assert exports > 90


def _erlang_c(rho: float, workers: int) -> float:
    load = rho * workers
    last = load**workers / math.factorial(workers) / (1 - rho)
    return last / (sum(load**k / math.factorial(k) for k in range(workers)) + last)


@pytest.mark.parametrize(("rho", "workers"), [(0.5, 1), (0.9, 1), (0.8, 3)])
def test_severity_of_a_markovian_queue_is_what_theory_says(
    queue: Callable[..., list[Served]], rho: float, workers: int
) -> None:
    """M/M/c: 100 rho ErlangC, which is 100 rho^2 for one worker."""
    served = queue(rho=rho, workers=workers, seconds=150_000, seed=7)
    analyzer = BottleneckAnalyzer(window_seconds=140_000)
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(148_000))

    assert analyzer.severity(at(148_000))["only"] == pytest.approx(100 * rho * _erlang_c(rho, workers), abs=4)


def test_mean_wait_follows_from_the_figures_by_littles_law(queue: Callable[..., list[Served]]) -> None:
    """W = L / lambda, against the waits of the cards themselves (Pollaczek-Khinchine for the size)."""
    served = queue(rho=0.7, seconds=60_000, seed=3)
    analyzer = BottleneckAnalyzer(window_seconds=50_000)
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(58_000))
    report = analyzer.report(at(58_000))["only"]
    waits = [one.started - one.queued for one in served if 8_000 < one.queued < 58_000]

    assert np.mean(waits) == pytest.approx(report.mean_waiting / (report.arrivals / report.window_seconds), rel=0.01)
    assert pytest.approx(5.0 * 0.7 / 0.3, rel=0.25) == np.mean(waits)
    assert report.run_seconds == pytest.approx(5.0, rel=0.1)


def test_a_longer_window_than_buckets_divide_is_shared_out(queue: Callable[..., list[Served]]) -> None:
    """Asked between two edges, the share of the cut bucket is taken: an error of less than one bucket's width."""
    served = queue(rho=0.9, seconds=3000)
    analyzer = BottleneckAnalyzer(window_seconds=600)
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(2003.7))

    assert analyzer.severity(at(2003.7))["only"] == pytest.approx(
        100 * _saturated(served, 1403.7, 2003.7) / 600, abs=100 * 10 / 600
    )


# --- blocking ---


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


def test_loss_before_a_full_queue_is_blamed_on_the_stage_that_is_full() -> None:
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


def test_cards_held_up_for_a_stage_wait_for_it_where_there_is_no_room_to_queue() -> None:
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


def test_a_late_queued_event_is_not_taken_for_being_held_up() -> None:
    """Nobody says so, and no limit is declared: what finished in a is nowhere until b tells of it."""
    analyzer = BottleneckAnalyzer(window_seconds=300)
    analyzer.observe_many(event for event in _two_stages(told=False) if event.time <= at(330))
    report = analyzer.report(at(330))

    assert report["a"].mean_blocked == 0
    assert report["a"].severity is not None
    assert report["a"].severity > 95


def test_a_declared_queue_that_is_full_holds_up_without_being_told() -> None:
    """With the capacity known, the same log tells the truth."""
    told = BottleneckAnalyzer(window_seconds=300)
    told.observe_many(event for event in _two_stages(told=True) if event.time <= at(330))
    found = BottleneckAnalyzer(window_seconds=300, queue_capacities={"b": 1})
    found.observe_many(event for event in _two_stages(told=False) if event.time <= at(330))

    assert told.severity(at(330)) == pytest.approx(found.severity(at(330)), abs=2)
    assert told.report(at(330))["a"].mean_blocked == pytest.approx(found.report(at(330))["a"].mean_blocked, abs=0.05)
