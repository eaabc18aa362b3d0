"""The state of one pipeline as its events report it: which cards wait, are in service, or are blocked, and where.

A card is blocked only if its ``finished`` event says so, or if the next stage has a limited queue that is full. Between
``finished`` and a late or missing ``queued`` it is at no stage.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jelmon import events as e
from jelmon.events import Event
from jelmon_analyzers.bottleneck.line.blocking import BlockedCards
from jelmon_analyzers.bottleneck.line.buckets import ARRIVALS, FINISHES, STARTS
from jelmon_analyzers.bottleneck.line.cards import CardProgress, Phase, Visit
from jelmon_analyzers.bottleneck.line.stage import Run
from jelmon_analyzers.bottleneck.line.topology import Topology

FORGET_SECONDS = 86400.0
"""A card without events for this long is dropped."""


class _InferredBlock(NamedTuple):
    """A card taken to be blocked because the next queue is full; no event reports when it is let in."""

    card: CardProgress
    stage: int
    visit: Visit


class Line(Topology):
    """One pipeline: stages by index, cards by id. Times are seconds; a late event counts from the newest time on."""

    def __init__(
        self,
        *,
        window_seconds: float,
        workers: Mapping[str, int] | None = None,
        capacities: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(window_seconds=window_seconds, workers=workers, capacities=capacities)
        self.began: float | None = None
        self.cards: dict[str, CardProgress] = {}
        self.changes = 0
        """Grows with every event that was used, so that a reader can detect new ones."""
        self._exits_reported = False
        """Events report when cards end; otherwise cards end by finishing the last stage."""
        self._blocked = BlockedCards(self.stages)
        self._inferred_blocks: dict[int, deque[_InferredBlock]] = {}
        self._swept = float("-inf")
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.CardQueued: self._card_queued,
            e.CardFinished: self._card_finished,
            e.StageQueued: self._stage_queued,
            e.StageStarted: self._stage_started,
            e.StageFinished: self._stage_finished,
            e.StageRetried: self._stage_retried,
            e.PipelineDeclared: self.declare,
        }

    def advance(self, now: float) -> float:
        """Let time pass for every stage; returns the resulting time, which never goes back."""
        self.clock = max(self.clock, now)
        for stage in self.stages:
            stage.advance(self.clock)
        if self.clock - self._swept > self.window_seconds:
            self._sweep()
        return self.clock

    def observe(self, event: Event, time: float) -> None:
        """Apply one event; those that say nothing about stages are ignored."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        if time > self.clock:
            self.clock = time
        # a declaration may be much older than the events that are read
        if self.began is None and not isinstance(event, e.PipelineDeclared):
            self.began = time
        self.changes += 1
        handler(event, time)

    # --- events ---

    def _card_queued(self, event: e.CardQueued, time: float) -> None:
        card = self._card(event.subject, time)
        if card.arrived is None and not card.open and card.ended is None:
            card.arrived = time

    def _card_finished(self, event: e.CardFinished, time: float) -> None:
        card = self._card(event.subject, time)
        self._exits_reported = True
        self._end(card, time)

    def _stage_queued(self, event: e.StageQueued, time: float) -> None:
        data = event.data
        index = self.stage(data.stage)
        card = self._card(event.subject, time)
        visit = card.open.get(index)
        if visit is not None and visit.phase is not Phase.BLOCKED:
            if visit.attempt == data.attempt and visit.queued is None:
                visit.queued = time  # it comes after its ``started``
            if data.attempt <= visit.attempt:
                return
            self._leave(card, index, visit, finished=False)
        elif card.is_past(index, data.attempt, time):
            return
        self._enter(card, index, time)
        visit = Visit(data.attempt, Phase.WAITING, time)
        visit.queued = time
        card.open[index] = visit
        stage = self.stages[index]
        stage.advance(self.clock)
        if not stage.is_demanded:
            stage.waiting_since = self.clock
        stage.waiting += 1
        stage.bucket.sums[ARRIVALS] += 1
        stage.arrival_times.append(time)

    def _stage_started(self, event: e.StageStarted, time: float) -> None:
        data = event.data
        index = self.stage(data.stage)
        card = self._card(event.subject, time)
        stage = self.stages[index]
        stage.advance(self.clock)
        visit = card.open.get(index)
        if visit is not None and visit.phase is not Phase.BLOCKED and data.attempt == visit.attempt:
            if visit.phase is Phase.IN_SERVICE:
                return
            self._dequeue(index)
        else:
            if visit is not None and visit.phase is not Phase.BLOCKED:
                if data.attempt < visit.attempt:
                    return
                self._leave(card, index, visit, finished=False)
            elif card.is_past(index, data.attempt, time):
                return
            self._enter(card, index, time)
            visit = card.open[index] = Visit(data.attempt, Phase.IN_SERVICE, time)
            stage.bucket.sums[ARRIVALS] += 1
            stage.arrival_times.append(time)
        visit.phase = Phase.IN_SERVICE
        visit.since = visit.started = time
        self.capacity_estimator.started(index, time)
        visit.saturated_before = stage.saturated_seconds
        stage.in_service += 1
        stage.last_start = self.clock
        stage.bucket.sums[STARTS] += 1
        if data.worker is not None:
            visit.missed_by = self.sharing.occupy(data.worker, index, self.clock)

    def _stage_finished(self, event: e.StageFinished, time: float) -> None:
        data = event.data
        index = self.stage(data.stage)
        card = self._card(event.subject, time)
        visit = card.open.get(index)
        if visit is not None and (visit.attempt != data.attempt or visit.phase is Phase.BLOCKED):
            return
        if visit is None and card.is_past(index, data.attempt, time):
            return
        stage = self.stages[index]
        stage.advance(self.clock)
        stage.bucket.sums[FINISHES] += 1
        stage.last_finish = self.clock
        following = self.stage(data.next_stage) if data.next_stage is not None else self.routing.following(index)
        blocked = self._is_blocked(event, following)
        if following is not None and not (data.last or data.held_up) and self.needs_capacity_estimate(following):
            card.transfer = self.capacity_estimator.departed(index, following, time)
        if visit is not None and visit.started is not None:
            stage.runs.append(Run(visit.queued, visit.started, time, event.subject, data.attempt, blocked))
            if visit.phase is Phase.IN_SERVICE:
                self._correct_saturation(index, visit, visit.started, following, blocked=blocked)
        card.closed[index] = (time, data.attempt)
        if blocked:
            self._block(card, index, data.attempt, following, reported=data.held_up)
        elif visit is not None:
            self._leave(card, index, visit, finished=True)
        card.last_finished = index
        if data.last:
            self._exits_reported = True
            self.routing.count_exit(index)
            self._end(card, time)
        elif not self._exits_reported and data.outcome is e.Outcome.SUCCESS and self._is_last(index):
            self.work_in_process.departures.append(time)

    def _stage_retried(self, event: e.StageRetried, time: float) -> None:
        card = self._card(event.subject, time)
        index = self.stage(event.data.stage)
        visit = card.open.get(index)
        if visit is not None and visit.attempt < event.data.attempt and visit.since <= time:
            self._leave(card, index, visit, finished=False)

    def _correct_saturation(
        self, index: int, visit: Visit, started: float, following: int | None, *, blocked: bool
    ) -> None:
        stage = self.stages[index]
        stage.correct_saturation(
            self.clock - started,
            saturated=stage.saturated_seconds - visit.saturated_before,
            blocked=blocked,
            has_buffer=self.capacity(index) != 0,
            next_has_buffer=following is None or self.capacity(following) != 0,
        )

    def _is_last(self, index: int) -> bool:
        return self.routing.is_last(index, runs=len(self.stages[index].runs))

    # --- cards ---

    def _card(self, card_id: str, time: float) -> CardProgress:
        card = self.cards.get(card_id)
        if card is None:
            card = self.cards[card_id] = CardProgress(time)
            self.work_in_process.arrivals.append(time)
        elif time > card.seen:
            if card.ended is not None and time > card.ended:
                card.restart()
                self.work_in_process.arrivals.append(time)
            card.seen = time
        return card

    def _enter(self, card: CardProgress, index: int, time: float) -> None:
        """Move the card to a stage: nothing blocks it any more, and the route it took is learnt."""
        for other, visit in list(card.open.items()):
            if visit.phase is Phase.BLOCKED:
                self._leave(card, other, visit, finished=True)
        if not card.entered:
            card.entered = True
            self.work_in_process.enter(index, time, arrived=card.arrived)
        if card.transfer is not None:
            self.capacity_estimator.arrived(card.transfer, index, time)
            card.transfer = None
        if card.last_finished is not None and card.last_finished != index:
            self.routing.count_transition(card.last_finished, index)
        card.last_finished = None

    def _leave(self, card: CardProgress, index: int, visit: Visit, *, finished: bool) -> None:
        """Close the visit; ``finished``: an event of its own reported its end."""
        stage = self.stages[index]
        stage.advance(self.clock)
        if visit.phase is Phase.WAITING:
            self._dequeue(index)
        elif visit.phase is Phase.IN_SERVICE:
            stage.in_service -= 1
        else:
            self._blocked.count(index, visit.blocker, -1, self.clock)
        if visit.missed_by:
            self.sharing.release(visit.missed_by, index, self.clock)
        del card.open[index]
        if visit.phase is not Phase.WAITING and self._inferred_blocks.get(index) and self.capacity(index) == 0:
            self._unblock_next(index)
        if not finished:
            card.closed[index] = (max(card.seen, visit.since), visit.attempt)

    def _end(self, card: CardProgress, time: float) -> None:
        for index in list(card.open):
            self._leave(card, index, card.open[index], finished=False)
        if card.ended is None:
            self.work_in_process.leave(time, entered=card.entered)
        if card.transfer is not None:
            self.capacity_estimator.forget(card.transfer)
            card.transfer = None
        card.ended = max(time, card.seen)
        card.closed.clear()  # everything up to the end is past
        card.last_finished = None

    def _sweep(self) -> None:
        """Drop cards that ended a while ago or have no events any more."""
        self._swept = self.clock
        self.sharing.forget(self.clock)
        self.work_in_process.forget(self.clock - 2 * self.window_seconds)
        for card_id, card in list(self.cards.items()):
            age = self.clock - card.seen
            if age > FORGET_SECONDS:
                self._end(card, self.clock)
                del self.cards[card_id]
            elif not card.open and age > 2 * self.window_seconds:
                del self.cards[card_id]

    # --- blocking ---

    def _is_blocked(self, event: e.StageFinished, following: int | None) -> bool:
        data = event.data
        if data.last:
            return False
        if data.held_up:
            return True
        return following is not None and data.outcome is e.Outcome.SUCCESS and self.is_full(following)

    def _block(self, card: CardProgress, index: int, attempt: int, blocker: int | None, *, reported: bool) -> None:
        """Keep the card in the stage that it finished, until its next event."""
        if reported and blocker is not None and blocker not in self.declared_capacities:
            self.observed_capacities[blocker] = max(
                self.observed_capacities.get(blocker, 0), self.stages[blocker].waiting
            )
        visit = card.open.get(index)
        if visit is None:
            visit = card.open[index] = Visit(attempt, Phase.BLOCKED, self.clock)
        elif visit.phase is Phase.IN_SERVICE:
            self.stages[index].in_service -= 1
        else:
            self._dequeue(index)
        visit.phase, visit.blocker, visit.since = Phase.BLOCKED, blocker, self.clock
        self._blocked.count(index, blocker, 1, self.clock)
        if not reported and blocker is not None:
            self._inferred_blocks.setdefault(blocker, deque()).append(_InferredBlock(card, index, visit))

    def _dequeue(self, index: int) -> None:
        self.stages[index].waiting -= 1
        self._unblock_next(index)

    def _unblock_next(self, index: int) -> None:
        """Let in the next card that was only inferred to be blocked by this stage."""
        blocks = self._inferred_blocks.get(index)
        while blocks:
            block = blocks.popleft()
            if block.card.open.get(block.stage) is block.visit:
                self._leave(block.card, block.stage, block.visit, finished=True)
                return
