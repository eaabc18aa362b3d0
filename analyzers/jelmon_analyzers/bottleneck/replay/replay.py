"""A line of stages run again, from a state on: recorded arrivals and work, other speeds.

First come, first served; a card that finds no room keeps its worker until there is some (blocking after service);
stages may share workers; a limit on work in process keeps cards outside; a stage may take nothing for a while.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import count


@dataclass(slots=True)
class Trip:
    """A card: when it comes (or since when it waits), and its visits as stage, work in seconds and the way there.

    ``place`` is where it is at the beginning: ``outside`` (comes at ``comes``), ``waiting``, ``served`` (the work of
    its first visit is what is left) or ``held`` (its first visit is over).
    """

    comes: float
    stages: list[int]
    works: list[float]
    ways: list[float]
    place: str = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the line is made of. ``pools`` names the group of workers of each stage; ``pauses`` end in the future."""

    workers: list[int]  # by pool
    pools: list[int]  # by stage
    capacities: list[int | None]
    pauses: list[list[tuple[float, float]]] = field(default_factory=list)  # by stage
    wip_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Cards times seconds in the line, cards that left, between the begin and the end of the replay."""

    card_seconds: float
    left: int

    @property
    def flow_time(self) -> float:
        """Little's: mean time of a card in the line."""
        return self.card_seconds / max(1, self.left)


def replay(plan: Plan, trips: list[Trip], *, begin: float, end: float, speeds: list[float]) -> Result:
    """Run from ``begin`` to ``end``, with the work of each stage multiplied by its speed."""
    return _Replay(plan, trips, begin, end, speeds).run()


class _Replay:
    def __init__(self, plan: Plan, trips: list[Trip], begin: float, end: float, speeds: list[float]) -> None:
        self._plan = plan
        self._trips = trips
        self._begin = begin
        self._end = end
        self._speeds = speeds
        stages = len(plan.pools)
        self._queues: list[deque[tuple[float, int]]] = [deque() for _ in range(stages)]
        self._held: list[deque[tuple[int, int | None]]] = [deque() for _ in range(stages)]
        self._free = list(plan.workers)
        self._members: list[list[int]] = [[] for _ in plan.workers]
        for stage, pool in enumerate(plan.pools):
            self._members[pool].append(stage)
        self._step = [0] * len(trips)  # which visit a card is at
        self._outside: deque[int] = deque()
        self._inside = 0
        self._heap: list[tuple[float, int, int, int]] = []  # time, order, kind, card or stage
        self._order = count()
        self._spent = 0.0
        self._left = 0

    def run(self) -> Result:
        self._place()
        heap = self._heap
        while heap:
            now, _, kind, what = heapq.heappop(heap)
            if now > self._end:
                break
            if kind == _END:
                self._finish(what, now)
            elif kind == _COME:
                self._come(what, now)
            elif kind == _ENTER:
                self._arrive_at(what, now, None)
            else:
                self._serve(self._plan.pools[what], now)
        return Result(self._spent, self._left)

    def _book(self, time: float, kind: int, what: int) -> None:
        heapq.heappush(self._heap, (time, next(self._order), kind, what))

    def _place(self) -> None:
        """The state at the beginning, and everything that comes from outside."""
        begin = self._begin
        waiting = []
        for number, trip in enumerate(self._trips):
            self._spent += max(0.0, self._end - max(trip.comes, begin))  # until it leaves
            if trip.place == "outside":
                self._book(max(trip.comes, begin), _COME, number)
                continue
            self._inside += 1
            stage = trip.stages[0]
            if trip.place == "waiting":
                waiting.append((trip.comes, number))
            elif trip.place == "served":
                self._free[self._plan.pools[stage]] -= 1
                self._book(begin + trip.works[0] * self._speeds[stage], _END, number)
            else:
                self._free[self._plan.pools[stage]] -= 1
                self._held[trip.stages[1]].append((number, stage))
                self._step[number] = 1
        for since, number in sorted(waiting):
            self._queues[self._trips[number].stages[0]].append((since, number))
        for stage, pauses in enumerate(self._plan.pauses):
            for _, until in pauses:
                self._book(max(until, begin), _WAKE, stage)
        for pool in range(len(self._free)):
            self._serve(pool, begin)

    def _come(self, number: int, now: float) -> None:
        limit = self._plan.wip_limit
        if limit is not None and self._inside >= limit:
            self._outside.append(number)
            return
        self._inside += 1
        self._arrive_at(number, now, None)

    def _arrive_at(self, number: int, now: float, worker_of: int | None) -> None:
        """The card comes to its next stage; it keeps a worker of ``worker_of`` while there is no room."""
        trip = self._trips[number]
        stage = trip.stages[self._step[number]]
        if self._has_room(stage, now):
            self._queues[stage].append((now, number))
            if worker_of is not None:
                self._release(worker_of, now)
            self._serve(self._plan.pools[stage], now)
        else:
            self._held[stage].append((number, worker_of))

    def _has_room(self, stage: int, now: float) -> bool:
        capacity = self._plan.capacities[stage]
        queue = self._queues[stage]
        if capacity is None or len(queue) < capacity:
            return True
        return not queue and self._free[self._plan.pools[stage]] > 0 and not self._pauses(stage, now)

    def _pauses(self, stage: int, now: float) -> bool:
        return any(since <= now < until for since, until in self._plan.pauses[stage])

    def _finish(self, number: int, now: float) -> None:
        trip = self._trips[number]
        step = self._step[number]
        stage = trip.stages[step]
        step += 1
        if step == len(trip.stages):
            self._spent -= self._end - now
            self._left += 1
            self._inside -= 1
            if self._outside and (self._plan.wip_limit is None or self._inside < self._plan.wip_limit):
                self._come(self._outside.popleft(), now)
            self._release(stage, now)
            return
        self._step[number] = step
        way = trip.ways[step]
        if trip.stages[step] == stage and way <= 0:  # tried again: that needs no room
            self._queues[stage].append((now, number))
            self._release(stage, now)
        elif way > 0:
            self._book(now + way, _ENTER, number)
            self._release(stage, now)
        else:
            self._arrive_at(number, now, stage)

    def _release(self, stage: int, now: float) -> None:
        pool = self._plan.pools[stage]
        self._free[pool] += 1
        self._serve(pool, now)

    def _serve(self, pool: int, now: float) -> None:
        """Let free workers take the cards that have waited longest, and let cards in where there is room then."""
        members = self._members[pool]
        while self._free[pool] > 0:
            chosen, oldest = -1, math.inf
            for stage in members:
                queue = self._queues[stage]
                if queue and queue[0][0] < oldest and not self._pauses(stage, now):
                    chosen, oldest = stage, queue[0][0]
            if chosen < 0:
                break
            _, number = self._queues[chosen].popleft()
            self._free[pool] -= 1
            work = self._trips[number].works[self._step[number]] * self._speeds[chosen]
            self._book(now + work, _END, number)
        for stage in members:
            held = self._held[stage]
            while held and self._has_room(stage, now):
                number, worker_of = held.popleft()
                self._queues[stage].append((now, number))
                if worker_of is not None:
                    self._release(worker_of, now)
                self._serve(pool, now)


_END, _COME, _ENTER, _WAKE = range(4)
