"""A small exact queue, its events, and ways to analyze them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest

from jelmon.client import Card
from jelmon.events import Event, Outcome
from jelmon_analyzers.bottleneck import BottleneckAnalyzer

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A time of the tests."""
    return START + timedelta(seconds=seconds)


def card(number: int | str) -> Card:
    return Card(f"card-{number}", pipeline="tested", source="/test")


class Served(NamedTuple):
    """One card's way through one stage, in seconds."""

    queued: float
    started: float
    finished: float


def serve(arrivals: np.ndarray, services: np.ndarray, workers: int) -> list[Served]:
    """First come, first served, by ``workers`` workers."""
    free = [0.0] * workers
    served = []
    for arrival, service in zip(arrivals, services, strict=True):
        first = min(range(workers), key=free.__getitem__)
        begin = max(float(arrival), free[first])
        free[first] = begin + float(service)
        served.append(Served(float(arrival), begin, free[first]))
    return served


def events_of(served: list[Served], stage: str = "only") -> Iterator[Event]:
    """The log of one stage, in order of time."""
    told: list[tuple[float, int, Event]] = []
    for number, (queued, started, finished) in enumerate(served):
        one = card(number)
        told.append((queued, 0, one.stage_queued(stage, time=at(queued))))
        told.append((started, 1, one.stage_started(stage, time=at(started))))
        told.append((finished, 2, one.stage_finished(stage, Outcome.SUCCESS, last=True, time=at(finished))))
    return (event for _, _, event in sorted(told, key=lambda part: (part[0], part[1])))


@pytest.fixture
def queue() -> Callable[..., list[Served]]:
    """``queue(rho=.8, workers=2, seconds=9000, seed=1)``: an M/M/c queue with a mean service of 5 s."""

    def run(*, rho: float, workers: int = 1, seconds: float = 9000.0, seed: int = 1) -> list[Served]:
        random = np.random.default_rng(seed)
        rate = rho * workers / 5.0
        arrivals = np.cumsum(random.exponential(1 / rate, int(seconds * rate)))
        return serve(arrivals, random.exponential(5.0, len(arrivals)), workers)

    return run


def analyze(events: list[Event], **options: object) -> BottleneckAnalyzer:
    analyzer = BottleneckAnalyzer(**options)  # type: ignore[arg-type]
    analyzer.observe_many(events)
    return analyzer


def analyze_one_stage(arrivals: np.ndarray, services: np.ndarray, workers: int, until: float) -> BottleneckAnalyzer:
    served = serve(arrivals, services, workers)
    return analyze(
        [event for event in events_of(served) if event.time <= at(until)], workers={"only": workers}, pipeline="tested"
    )


def event_time(event: Event) -> datetime:
    return event.time
