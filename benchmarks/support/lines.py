"""Simulated lines for the bottleneck benchmark: small, fast, and with common random numbers.

Every card draws its way and its service times from its own numbers, so that a run in which one stage is a fifth faster
for a while differs in nothing else. `jelmon simulate` has the richer world (tests, gates, sessions); this one has what
moves a bottleneck: finite queues (blocking after service), shared workers, batches, outages, work-in-progress limits,
retries, branches, pure delays. It shares no code with the analyzer's replay.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from jelmon.client import Card
from jelmon.events import Event, Outcome, PipelineDeclared, PipelineDeclaredData, StageDeclaration, make

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SOURCE = "/benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage. ``spread`` is the sigma of the log of its service time; 0 is constant, ``None`` exponential."""

    mean: float
    spread: float | None = 0.5
    workers: int = 1
    capacity: int | None = None
    pool: str | None = None  # stages of one pool share its workers; `workers` of the first counts
    retry: float = 0.0
    skip: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """From ``begin`` to ``end`` a stage takes ``factor`` times as long; infinity: it starts nothing."""

    stage: int
    begin: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    stages: tuple[Stage, ...]
    per_minute: float
    batch: int = 1
    rates: tuple[tuple[float, float], ...] = ()  # (from when, factor on per_minute)
    wip_limit: int | None = None
    spells: tuple[Spell, ...] = ()
    declared: bool = True


@dataclass(slots=True)
class Run:
    """What happened: when each card came and left, and the log if it was wanted."""

    arrived: np.ndarray
    left: np.ndarray
    log: list[tuple[Any, ...]]

    def flow_time(self, begin: float, end: float) -> float:
        """Little's flow time in an interval: integral of work in process / cards that left."""
        left = np.minimum(self.left, end)
        wip = np.clip(left - np.maximum(self.arrived, begin), 0, None).sum()
        count = np.count_nonzero((self.left >= begin) & (self.left < end))
        return float(wip / max(1, count))

    def throughput(self, begin: float, end: float) -> float:
        return float(np.count_nonzero((self.left >= begin) & (self.left < end)) / (end - begin))


@dataclass(slots=True)
class _Room:
    spec: Stage
    workers: "_Pool"
    queue: deque[tuple[float, int]] = field(default_factory=deque)
    held: deque[tuple[int, int | None, int]] = field(
        default_factory=deque
    )  # (card, room before or None, worker) that find no space here
    spells: list[Spell] = field(default_factory=list)

    def factor(self, now: float) -> float:
        """How long a second of work takes now."""
        factor = 1.0
        for spell in self.spells:
            if spell.begin <= now < spell.end:
                factor *= spell.factor
        return factor


@dataclass(slots=True)
class _Pool:
    name: str
    free: list[int]
    rooms: list[int] = field(default_factory=list)


def simulate(line: Line, *, seconds: float, seed: int, log: bool = False) -> Run:
    """Return one run. The same seed gives the same cards, whatever the spells are."""
    return _Simulation(line, seconds, seed, log=log).run()


