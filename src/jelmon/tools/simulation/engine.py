"""A discrete-event simulation of a pipeline: seeded, without a clock, the same events for the same arguments.

Cards arrive, wait in finite queues, are served by workers, are retried, block their worker while the next queue is full
(blocking after service), and leave. Work is measured in seconds at normal speed: a slowdown or a stall changes the rate
at which it is done, also for cards in service.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random

import msgspec

from jelmon.client import Card
from jelmon.events import Envelope, Outcome, PipelineDeclared, make
from jelmon.tools.simulation.background import RunContext, Step, calls, sessions
from jelmon.tools.simulation.evidence import draw_duration, examine
from jelmon.tools.simulation.scenario import Arrivals, Change, Scenario, Stage

SOURCE = "/jelmon/simulate"
_DAY_SECONDS = 86400.0
_STALLED = math.inf  # the slowness of a stage that stalls


def simulate(
    scenario: Scenario, *, seed: int, start: datetime, seconds: float = math.inf, run: str | None = None
) -> Iterator[Step]:
    """Yield the events of a scenario in order of time, beginning with the declaration of the pipeline.

    ``run`` is part of the ids of cards and events, so that two runs stay distinct; by default it is derived from seed
    and start. Without ``seconds`` the events never end.
    """
    context = RunContext(SOURCE, start, run or f"{seed}-{int(start.timestamp() * 1000)}")
    declaration = make(
        PipelineDeclared,
        scenario.declaration(),
        source=SOURCE,
        subject=scenario.pipeline,
        time=start,
        id=f"declared-{scenario.pipeline}-{context.run}",
    )
    streams = [iter([Step(0.0, declaration)]), _Pipeline(scenario, seed=seed, context=context).steps()]
    for session in scenario.sessions:
        random = Random(f"{seed}/sessions/{session.kind}")
        streams.append(sessions(random, session, pipeline=scenario.pipeline, context=context))
    for call in scenario.calls:
        streams.append(calls(Random(f"{seed}/calls/{call.target}"), call, context=context))
    for step in heapq.merge(*streams, key=lambda step: step.at):
        if step.at > seconds:
            return
        yield step


@dataclass(slots=True, eq=False)
class _Job:
    """A card in the pipeline, in one attempt of one stage at a time."""

    card: Card
    begun: bool = False  # started in some stage
    attempt: int = 1
    worker: int | None = None
    started_at: float = 0.0
    work_left: float = 0.0
    seen_at: float = 0.0  # when work_left was computed
    token: int = 0  # an end scheduled with another token is outdated


@dataclass(slots=True, eq=False)
class _Station:
    """The state of a stage."""

    stage: Stage
    before: "_Station | None"
    free: list[int]  # heap of worker numbers
    next: "_Station | None" = None
    queue: deque[_Job] = field(default_factory=deque)
    serving: dict[int, _Job] = field(default_factory=dict)  # by worker
    blocked: deque[_Job] = field(
        default_factory=deque
    )  # finished in the previous stage or just arrived, while this queue is full
    slowness: float = 1.0  # seconds that a second of work takes

    @property
    def has_capacity(self) -> bool:
        capacity = self.stage.queue_capacity
        if capacity is None or len(self.queue) < capacity:
            return True
        return not self.queue and bool(self.free) and self.slowness < _STALLED


class _Pipeline:
    """The state of one run."""

    def __init__(self, scenario: Scenario, *, seed: int, context: RunContext) -> None:
        self._scenario = scenario
        self._context = context
        # separate random streams, so that a change in one does not shift the others
        self._arrivals = Random(f"{seed}/arrivals")
        self._service = Random(f"{seed}/service")
        self._evidence = Random(f"{seed}/evidence")
        self._stations: list[_Station] = []
        for stage in scenario.stages:
            station = _Station(stage, self._stations[-1] if self._stations else None, list(range(1, stage.workers + 1)))
            if station.before is not None:
                station.before.next = station
            self._stations.append(station)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._now = 0.0
        self._emitted: list[Envelope] = []
        self._events = 0
        self._cards = 0

    def steps(self) -> Iterator[Step]:
        """Yield the events of cards, without end."""
        for change in self._scenario.changes:
            self._schedule(change.at_seconds, partial(self._change, change))
        self._schedule(next_arrival(self._arrivals, self._scenario.arrivals, 0.0, self._context.start), self._arrive)
        while self._agenda:
            self._now, _, action = heapq.heappop(self._agenda)
            action()
            for event in self._emitted:
                self._events += 1
                yield Step(self._now, msgspec.structs.replace(event, id=f"event-{self._context.run}-{self._events}"))
            self._emitted.clear()

    def _schedule(self, at: float, action: Callable[[], None]) -> None:
        self._scheduled += 1  # at the same instant, in the order of scheduling
        heapq.heappush(self._agenda, (at, self._scheduled, action))

    def _emit(self, event: Envelope) -> None:
        self._emitted.append(event)

    # --- actions ---

    def _arrive(self) -> None:
        start = self._context.start
        self._schedule(next_arrival(self._arrivals, self._scenario.arrivals, self._now, start), self._arrive)
        self._cards += 1
        card = Card(f"card-{self._context.run}-{self._cards}", pipeline=self._scenario.pipeline, source=SOURCE)
        self._emit(card.queued(time=self._context.time(self._now)))
        first = self._stations[0]
        if first.has_capacity:
            self._enqueue(first, _Job(card))
            self._serve(first)
        else:
            first.blocked.append(_Job(card))

    def _enqueue(self, station: _Station, job: _Job) -> None:
        time = self._context.time(self._now)
        self._emit(job.card.stage_queued(station.stage.stage, attempt=job.attempt, time=time))
        station.queue.append(job)

    def _serve(self, station: _Station) -> None:
        """Start waiting cards on idle workers, then admit blocked cards while the queue has capacity."""
        while True:
            while station.free and station.queue and station.slowness < _STALLED:
                self._start(station, station.queue.popleft())
            if not (station.blocked and station.has_capacity):
                return
            job = station.blocked.popleft()
            worker, job.worker = job.worker, None
            job.attempt = 1
            self._enqueue(station, job)
            if worker is not None and station.before is not None:
                heapq.heappush(station.before.free, worker)
                self._serve(station.before)

    def _start(self, station: _Station, job: _Job) -> None:
        time = self._context.time(self._now)
        if not job.begun:
            job.begun = True
            self._emit(job.card.started(time=time))
        worker = heapq.heappop(station.free)
        station.serving[worker] = job
        job.worker = worker
        job.started_at = job.seen_at = self._now
        job.work_left = draw_duration(self._service, station.stage.service)
        name = _worker_name(station, worker)
        self._emit(job.card.stage_started(station.stage.stage, attempt=job.attempt, worker=name, time=time))
        self._schedule_end(station, job)

    def _schedule_end(self, station: _Station, job: _Job) -> None:
        """Schedule the end of the run at the current speed; an end scheduled earlier becomes void."""
        job.token += 1
        if station.slowness == _STALLED:
            return
        end = self._now + job.work_left * station.slowness
        limit = job.started_at + (station.stage.time_limit_seconds or math.inf)
        self._schedule(
            max(self._now, min(end, limit)), partial(self._end, station, job, job.token, timed_out=limit < end)
        )

    def _end(self, station: _Station, job: _Job, token: int, *, timed_out: bool) -> None:
        if token != job.token or job.worker is None:
            return
        del station.serving[job.worker]
        outcome = Outcome.TIMEOUT
        time = self._context.time(self._now)
        if not timed_out:
            evidence = examine(self._evidence, job.card.pipeline, station.stage)
            outcome = evidence.outcome
            for kind, data in evidence.facts:
                self._emit(make(kind, data, source=SOURCE, subject=job.card.id, time=time, id="later"))
        if outcome is Outcome.SUCCESS and station.next is not None:
            self._move(station, station.next, job)
            return
        again = outcome is not Outcome.SUCCESS and job.attempt < station.stage.max_attempts
        self._emit_finished(station, job, outcome, last=not again)
        self._release(station, job)
        if again:
            job.attempt += 1
            self._emit(
                job.card.stage_retried(station.stage.stage, attempt=job.attempt, reason=outcome.value, time=time)
            )
            self._emit(job.card.stage_queued(station.stage.stage, attempt=job.attempt, time=time))
            station.queue.appendleft(job)  # the worker just released starts it at once
        else:
            self._emit(job.card.finished(outcome, time=time))
        self._serve(station)

    def _move(self, station: _Station, following: _Station, job: _Job) -> None:
        held_up = not following.has_capacity
        self._emit_finished(station, job, Outcome.SUCCESS, next_stage=following.stage.stage, held_up=held_up)
        if held_up:
            following.blocked.append(job)  # and keeps its worker
            return
        self._release(station, job)
        job.attempt = 1
        self._enqueue(following, job)
        self._serve(following)
        self._serve(station)

    def _emit_finished(
        self,
        station: _Station,
        job: _Job,
        outcome: Outcome,
        *,
        next_stage: str | None = None,
        held_up: bool = False,
        last: bool = False,
    ) -> None:
        assert job.worker is not None
        self._emit(
            job.card.stage_finished(
                station.stage.stage,
                outcome,
                attempt=job.attempt,
                worker=_worker_name(station, job.worker),
                next_stage=next_stage,
                held_up=held_up,
                last=last,
                time=self._context.time(self._now),
            )
        )

    def _release(self, station: _Station, job: _Job) -> None:
        assert job.worker is not None
        heapq.heappush(station.free, job.worker)
        job.worker = None

    def _change(self, change: Change) -> None:
        chosen = [station for station in self._stations if change.stage in (None, station.stage.stage)]
        slowness = {"slow": change.factor, "stall": _STALLED, "recover": 1.0}[change.kind]
        for station in chosen:
            for job in station.serving.values():
                job.work_left = max(0.0, job.work_left - (self._now - job.seen_at) / station.slowness)
                job.seen_at = self._now
            station.slowness = slowness
            for job in station.serving.values():
                self._schedule_end(station, job)
        for station in reversed(chosen):
            self._serve(station)


def next_arrival(random: Random, arrivals: Arrivals, now: float, start: datetime) -> float:
    """Return the time of the next arrival: thinning of a Poisson process whose rate varies over the day."""
    highest = (arrivals.per_minute * (1 + arrivals.daily_swing) + arrivals.rush_per_minute) / 60
    is_steady = arrivals.daily_swing == 0.0 and arrivals.rush_per_minute == 0.0
    while True:
        now += random.expovariate(highest)
        hour = (start.hour + start.minute / 60 + start.second / 3600 + now / 3600) % 24
        swing = arrivals.daily_swing * math.cos((hour - arrivals.peak_hour) / 24 * math.tau)
        from_rush = (now + _DAY_SECONDS / 2) % _DAY_SECONDS - _DAY_SECONDS / 2  # to the nearest one
        rush = arrivals.rush_per_minute * math.exp(-0.5 * (from_rush / 60 / arrivals.rush_minutes) ** 2)
        if is_steady or random.random() * highest < (arrivals.per_minute * (1 + swing) + rush) / 60:
            return now


def _worker_name(station: _Station, worker: int) -> str:
    return f"{station.stage.stage}-{worker}"
