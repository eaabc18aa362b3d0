"""The queue capacity of a stage, estimated from times alone, if it is not declared and no event reports blocking.

A blocked card keeps its worker, so when it is let in late, its worker takes the next card at the same moment; where
only the ``queued`` event is late, the worker went on when it had finished. And cards are late only while the stage is
full, and immediate while it is not. Both must hold in nearly every case before a stage is taken to have a limit.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from jelmon_analyzers.bottleneck.line.stage import Stage

SIMULTANEOUS_SECONDS = 0.05
REMEMBERED = 60
LEAST_BLOCKED = 10
LEAST_IMMEDIATE = 5
"""Without cards that arrive immediately, all may be late for other reasons."""
LEAST_AGREEMENT = 0.9
_MOST_OPEN = 50


@dataclass(slots=True, eq=False)
class Transfer:
    """A card between two stages: when it finished the first, and how full the second was then."""

    stage: int
    target: int
    finished: float
    cards_at_target: int
    waiting_at_target: int
    worker_went_on: bool = False
    """The worker took another card at once."""
    last_start: float = float("-inf")
    arrived: float | None = None


class _Observation(NamedTuple):
    cards: int  # at the target when the card was ready to go there
    waiting: int
    late: bool
    blocked: bool  # it was late, and its worker went on just when it arrived


class CapacityEstimator:
    """Follows cards from stage to stage; ``estimates`` is the queue capacity of the stages that have a limit."""

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self._transfers: dict[int, deque[Transfer]] = {}
        self._observations: dict[int, deque[_Observation]] = {}
        self._immediate: Counter[int] = Counter()
        self._blocking: set[int] = set()
        """Stages that ever seemed to block a card."""
        self.estimates: dict[int, int] = {}

    def departed(self, stage: int, target: int, time: float) -> Transfer:
        """Record a card that finished ``stage`` and goes to ``target``."""
        state = self._stages[target]
        departed = self._transfers.get(target)
        cards = state.waiting + state.in_service + state.blocked
        if departed and not state.blocked:
            cards += sum(1 for transfer in departed if transfer.arrived is None)
        transfer = Transfer(stage, target, time, cards, state.waiting)
        self._transfers.setdefault(stage, deque(maxlen=_MOST_OPEN)).append(transfer)
        return transfer

    def started(self, stage: int, time: float) -> None:
        """Record that a worker of ``stage`` starts a card: a card that left had released it."""
        transfers = self._transfers.get(stage)
        if not transfers:
            return
        matched = False  # one start accounts for one worker only
        for transfer in list(transfers):
            if transfer.arrived is not None:
                transfers.remove(transfer)
                blocked = not matched and time - transfer.arrived <= SIMULTANEOUS_SECONDS
                matched = matched or blocked
                if blocked or transfer.worker_went_on:
                    self._observe(transfer, late=True, blocked=blocked)
            elif not matched and not transfer.worker_went_on and time - transfer.finished <= SIMULTANEOUS_SECONDS:
                transfer.worker_went_on = matched = True
            else:
                transfer.last_start = time

    def arrived(self, transfer: Transfer, stage: int, time: float) -> None:
        """Record that the card of a transfer arrived at a stage.

        An arrival with no card for the worker to go on with says nothing, unless a start follows.
        """
        transfers = self._transfers[transfer.stage]
        if transfer not in transfers:
            return
        if stage != transfer.target:
            transfers.remove(transfer)
        elif time - transfer.finished <= SIMULTANEOUS_SECONDS:
            transfers.remove(transfer)
            self._immediate[stage] += 1
            self._observe(transfer, late=False, blocked=False)
        elif transfer.worker_went_on or time - transfer.last_start <= SIMULTANEOUS_SECONDS:
            transfers.remove(transfer)
            self._observe(transfer, late=True, blocked=not transfer.worker_went_on)
        else:
            transfer.arrived = time

    def forget(self, transfer: Transfer) -> None:
        """Drop the transfer of a card that left the line."""
        transfers = self._transfers[transfer.stage]
        if transfer in transfers:
            transfers.remove(transfer)

    def _observe(self, transfer: Transfer, *, late: bool, blocked: bool) -> None:
        target = transfer.target
        observations = self._observations.setdefault(target, deque(maxlen=REMEMBERED))
        observations.append(_Observation(transfer.cards_at_target, transfer.waiting_at_target, late, blocked))
        if blocked:
            self._blocking.add(target)
        elif target not in self._blocking:  # most stages have no limit: nothing to estimate
            return
        estimate = self._estimate(target, observations)
        if estimate is None:
            self.estimates.pop(target, None)
        else:
            self.estimates[target] = estimate

    def _estimate(self, target: int, observations: deque[_Observation]) -> int | None:
        blocked = [seen for seen in observations if seen.blocked]
        if len(blocked) < LEAST_BLOCKED or self._immediate[target] < LEAST_IMMEDIATE:
            return None
        (full, _), *_ = Counter(seen.cards for seen in blocked).most_common(1)
        as_expected = sum(seen.blocked == (seen.cards >= full) and seen.late == seen.blocked for seen in observations)
        if as_expected < LEAST_AGREEMENT * len(observations):
            return None
        (capacity, _), *_ = Counter(seen.waiting for seen in blocked).most_common(1)
        return capacity