class _Simulation:
    """The state of one run: a heap of what happens next, and the rooms with their queues."""

    def __init__(self, line: Line, seconds: float, seed: int, *, log: bool) -> None:
        self.line, self.seconds, self.logs = line, seconds, log
        # one source of chance for each purpose, so that a longer run begins like a shorter one
        sources = np.random.default_rng(seed).spawn(3 + len(line.stages))
        self.arrivals = _arrivals(sources[0], line, seconds)
        count, self.stages = len(self.arrivals), len(line.stages)
        self.works = _works(sources[3:], line, count)
        retry = np.array([stage.retry for stage in line.stages])[None, :, None]
        self.retried = sources[1].random((count, self.stages, 2)) < retry
        self.skipped = sources[2].random((count, self.stages)) < np.array([stage.skip for stage in line.stages])
        self.rooms = _rooms(line)
        self.left = np.full(count, np.inf)
        self.log: list[tuple[Any, ...]] = []
        self.heap: list[tuple[float, int, str, int, int, int]] = [
            (time, number, "arrive", number, 0, 0) for number, time in enumerate(self.arrivals)
        ]
        self.order = count
        for spell in line.spells:
            if spell.factor == np.inf:
                self.order += 1
                self.heap.append((spell.end, self.order, "wake", spell.stage, 0, 0))
        heapq.heapify(self.heap)
        self.attempts: dict[tuple[int, int], int] = {}
        self.outside: deque[int] = deque()
        self.inside = 0

    def run(self) -> Run:
        while self.heap:
            now, _, what, card, stage, worker = heapq.heappop(self.heap)
            if now > self.seconds:
                break
            if what == "arrive":
                self.arrive(card, now)
            elif what == "wake":
                self.serve(self.rooms[card].workers, now)
            else:
                self.end(card, stage, worker, now)
        return Run(np.asarray(self.arrivals), self.left, self.log)

    def tell(self, *what: Any) -> None:
        if self.logs:
            self.log.append(what)

    def following(self, card: int, stage: int) -> int | None:
        stage += 1
        while stage < self.stages and self.skipped[card, stage]:
            stage += 1
        return stage if stage < self.stages else None

    def has_space(self, room: _Room, now: float) -> bool:
        capacity = room.spec.capacity
        if capacity is None or len(room.queue) < capacity:
            return True
        return not room.queue and bool(room.workers.free) and room.factor(now) < np.inf

    def enqueue(self, card: int, stage: int, now: float) -> None:
        attempt = self.attempts[(card, stage)] = self.attempts.get((card, stage), 0) + 1
        self.tell(now, "queued", card, stage, attempt)
        self.rooms[stage].queue.append((now, card))

    def serve(self, pool: _Pool, now: float) -> None:
        """Start what can start, until no held card finds space any more."""
        again = True
        while again:
            while pool.free and (number := self.first_waiting(pool, now)) is not None:
                self.begin(number, now)
            again = self.let_in(pool, now)

    def first_waiting(self, pool: _Pool, now: float) -> int | None:
        heads = [
            (self.rooms[number].queue[0][0], number)
            for number in pool.rooms
            if self.rooms[number].queue and self.rooms[number].factor(now) < np.inf
        ]
        return min(heads)[1] if heads else None

    def begin(self, number: int, now: float) -> None:
        room = self.rooms[number]
        _, card = room.queue.popleft()
        worker = heapq.heappop(room.workers.free)
        attempt = self.attempts[(card, number)]
        self.tell(now, "started", card, number, attempt, worker)
        self.order += 1
        work = self.works[card, number, min(attempt, 3) - 1] * room.factor(now)
        heapq.heappush(self.heap, (now + work, self.order, "end", card, number, worker))

    def let_in(self, pool: _Pool, now: float) -> bool:
        """Move held cards to where space is; return whether there was one."""
        moved = False
        for number in pool.rooms:
            room = self.rooms[number]
            while room.held and self.has_space(room, now):
                card, before, worker = room.held.popleft()
                self.enqueue(card, number, now)
                moved = True
                if before is not None:
                    heapq.heappush(self.rooms[before].workers.free, worker)
                    if self.rooms[before].workers is not pool:
                        self.serve(self.rooms[before].workers, now)
        return moved

    def arrive(self, card: int, now: float) -> None:
        self.tell(now, "arrived", card)
        if self.line.wip_limit is not None and self.inside >= self.line.wip_limit:
            self.outside.append(card)
        else:
            self.admit(card, now)

    def admit(self, card: int, now: float) -> None:
        self.inside += 1
        stage = self.following(card, -1)
        if stage is None:
            self.leave(card, now)
        elif self.has_space(self.rooms[stage], now):
            self.enqueue(card, stage, now)
            self.serve(self.rooms[stage].workers, now)
        else:
            self.rooms[stage].held.append((card, None, 0))

    def leave(self, card: int, now: float) -> None:
        self.inside -= 1
        self.left[card] = now
        if self.outside and (self.line.wip_limit is None or self.inside < self.line.wip_limit):
            self.admit(self.outside.popleft(), now)

    def end(self, card: int, stage: int, worker: int, now: float) -> None:
        """A run ends: the card is tried again, leaves, is held up, or goes on."""
        room = self.rooms[stage]
        attempt = self.attempts[(card, stage)]
        if attempt <= 2 and self.retried[card, stage, attempt - 1]:
            self.tell(now, "finished", card, stage, attempt, worker, None, False, False)
            heapq.heappush(room.workers.free, worker)
            self.enqueue(card, stage, now)
            self.serve(room.workers, now)
            return
        target = self.following(card, stage)
        held = target is not None and not self.has_space(self.rooms[target], now)
        self.tell(now, "finished", card, stage, attempt, worker, target, held, target is None)
        if target is None:
            heapq.heappush(room.workers.free, worker)
            self.tell(now, "left", card)
            self.leave(card, now)
            self.serve(room.workers, now)
        elif held:
            self.rooms[target].held.append((card, stage, worker))
        else:
            heapq.heappush(room.workers.free, worker)
            self.enqueue(card, target, now)
            self.serve(self.rooms[target].workers, now)
            self.serve(room.workers, now)


