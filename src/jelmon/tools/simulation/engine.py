"""A discrete-event simulation of a pipeline: seeded and without a clock, so equal arguments give equal events.

Cards arrive, wait in finite queues, are served by workers, are tried again, hold up their worker when the next stage
has no room (blocking after service), and leave. Work is measured in seconds at normal speed: a slow-down or a stall
changes how fast it shrinks, for cards in service too.
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
_STILL = math.inf  # the slowness of a stage that stalls


def simulate(
    scenario: Scenario, *, seed: int, start: datetime, seconds: float = math.inf, run: str | None = None
) -> Iterator[Step]:
    """Yield the events of a scenario in order of time, beginning with the declaration of the pipeline.

    ``run`` becomes part of the ids of cards and events, so that two runs stay distinct; by default it is derived from
    ``seed`` and ``start``. Without ``seconds`` the events never end.
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
    """A card on its way, in one attempt of one stage at a time."""

    card: Card
    begun: bool = False  # it was started in some stage
    attempt: int = 1
    worker: int | None = None
    started_at: float = 0.0
    work_left: float = 0.0
    seen_at: float = 0.0  # when work_left was true
    token: int = 0  # a scheduled end with another token is void


@dataclass(slots=True, eq=False)
class _StageState:
    """The run-time state of a stage."""

    stage: Stage
    before: "_StageState | None"
    free: list[int]  # heap of worker numbers
    next: "_StageState | None" = None
    queue: deque[_Job] = field(default_factory=deque)
    serving: dict[int, _Job] = field(default_factory=dict)  # by worker
    blocked: deque[_Job] = field(default_factory=deque)  # finished in the stage before, or newly arrived: no space here
    slowness: float = 1.0  # seconds that a second of work takes

    @property
    def has_space(self) -> bool:
        capacity = self.stage.queue_capacity
        if capacity is None or len(self.queue) < capacity:
            return True
        return not self.queue and bool(self.free) and self.slowness < _STILL


