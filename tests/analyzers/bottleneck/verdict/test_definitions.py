"""The figures match a direct count over the log, and queueing theory."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.analyzers.bottleneck.conftest import Served, at, events_of

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


def test_a_bucket_cut_by_the_window_counts_in_proportion(queue: Callable[..., list[Served]]) -> None:
    """Asked between two edges, the share of the cut bucket is taken: an error of less than one bucket's width."""
    served = queue(rho=0.9, seconds=3000)
    analyzer = BottleneckAnalyzer(window_seconds=600)
    analyzer.observe_many(event for event in events_of(served) if event.time <= at(2003.7))

    assert analyzer.severity(at(2003.7))["only"] == pytest.approx(
        100 * _saturated(served, 1403.7, 2003.7) / 600, abs=100 * 10 / 600
    )
