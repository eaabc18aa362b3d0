"""Activity around a simulated pipeline, which a stall does not affect: sessions and calls to services."""

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from jelmon.events import (
    CallFinished,
    CallFinishedData,
    Envelope,
    Outcome,
    SessionData,
    SessionFinished,
    SessionFinishedData,
    SessionStarted,
    make,
)
from jelmon.tools.simulation.evidence import draw_duration, draw_weighted
from jelmon.tools.simulation.scenario import Calls, Sessions


class Step(NamedTuple):
    """An event and its time, in seconds from the start."""

    at: float
    event: Envelope


class RunContext(NamedTuple):
    """What all events of a run have in common."""

    source: str
    start: datetime
    run: str

    def time(self, at: float) -> datetime:
        return self.start + timedelta(seconds=at)


def sessions(random: Random, part: Sessions, *, pipeline: str, context: RunContext) -> Iterator[Step]:
    """Yield the starts and ends of sessions, without end, in order of time."""
    ends: list[tuple[float, str, bool]] = []
    at, number = 0.0, 0
    while True:
        at += random.expovariate(part.per_minute / 60)
        while ends and ends[0][0] <= at:
            end, session, failed = heapq.heappop(ends)
            outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
            data = SessionFinishedData(kind=part.kind, pipeline=pipeline, outcome=outcome)
            yield Step(
                end,
                make(
                    SessionFinished,
                    data,
                    source=context.source,
                    subject=session,
                    time=context.time(end),
                    id=f"{session}-finished",
                ),
            )
        number += 1
        session = f"session-{part.kind}-{context.run}-{number}"
        yield Step(
            at,
            make(
                SessionStarted,
                SessionData(kind=part.kind, pipeline=pipeline),
                source=context.source,
                subject=session,
                time=context.time(at),
                id=f"{session}-started",
            ),
        )
        end = at + draw_duration(random, part.duration)
        heapq.heappush(ends, (end, session, random.random() < part.failure_share))


def calls(random: Random, part: Calls, *, context: RunContext) -> Iterator[Step]:
    """Yield the ends of calls to a service, without end, in order of time."""
    ends: list[tuple[float, int, CallFinishedData]] = []
    at, number = 0.0, 0
    while True:
        at += random.expovariate(part.per_minute / 60)
        while ends and ends[0][0] <= at:
            end, which, data = heapq.heappop(ends)
            yield Step(
                end,
                make(
                    CallFinished,
                    data,
                    source=context.source,
                    time=context.time(end),
                    id=f"call-{part.target}-{context.run}-{which}",
                ),
            )
        number += 1
        duration = draw_duration(random, part.duration)
        failed = random.random() < part.error_share
        data = CallFinishedData(
            target=part.target,
            outcome=Outcome.ERROR if failed else Outcome.SUCCESS,
            duration_seconds=round(duration, 4),
            error=draw_weighted(random, part.errors) if failed else None,
        )
        heapq.heappush(ends, (at + duration, number, data))
