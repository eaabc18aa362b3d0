"""A discrete-event simulation of a line from a given state on, with recorded arrivals and work, and other speeds.

First come, first served; a card that finds the next queue full keeps its worker until there is room (blocking after
service); stages may share workers; a limit on work in process keeps cards outside; a stage may pause.
"""

import heapq
import math
from collections import deque
from itertools import count

from jelmon_analyzers.bottleneck.replay.model import CardTrace, LineModel, Position, ReplayResult

_SERVICE_END, _ARRIVAL, _TRANSFER_END, _PAUSE_END = range(4)


def replay(model: LineModel, traces: list[CardTrace], *, begin: float, end: float, speeds: list[float]) -> ReplayResult:
    """Run from ``begin`` to ``end``, with the service times of each stage multiplied by its speed factor."""
    return _Replay(model, traces, begin, end, speeds).run()


class _Replay:
    def __init__(
        self, model: LineModel, traces: list[CardTrace], begin: float, end: float, speeds: list[float]
    ) -> None:
        self._model = model
        self._traces = traces
        self._begin = begin
        self._end = end
        self._speeds = speeds
        stages = len(model.pools)
        self._queues: list[deque[tuple[float, int]]] = [deque() for _ in range(stages)]
        self._blocked: list[deque[tuple[int, int | None]]] = [deque() for _ in range(stages)]
        """By blocking stage: card, and the stage whose worker it keeps."""
        self._free = list(model.workers)
        self._members: list[list[int]] = [[] for _ in model.workers]
        for stage, pool in enumerate(model.pools):
            self._members[pool].append(stage)
        self._step = [0] * len(traces)  # the visit that each card is at
        self._outside: deque[int] = deque()
        self._inside = 0
        self._events: list[tuple[float, int, int, int]] = []  # heap of time, order, kind, card or stage
        self._order = count()
        self._card_seconds = 0.0
        self._departures = 0

    def run(self) -> ReplayResult:
        self._initialize()
        events = self._events
        while events:
            now, _, kind, subject = heapq.heappop(events)
            if now > self._end:
                break
            if kind == _SERVICE_END:
                self._finish(subject, now)
            elif kind == _ARRIVAL:
                self._arrive(subject, now)
            elif kind == _TRANSFER_END:
                self._enter_stage(subject, now, None)
            else:
                self._serve(self._model.pools[subject], now)
        return ReplayResult(self._card_seconds, self._departures)

    def _schedule(self, time: float, kind: int, subject: int) -> None:
        heapq.heappush(self._events, (time, next(self._order), kind, subject))

    def _initialize(self) -> None:
        """Set up the state at the beginning, and schedule all arrivals."""
        begin = self._begin
        waiting = []
        for number, trace in enumerate(self._traces):
            self._card_seconds += max(0.0, self._end - max(trace.arrival, begin))  # reduced when it leaves
            if trace.position is Position.OUTSIDE:
                self._schedule(max(trace.arrival, begin), _ARRIVAL, number)
                continue
            self._inside += 1
            stage = trace.stages[0]
            if trace.position is Position.WAITING:
                waiting.append((trace.arrival, number))
                continue
            self._free[self._model.pools[stage]] -= 1
            if trace.position is Position.IN_SERVICE:
                self._schedule(begin + trace.service_times[0] * self._speeds[stage], _SERVICE_END, number)
            else:
                self._blocked[trace.stages[1]].append((number, stage))
                self._step[number] = 1
        for since, number in sorted(waiting):
            self._queues[self._traces[number].stages[0]].append((since, number))
        for stage, pauses in enumerate(self._model.pauses):
            for _, until in pauses:
                self._schedule(max(until, begin), _PAUSE_END, stage)
        for pool in range(len(self._free)):
            self._serve(pool, begin)

    def _arrive(self, number: int, now: float) -> None:
        limit = self._model.wip_limit
        if limit is not None and self._inside >= limit:
            self._outside.append(number)
            return
        self._inside += 1
        self._enter_stage(number, now, None)

    def _enter_stage(self, number: int, now: float, worker_of: int | None) -> None:
        """Move the card to its next stage; while there is no room it keeps a worker of ``worker_of``."""
        trace = self._traces[number]
        stage = trace.stages[self._step[number]]
        if self._has_room(stage, now):
            self._queues[stage].append((now, number))
            if worker_of is not None:
                self._release(worker_of, now)
            self._serve(self._model.pools[stage], now)
        else:
            self._blocked[stage].append((number, worker_of))

    def _has_room(self, stage: int, now: float) -> bool:
        capacity = self._model.capacities[stage]
        queue = self._queues[stage]
        if capacity is None or len(queue) < capacity:
            return True
        return not queue and self._free[self._model.pools[stage]] > 0 and not self._is_paused(stage, now)

    def _is_paused(self, stage: int, now: float) -> bool:
        return any(since <= now < until for since, until in self._model.pauses[stage])

    def _finish(self, number: int, now: float) -> None:
        trace = self._traces[number]
        step = self._step[number]
        stage = trace.stages[step]
        step += 1
        if step == len(trace.stages):
            self._depart(now)
            self._release(stage, now)
            return
        self._step[number] = step
        transfer = trace.transfer_times[step]
        if trace.stages[step] == stage and transfer <= 0:  # a retry needs no room
            self._queues[stage].append((now, number))
            self._release(stage, now)
        elif transfer > 0:
            self._schedule(now + transfer, _TRANSFER_END, number)
            self._release(stage, now)
        else:
            self._enter_stage(number, now, stage)

    def _depart(self, now: float) -> None:
        self._card_seconds -= self._end - now
        self._departures += 1
        self._inside -= 1
        limit = self._model.wip_limit
        if self._outside and (limit is None or self._inside < limit):
            self._arrive(self._outside.popleft(), now)

    def _release(self, stage: int, now: float) -> None:
        pool = self._model.pools[stage]
        self._free[pool] += 1
        self._serve(pool, now)

    def _serve(self, pool: int, now: float) -> None:
        """Start the cards that have waited longest on free workers, then let blocked cards in where there is room."""
        members = self._members[pool]
        while self._free[pool] > 0:
            chosen, oldest = -1, math.inf
            for stage in members:
                queue = self._queues[stage]
                if queue and queue[0][0] < oldest and not self._is_paused(stage, now):
                    chosen, oldest = stage, queue[0][0]
            if chosen < 0:
                break
            _, number = self._queues[chosen].popleft()
            self._free[pool] -= 1
            seconds = self._traces[number].service_times[self._step[number]] * self._speeds[chosen]
            self._schedule(now + seconds, _SERVICE_END, number)
        for stage in members:
            blocked = self._blocked[stage]
            while blocked and self._has_room(stage, now):
                number, worker_of = blocked.popleft()
                self._queues[stage].append((now, number))
                if worker_of is not None:
                    self._release(worker_of, now)
                self._serve(pool, now)
