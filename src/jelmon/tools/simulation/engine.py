"""A discrete-event simulation of a pipeline: seeded, without a clock, the same events for the same arguments.

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
from jelmon.tools.simulation.background import Step, Telling, calls, sessions
from jelmon.tools.simulation.evidence import draw_duration, examine
from jelmon.tools.simulation.scenario import Arrivals, Change, Scenario, Stage

SOURCE = "/jelmon/simulate"
_STILL = math.inf  # the slowness of a stage that stalls


def simulate(
    scenario: Scenario, *, seed: int, start: datetime, seconds: float = math.inf, run: str | None = None
) -> Iterator[Step]:
    """The events of a scenario, lazily and in order of time; the pipeline declares itself first.

    ``run`` goes into the ids of cards and events, so that two runs are not taken for one; it follows from seed and
    start unless given. Without ``seconds`` there is no end.
    """
    telling = Telling(SOURCE, start, run or f"{seed}-{int(start.timestamp() * 1000)}")
    declaration = make(
        PipelineDeclared,
        scenario.declaration(),
        source=SOURCE,
        subject=scenario.pipeline,
        time=start,
        id=f"declared-{scenario.pipeline}-{telling.run}",
    )
    streams = [iter([Step(0.0, declaration)]), _Pipeline(scenario, seed=seed, telling=telling).steps()]
    for session in scenario.sessions:
        random = Random(f"{seed}/sessions/{session.kind}")
        streams.append(sessions(random, session, pipeline=scenario.pipeline, telling=telling))
    for call in scenario.calls:
        streams.append(calls(Random(f"{seed}/calls/{call.target}"), call, telling=telling))
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
    token: int = 0  # an appointment of another token is outdated


@dataclass(slots=True, eq=False)
class _Room:
    """A stage at work."""

    stage: Stage
    before: "_Room | None"
    free: list[int]  # heap of worker numbers
    next: "_Room | None" = None
    queue: deque[_Job] = field(default_factory=deque)
    serving: dict[int, _Job] = field(default_factory=dict)  # by worker
    blocked: deque[_Job] = field(default_factory=deque)  # of the stage before, or at the door: no room here
    slowness: float = 1.0  # seconds that a second of work takes

    @property
    def has_space(self) -> bool:
        capacity = self.stage.queue_capacity
        if capacity is None or len(self.queue) < capacity:
            return True
        return not self.queue and bool(self.free) and self.slowness < _STILL


class _Pipeline:
    """The state of one run."""

    def __init__(self, scenario: Scenario, *, seed: int, telling: Telling) -> None:
        self._scenario = scenario
        self._telling = telling
        # one source of chance for each purpose, so that a change of one does not shift the others
        self._arrivals = Random(f"{seed}/arrivals")
        self._service = Random(f"{seed}/service")
        self._evidence = Random(f"{seed}/evidence")
        self._rooms: list[_Room] = []
        for stage in scenario.stages:
            room = _Room(stage, self._rooms[-1] if self._rooms else None, list(range(1, stage.workers + 1)))
            if room.before is not None:
                room.before.next = room
            self._rooms.append(room)
        self._appointments: list[tuple[float, int, Callable[[], None]]] = []
        self._booked = 0
        self._now = 0.0
        self._told: list[Envelope] = []
        self._events = 0
        self._cards = 0

    def steps(self) -> Iterator[Step]:
        """Everything that happens to cards, for ever."""
        for change in self._scenario.changes:
            self._book(change.at_seconds, partial(self._change, change))
        self._book(next_arrival(self._arrivals, self._scenario.arrivals, 0.0, self._telling.start), self._arrive)
        while self._appointments:
            self._now, _, action = heapq.heappop(self._appointments)
            action()
            for event in self._told:
                self._events += 1
                yield Step(self._now, msgspec.structs.replace(event, id=f"event-{self._telling.run}-{self._events}"))
            self._told.clear()

    def _book(self, at: float, action: Callable[[], None]) -> None:
        self._booked += 1  # what was booked first comes first at the same instant
        heapq.heappush(self._appointments, (at, self._booked, action))

    def _tell(self, event: Envelope) -> None:
        self._told.append(event)

    # --- what happens ---

    def _arrive(self) -> None:
        start = self._telling.start
        self._book(next_arrival(self._arrivals, self._scenario.arrivals, self._now, start), self._arrive)
        self._cards += 1
        card = Card(f"card-{self._telling.run}-{self._cards}", pipeline=self._scenario.pipeline, source=SOURCE)
        self._tell(card.queued(time=self._telling.time(self._now)))
        first = self._rooms[0]
        if first.has_space:
            self._enqueue(first, _Job(card))
            self._serve(first)
        else:
            first.blocked.append(_Job(card))

    def _enqueue(self, room: _Room, job: _Job) -> None:
        time = self._telling.time(self._now)
        self._tell(job.card.stage_queued(room.stage.stage, attempt=job.attempt, time=time))
        room.queue.append(job)

    def _serve(self, room: _Room) -> None:
        """Let idle workers take waiting cards, and let cards in for whom there is space now."""
        while True:
            while room.free and room.queue and room.slowness < _STILL:
                self._start(room, room.queue.popleft())
            if not (room.blocked and room.has_space):
                return
            job = room.blocked.popleft()
            worker, job.worker = job.worker, None
            job.attempt = 1
            self._enqueue(room, job)
            if worker is not None and room.before is not None:
                heapq.heappush(room.before.free, worker)
                self._serve(room.before)

    def _start(self, room: _Room, job: _Job) -> None:
        time = self._telling.time(self._now)
        if not job.begun:
            job.begun = True
            self._tell(job.card.started(time=time))
        worker = heapq.heappop(room.free)
        room.serving[worker] = job
        job.worker = worker
        job.started_at = job.seen_at = self._now
        job.work_left = draw_duration(self._service, room.stage.service)
        name = _worker_name(room, worker)
        self._tell(job.card.stage_started(room.stage.stage, attempt=job.attempt, worker=name, time=time))
        self._book_end(room, job)

    def _book_end(self, room: _Room, job: _Job) -> None:
        """Book the end of the run as it looks now; what was booked before is void."""
        job.token += 1
        if room.slowness == _STILL:
            return
        end = self._now + job.work_left * room.slowness
        limit = job.started_at + (room.stage.time_limit_seconds or math.inf)
        self._book(max(self._now, min(end, limit)), partial(self._end, room, job, job.token, timed_out=limit < end))

    def _end(self, room: _Room, job: _Job, token: int, *, timed_out: bool) -> None:
        if token != job.token or job.worker is None:
            return
        del room.serving[job.worker]
        outcome = Outcome.TIMEOUT
        time = self._telling.time(self._now)
        if not timed_out:
            evidence = examine(self._evidence, job.card.pipeline, room.stage)
            outcome = evidence.outcome
            for kind, data in evidence.facts:
                self._tell(make(kind, data, source=SOURCE, subject=job.card.id, time=time, id="later"))
        if outcome is Outcome.SUCCESS and room.next is not None:
            self._pass_on(room, room.next, job)
            return
        again = outcome is not Outcome.SUCCESS and job.attempt < room.stage.max_attempts
        self._tell_end(room, job, outcome, last=not again)
        self._release(room, job)
        if again:
            job.attempt += 1
            self._tell(job.card.stage_retried(room.stage.stage, attempt=job.attempt, reason=outcome.value, time=time))
            self._tell(job.card.stage_queued(room.stage.stage, attempt=job.attempt, time=time))
            room.queue.appendleft(job)  # the worker that is free now takes it at once
        else:
            self._tell(job.card.finished(outcome, time=time))
        self._serve(room)

    def _pass_on(self, room: _Room, following: _Room, job: _Job) -> None:
        held_up = not following.has_space
        self._tell_end(room, job, Outcome.SUCCESS, next_stage=following.stage.stage, held_up=held_up)
        if held_up:
            following.blocked.append(job)  # and keeps its worker
            return
        self._release(room, job)
        job.attempt = 1
        self._enqueue(following, job)
        self._serve(following)
        self._serve(room)

    def _tell_end(
        self,
        room: _Room,
        job: _Job,
        outcome: Outcome,
        *,
        next_stage: str | None = None,
        held_up: bool = False,
        last: bool = False,
    ) -> None:
        assert job.worker is not None
        self._tell(
            job.card.stage_finished(
                room.stage.stage,
                outcome,
                attempt=job.attempt,
                worker=_worker_name(room, job.worker),
                next_stage=next_stage,
                held_up=held_up,
                last=last,
                time=self._telling.time(self._now),
            )
        )

    def _release(self, room: _Room, job: _Job) -> None:
        assert job.worker is not None
        heapq.heappush(room.free, job.worker)
        job.worker = None

    def _change(self, change: Change) -> None:
        chosen = [room for room in self._rooms if change.stage in (None, room.stage.stage)]
        slowness = {"slow": change.factor, "stall": _STILL, "recover": 1.0}[change.kind]
        for room in chosen:
            for job in room.serving.values():
                job.work_left = max(0.0, job.work_left - (self._now - job.seen_at) / room.slowness)
                job.seen_at = self._now
            room.slowness = slowness
            for job in room.serving.values():
                self._book_end(room, job)
        for room in reversed(chosen):
            self._serve(room)


def next_arrival(random: Random, arrivals: Arrivals, now: float, start: datetime) -> float:
    """When the next card comes: thinning of a Poisson process whose rate swings over the day."""
    highest = arrivals.per_minute / 60 * (1 + arrivals.daily_swing)
    while True:
        now += random.expovariate(highest)
        hour = (start.hour + start.minute / 60 + start.second / 3600 + now / 3600) % 24
        swing = arrivals.daily_swing * math.cos((hour - arrivals.peak_hour) / 24 * math.tau)
        if arrivals.daily_swing == 0.0 or random.random() * highest < arrivals.per_minute / 60 * (1 + swing):
            return now


def _worker_name(room: _Room, worker: int) -> str:
    return f"{room.stage.stage}-{worker}"
