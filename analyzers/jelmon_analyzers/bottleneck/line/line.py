"""The stages of one pipeline as its events tell them: who waits where, who is served, who is held up by whom.

Nothing is guessed about being held up: a card is held up if its ``finished`` says so, or if the stage it goes to has a
declared queue that is full. Between ``finished`` and a late or missing ``queued`` a card is nowhere.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from jelmon import events as e
from jelmon.events import Event
from jelmon_analyzers.bottleneck.line.blocking import Holding
from jelmon_analyzers.bottleneck.line.capacity_estimation import Rooms
from jelmon_analyzers.bottleneck.line.cards import Journey, Phase, Visit
from jelmon_analyzers.bottleneck.line.stage import ARRIVALS, FINISHES, STARTS, Run, Tally
from jelmon_analyzers.bottleneck.line.worker_sharing import Sharing

FORGET_SECONDS = 86400.0
"""A card that is not heard of for so long is given up."""

OUTSIDE_SECONDS = 1.0
"""A card that takes longer from its arrival to its first stage stood outside."""
LEAST_ADMISSIONS = 10
LEAST_RUNS = 20
"""Runs of a stage after which it is taken for the last one, if no card went on."""


class Line:
    """One pipeline: stages by index, cards by id. Times are seconds; a late event counts from the newest time on."""

    def __init__(
        self,
        *,
        window_seconds: float,
        workers: Mapping[str, int] | None = None,
        capacities: Mapping[str, int] | None = None,
    ) -> None:
        self.window_seconds = window_seconds
        self._workers_given = dict(workers or {})
        self._capacities_given = dict(capacities or {})
        self.clock = float("-inf")
        self.began: float | None = None
        self.index: dict[str, int] = {}
        self.tallies: list[Tally] = []
        self.sharing = Sharing(self.tallies, window_seconds=window_seconds)
        self.capacities: dict[int, int] = {}
        self.capacities_seen: dict[int, int] = {}
        """The longest queue while a card was told to be held up for the stage."""
        self._rooms = Rooms(self.tallies)
        self.order: tuple[str, ...] = ()
        self.declared_at = float("-inf")
        self.journeys: dict[str, Journey] = {}
        self.ways: dict[int, dict[int, int]] = {}
        """Stage -> next stage -> how many cards went so."""
        self.ends: dict[int, int] = {}
        """Stage -> how many cards ended there."""
        self.arrivals: deque[float] = deque()
        self.departures: deque[float] = deque()
        """When cards came to the line and when they left it, in the last window and a little more."""
        self.entries: dict[int, int] = {}
        """First stage -> how many cards began there."""
        self._ends_told = False
        """Somebody says when cards leave; else they leave by finishing a stage after which none goes on."""
        self.inside = 0
        self._admissions: deque[tuple[float, int]] = deque(maxlen=200)
        """When cards that stood outside were let in, and how many were inside then."""
        self.changes = 0
        """Grows with every event that was used; a reader can tell whether anything is new."""
        self._holding = Holding(self.tallies)
        self._presumed: dict[int, deque[tuple[Journey, int, Visit]]] = {}
        self._swept = float("-inf")
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.CardQueued: self._card_queued,
            e.CardFinished: self._card_finished,
            e.StageQueued: self._stage_queued,
            e.StageStarted: self._stage_started,
            e.StageFinished: self._stage_finished,
            e.StageRetried: self._stage_retried,
            e.PipelineDeclared: self._declared,
        }

    # --- reading ---

    def advance(self, now: float) -> float:
        """Let time pass for every stage; returns the time it is then, which never goes back."""
        self.clock = max(self.clock, now)
        for tally in self.tallies:
            tally.advance(self.clock)
        if self.clock - self._swept > self.window_seconds:
            self._sweep()
        return self.clock

    def observe(self, event: Event, time: float) -> None:
        """Take one event of that time in; those that tell nothing about stages are passed over."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        if time > self.clock:
            self.clock = time
        if self.began is None and handler != self._declared:  # a declaration may be much older than what is read
            self.began = time
        self.changes += 1
        handler(event, time)

    def capacity(self, stage: int) -> int | None:
        """How many cards may wait for the stage: as declared, else as seen when it held others up; None: no limit."""
        declared = self.capacities.get(stage)
        return declared if declared is not None else self.capacities_seen.get(stage, self._rooms.learnt.get(stage))

    def next_of(self, stage: int) -> int | None:
        """Where cards go from a stage: as most of them went, else as declared."""
        ways = self.ways.get(stage)
        if ways:
            return max(ways, key=lambda target: (ways[target], -target))
        name = self.tallies[stage].name
        if name in self.order:
            place = self.order.index(name) + 1
            return self.stage(self.order[place]) if place < len(self.order) else None
        return None

    def stage(self, name: str) -> int:
        """The index of a stage, which exists from now on."""
        index = self.index.get(name)
        if index is None:
            index = self.index[name] = len(self.tallies)
            tally = Tally(name, index, window_seconds=self.window_seconds, at=self.clock)
            tally.workers_declared = self._workers_given.get(name)
            self.tallies.append(tally)
            if name in self._capacities_given:
                self.capacities[index] = self._capacities_given[name]
        return index

    def wip_limit(self, since: float) -> int | None:
        """The most cards let inside while others stood outside with room in the first stage; None if none stood."""
        if any(self.capacity(stage) is not None for stage in self.entries):
            return None
        seen = [inside for time, inside in self._admissions if time >= since]
        return max(seen) if len(seen) >= LEAST_ADMISSIONS else None

    # --- events ---

    def _declared(self, event: e.PipelineDeclared, time: float) -> None:
        if time < self.declared_at:
            return
        self.declared_at = time
        self.capacities.clear()
        self.order = tuple(part.stage for part in event.data.stages)
        for part in event.data.stages:
            stage = self.stage(part.stage)
            self.tallies[stage].advance(self.clock)
            self.tallies[stage].workers_declared = part.workers or self._workers_given.get(part.stage)
            capacity = (
                part.queue_capacity if part.queue_capacity is not None else self._capacities_given.get(part.stage)
            )
            if capacity is not None:
                self.capacities[stage] = capacity

    def _card_queued(self, event: e.CardQueued, time: float) -> None:
        journey = self._journey(event.subject, time)
        if journey.arrived is None and not journey.open and journey.ended is None:
            journey.arrived = time

    def _card_finished(self, event: e.CardFinished, time: float) -> None:
        journey = self._journey(event.subject, time)
        for stage in list(journey.open):
            self._leave(journey, stage, journey.open[stage], finished=False)
        self._ends_told = True
        self._end(journey, time)

    def _stage_queued(self, event: e.StageQueued, time: float) -> None:
        data = event.data
        stage = self.stage(data.stage)
        journey = self._journey(event.subject, time)
        visit = journey.open.get(stage)
        if visit is not None and visit.phase is not Phase.HELD:
            if visit.attempt == data.attempt and visit.queued is None:
                visit.queued = time  # it comes after its ``started``
            if data.attempt <= visit.attempt:
                return
            self._leave(journey, stage, visit, finished=False)
        elif journey.is_past(stage, data.attempt, time):
            return
        self._enter(journey, stage, time)
        visit = Visit(data.attempt, Phase.WAITING, time)
        visit.queued = time
        journey.open[stage] = visit
        tally = self.tallies[stage]
        tally.advance(self.clock)
        if not (tally.q or tally.wanted):
            tally.waiting_since = self.clock
        tally.q += 1
        tally.bucket.sums[ARRIVALS] += 1
        tally.arrival_times.append(time)

    def _stage_started(self, event: e.StageStarted, time: float) -> None:
        data = event.data
        stage = self.stage(data.stage)
        journey = self._journey(event.subject, time)
        visit = journey.open.get(stage)
        tally = self.tallies[stage]
        tally.advance(self.clock)
        if visit is not None and visit.phase is not Phase.HELD and data.attempt == visit.attempt:
            if visit.phase is Phase.SERVED:
                return
            self._dequeue(stage)
        else:
            if visit is not None and visit.phase is not Phase.HELD:
                if data.attempt < visit.attempt:
                    return
                self._leave(journey, stage, visit, finished=False)
            elif journey.is_past(stage, data.attempt, time):
                return
            self._enter(journey, stage, time)
            visit = journey.open[stage] = Visit(data.attempt, Phase.SERVED, time)
            tally.bucket.sums[ARRIVALS] += 1
            tally.arrival_times.append(time)
        visit.phase = Phase.SERVED
        visit.since = visit.started = time
        self._rooms.started(stage, time)
        visit.saturated = tally.saturated
        tally.v += 1
        tally.last_start = self.clock
        tally.bucket.sums[STARTS] += 1
        if data.worker is not None:
            visit.shared = self.sharing.occupy(data.worker, stage, self.clock)

    def _stage_finished(self, event: e.StageFinished, time: float) -> None:
        data = event.data
        stage = self.stage(data.stage)
        journey = self._journey(event.subject, time)
        visit = journey.open.get(stage)
        if visit is not None and (visit.attempt != data.attempt or visit.phase is Phase.HELD):
            return
        if visit is None and journey.is_past(stage, data.attempt, time):
            return
        tally = self.tallies[stage]
        tally.advance(self.clock)
        tally.bucket.sums[FINISHES] += 1
        tally.last_finish = self.clock
        target = self.stage(data.next_stage) if data.next_stage is not None else self.next_of(stage)
        held = not data.last and (data.held_up or self._finds_no_room(event, target))
        if target is not None and not data.last and not data.held_up and self._must_learn_room_of(target):
            journey.passage = self._rooms.finished(stage, target, time)
        if visit is not None and visit.started is not None:
            tally.runs.append(Run(visit.queued, visit.started, time, event.subject, data.attempt, held))
            if visit.phase is Phase.SERVED:
                tally.settle_run(
                    self.clock - visit.started,
                    saturated=tally.saturated - visit.saturated,
                    held=held,
                    has_room=self.capacity(stage) != 0,
                    next_has_room=target is None or self.capacity(target) != 0,
                )
        journey.closed[stage] = (time, data.attempt)
        if held:
            self._hold(journey, stage, data.attempt, target, told=data.held_up)
        elif visit is not None:
            self._leave(journey, stage, visit, finished=True)
        journey.left = stage
        if data.last:
            self._ends_told = True
            self.ends[stage] = self.ends.get(stage, 0) + 1
            self._end(journey, time)
        elif not self._ends_told and event.data.outcome is e.Outcome.SUCCESS and self._is_last(stage):
            self.departures.append(time)

    def _stage_retried(self, event: e.StageRetried, time: float) -> None:
        journey = self._journey(event.subject, time)
        stage = self.stage(event.data.stage)
        visit = journey.open.get(stage)
        if visit is not None and visit.attempt < event.data.attempt and visit.since <= time:
            self._leave(journey, stage, visit, finished=False)

    # --- cards ---

    def _journey(self, card: str, time: float) -> Journey:
        journey = self.journeys.get(card)
        if journey is None:
            journey = self.journeys[card] = Journey(time)
            self.arrivals.append(time)
        elif time > journey.seen:
            if journey.ended is not None and time > journey.ended:
                journey.begin_anew()
                self.arrivals.append(time)
            journey.seen = time
        return journey

    def _enter(self, journey: Journey, stage: int, time: float) -> None:
        """The card comes to a stage: what held it up does not any more, and the way it took is learnt."""
        for other, visit in list(journey.open.items()):
            if visit.phase is Phase.HELD:
                self._leave(journey, other, visit, finished=True)
        if not journey.entered:
            journey.entered = True
            self.entries[stage] = self.entries.get(stage, 0) + 1
            self.inside += 1
            if journey.arrived is not None and time - journey.arrived > OUTSIDE_SECONDS:
                self._admissions.append((time, self.inside))
        if journey.passage is not None:
            self._rooms.came(journey.passage, stage, time)
            journey.passage = None
        if journey.left is not None and journey.left != stage:
            ways = self.ways.setdefault(journey.left, {})
            ways[stage] = ways.get(stage, 0) + 1
        journey.left = None

    def _leave(self, journey: Journey, stage: int, visit: Visit, *, finished: bool) -> None:
        """The visit is over; ``finished`` if an event of its own told so."""
        tally = self.tallies[stage]
        tally.advance(self.clock)
        if visit.phase is Phase.WAITING:
            self._dequeue(stage)
        elif visit.phase is Phase.SERVED:
            tally.v -= 1
        else:
            self._holding.count(stage, visit.target, -1, self.clock)
        if visit.shared:
            self.sharing.release(visit.shared, stage, self.clock)
        del journey.open[stage]
        if visit.phase is not Phase.WAITING and self._presumed.get(stage) and self.capacity(stage) == 0:
            self._let_in(stage)
        if not finished:
            journey.closed[stage] = (max(journey.seen, visit.since), visit.attempt)

    def _end(self, journey: Journey, time: float) -> None:
        for stage in list(journey.open):
            self._leave(journey, stage, journey.open[stage], finished=False)
        if journey.ended is None:
            self.departures.append(time)
            self.inside -= journey.entered
        if journey.passage is not None:
            self._rooms.forget(journey.passage)
            journey.passage = None
        journey.ended = max(time, journey.seen)
        journey.closed.clear()  # everything up to the end is past
        journey.left = None

    def _sweep(self) -> None:
        """Forget cards that ended a while ago, or are not heard of any more."""
        self._swept = self.clock
        self.sharing.forget(self.clock)
        for times in (self.arrivals, self.departures):
            while times and times[0] < self.clock - 2 * self.window_seconds:
                times.popleft()
        for card, journey in list(self.journeys.items()):
            age = self.clock - journey.seen
            if age > FORGET_SECONDS:
                self._end(journey, self.clock)
                del self.journeys[card]
            elif not journey.open and age > 2 * self.window_seconds:
                del self.journeys[card]

    def _is_last(self, stage: int) -> bool:
        """Whether no card goes on from there, as far as is known."""
        if self.order:
            return self.next_of(stage) is None
        return stage not in self.ways and len(self.tallies[stage].runs) >= LEAST_RUNS

    # --- held up ---

    def _must_learn_room_of(self, stage: int) -> bool:
        """Whether nobody declares its queue capacity or says which cards it holds up."""
        return stage not in self.capacities and stage not in self.capacities_seen

    def _finds_no_room(self, event: e.StageFinished, target: int | None) -> bool:
        if target is None or event.data.outcome is not e.Outcome.SUCCESS:
            return False
        room = self.capacities.get(target, self._rooms.learnt.get(target))
        return room is not None and self.tallies[target].is_full(room)

    def _hold(self, journey: Journey, stage: int, attempt: int, target: int | None, *, told: bool) -> None:
        """The card stays in a stage that it finished, until its next event."""
        if told and target is not None and target not in self.capacities:
            self.capacities_seen[target] = max(self.capacities_seen.get(target, 0), self.tallies[target].q)
        visit = journey.open.get(stage)
        if visit is None:
            visit = journey.open[stage] = Visit(attempt, Phase.HELD, self.clock)
        elif visit.phase is Phase.SERVED:
            self.tallies[stage].v -= 1
        else:
            self._dequeue(stage)
        visit.phase, visit.target, visit.since = Phase.HELD, target, self.clock
        self._holding.count(stage, target, 1, self.clock)
        if not told and target is not None:
            self._presumed.setdefault(target, deque()).append((journey, stage, visit))

    def _dequeue(self, stage: int) -> None:
        self.tallies[stage].q -= 1
        self._let_in(stage)

    def _let_in(self, stage: int) -> None:
        """There is room for a card that we only took to be held up, since nobody told."""
        presumed = self._presumed.get(stage)
        while presumed:
            journey, other, visit = presumed.popleft()
            if journey.open.get(other) is visit:
                self._leave(journey, other, visit, finished=True)
                return