class _Pipeline:
    """The state of one run."""

    def __init__(self, scenario: Scenario, *, seed: int, context: RunContext) -> None:
        self._scenario = scenario
        self._context = context
        # one random source per purpose, so that changing one does not shift the others
        self._arrivals = Random(f"{seed}/arrivals")
        self._service = Random(f"{seed}/service")
        self._evidence = Random(f"{seed}/evidence")
        self._stages: list[_StageState] = []
        for stage in scenario.stages:
            state = _StageState(stage, self._stages[-1] if self._stages else None, list(range(1, stage.workers + 1)))
            if state.before is not None:
                state.before.next = state
            self._stages.append(state)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled_count = 0
        self._now = 0.0
        self._emitted: list[Envelope] = []
        self._events = 0
        self._cards = 0

    def steps(self) -> Iterator[Step]:
        """Yield everything that happens to cards, without end."""
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
        self._scheduled_count += 1  # at the same instant, first scheduled comes first
        heapq.heappush(self._agenda, (at, self._scheduled_count, action))

    def _emit(self, event: Envelope) -> None:
        self._emitted.append(event)

    # --- what happens ---

    def _arrive(self) -> None:
        start = self._context.start
        self._schedule(next_arrival(self._arrivals, self._scenario.arrivals, self._now, start), self._arrive)
        self._cards += 1
        card = Card(f"card-{self._context.run}-{self._cards}", pipeline=self._scenario.pipeline, source=SOURCE)
        self._emit(card.queued(time=self._context.time(self._now)))
        first = self._stages[0]
        if first.has_space:
            self._enqueue(first, _Job(card))
            self._serve(first)
        else:
            first.blocked.append(_Job(card))

    def _enqueue(self, state: _StageState, job: _Job) -> None:
        time = self._context.time(self._now)
        self._emit(job.card.stage_queued(state.stage.stage, attempt=job.attempt, time=time))
        state.queue.append(job)

    def _serve(self, state: _StageState) -> None:
        """Start waiting cards on idle workers, and admit blocked cards while there is space."""
        while True:
            while state.free and state.queue and state.slowness < _STILL:
                self._start(state, state.queue.popleft())
            if not (state.blocked and state.has_space):
                return
            job = state.blocked.popleft()
            worker, job.worker = job.worker, None
            job.attempt = 1
            self._enqueue(state, job)
            if worker is not None and state.before is not None:
                heapq.heappush(state.before.free, worker)
                self._serve(state.before)

    def _start(self, state: _StageState, job: _Job) -> None:
        time = self._context.time(self._now)
        if not job.begun:
            job.begun = True
            self._emit(job.card.started(time=time))
        worker = heapq.heappop(state.free)
        state.serving[worker] = job
        job.worker = worker
        job.started_at = job.seen_at = self._now
        job.work_left = draw_duration(self._service, state.stage.service)
        name = _worker_name(state, worker)
        self._emit(job.card.stage_started(state.stage.stage, attempt=job.attempt, worker=name, time=time))
        self._schedule_end(state, job)

    def _schedule_end(self, state: _StageState, job: _Job) -> None:
        """Schedule the end of the run at its present speed; an end scheduled before is void."""
        job.token += 1
        if state.slowness == _STILL:
            return
        end = self._now + job.work_left * state.slowness
        limit = job.started_at + (state.stage.time_limit_seconds or math.inf)
        self._schedule(
            max(self._now, min(end, limit)), partial(self._end, state, job, job.token, timed_out=limit < end)
        )

    def _end(self, state: _StageState, job: _Job, token: int, *, timed_out: bool) -> None:
        if token != job.token or job.worker is None:
            return
        del state.serving[job.worker]
        outcome = Outcome.TIMEOUT
        time = self._context.time(self._now)
        if not timed_out:
            evidence = examine(self._evidence, job.card.pipeline, state.stage)
            outcome = evidence.outcome
            for kind, data in evidence.facts:
                self._emit(make(kind, data, source=SOURCE, subject=job.card.id, time=time, id="later"))
        if outcome is Outcome.SUCCESS and state.next is not None:
            self._pass_on(state, state.next, job)
            return
        again = outcome is not Outcome.SUCCESS and job.attempt < state.stage.max_attempts
        self._emit_end(state, job, outcome, last=not again)
        self._release(state, job)
        if again:
            job.attempt += 1
            self._emit(job.card.stage_retried(state.stage.stage, attempt=job.attempt, reason=outcome.value, time=time))
            self._emit(job.card.stage_queued(state.stage.stage, attempt=job.attempt, time=time))
            state.queue.appendleft(job)  # the worker that just became free starts it immediately
        else:
            self._emit(job.card.finished(outcome, time=time))
        self._serve(state)

    def _pass_on(self, state: _StageState, following: _StageState, job: _Job) -> None:
        held_up = not following.has_space
        self._emit_end(state, job, Outcome.SUCCESS, next_stage=following.stage.stage, held_up=held_up)
        if held_up:
            following.blocked.append(job)  # and keeps its worker
            return
        self._release(state, job)
        job.attempt = 1
        self._enqueue(following, job)
        self._serve(following)
        self._serve(state)

    def _emit_end(
        self,
        state: _StageState,
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
                state.stage.stage,
                outcome,
                attempt=job.attempt,
                worker=_worker_name(state, job.worker),
                next_stage=next_stage,
                held_up=held_up,
                last=last,
                time=self._context.time(self._now),
            )
        )

    def _release(self, state: _StageState, job: _Job) -> None:
        assert job.worker is not None
        heapq.heappush(state.free, job.worker)
        job.worker = None

    def _change(self, change: Change) -> None:
        chosen = [state for state in self._stages if change.stage in (None, state.stage.stage)]
        slowness = {"slow": change.factor, "stall": _STILL, "recover": 1.0}[change.kind]
        for state in chosen:
            for job in state.serving.values():
                job.work_left = max(0.0, job.work_left - (self._now - job.seen_at) / state.slowness)
                job.seen_at = self._now
            state.slowness = slowness
            for job in state.serving.values():
                self._schedule_end(state, job)
        for state in reversed(chosen):
            self._serve(state)


def next_arrival(random: Random, arrivals: Arrivals, now: float, start: datetime) -> float:
    """Return the time of the next arrival: a Poisson process with a daily rate curve, by thinning."""
    highest = arrivals.per_minute / 60 * (1 + arrivals.daily_swing)
    while True:
        now += random.expovariate(highest)
        hour = (start.hour + start.minute / 60 + start.second / 3600 + now / 3600) % 24
        swing = arrivals.daily_swing * math.cos((hour - arrivals.peak_hour) / 24 * math.tau)
        if arrivals.daily_swing == 0.0 or random.random() * highest < arrivals.per_minute / 60 * (1 + swing):
            return now


def _worker_name(state: _StageState, worker: int) -> str:
    return f"{state.stage.stage}-{worker}"