def _rooms(line: Line) -> list[_Room]:
    pools: dict[str, _Pool] = {}
    rooms = []
    for number, stage in enumerate(line.stages):
        name = stage.pool or f"s{number}"
        pool = pools.setdefault(name, _Pool(name, list(range(stage.workers))))
        pool.rooms.append(number)
        rooms.append(_Room(stage, pool, spells=[spell for spell in line.spells if spell.stage == number]))
    return rooms


def faster(line: Line, stage: int, begin: float, end: float, factor: float = 0.8) -> Line:
    """The same line with one stage's work quicker for a while."""
    return replace(line, spells=(*line.spells, Spell(stage=stage, begin=begin, end=end, factor=factor)))


def _arrivals(random: np.random.Generator, line: Line, seconds: float) -> list[float]:
    highest = max([1.0, *(factor for _, factor in line.rates)])
    rate = line.per_minute / 60 / line.batch * highest
    times: list[float] = []
    now = 0.0
    while True:
        now += random.exponential(1 / rate)
        keep = random.random()
        if now > seconds:
            return times
        factor = 1.0
        for since, value in line.rates:
            if now >= since:
                factor = value
        if keep * highest < factor:
            times.extend([now] * line.batch)


def _works(sources: list[np.random.Generator], line: Line, count: int) -> np.ndarray:
    works = np.empty((count, len(line.stages), 3))
    for number, (stage, random) in enumerate(zip(line.stages, sources, strict=True)):
        if stage.spread is None:
            works[:, number] = random.exponential(stage.mean, (count, 3))
        else:
            works[:, number] = random.lognormal(np.log(stage.mean) - stage.spread**2 / 2, stage.spread, (count, 3))
    return works


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How much of what happened the events tell."""

    held_up: bool = True
    declared: bool = True
    ways: bool = True
    """Where a card goes next, and that it ends."""
    names: bool = True
    """Of workers."""
    missing: float = 0.0
    """Share of the ``queued`` events of stages that never come."""


FULL = Telling()


def stage_name(number: int) -> str:
    return f"s{number + 1}"


def events(line: Line, run: Run, telling: Telling = FULL) -> Iterator[tuple[float, Event]]:
    """The log as the events that a pipeline would send."""
    lost = np.random.default_rng(1)
    if line.declared and telling.declared:
        data = PipelineDeclaredData(
            pipeline="line",
            stages=tuple(
                StageDeclaration(stage=stage_name(number), workers=stage.workers, queue_capacity=stage.capacity)
                for number, stage in enumerate(line.stages)
            ),
        )
        yield 0.0, make(PipelineDeclared, data, source=SOURCE, time=START)
    for now, what, number, *more in run.log:
        time = START + timedelta(seconds=now)
        card = Card(f"c{number}", pipeline="line", source=SOURCE)
        if what == "arrived":
            yield now, card.queued(time=time)
        elif what == "left":
            yield now, card.finished(time=time)
        elif what == "queued":
            if telling.missing and lost.random() < telling.missing:
                continue
            yield now, card.stage_queued(stage_name(more[0]), attempt=more[1], time=time)
        else:
            stage, attempt, worker, *rest = more
            pool = line.stages[stage].pool or stage_name(stage)
            name = f"{pool}-{worker}" if telling.names else None
            if what == "started":
                yield now, card.stage_started(stage_name(stage), attempt=attempt, worker=name, time=time)
            else:
                target, held, last = rest
                outcome = Outcome.SUCCESS if target is not None or last else Outcome.ERROR
                yield (
                    now,
                    card.stage_finished(
                        stage_name(stage),
                        outcome,
                        attempt=attempt,
                        worker=name,
                        next_stage=stage_name(target) if target is not None and telling.ways else None,
                        held_up=held and telling.held_up,
                        last=last and telling.ways,
                        time=time,
                    ),
                )
