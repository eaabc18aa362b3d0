"""The parts of health that follow from the cards of a pipeline: latency, success, flow, freshness."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

from jelmon import events as e
from jelmon.events import Event, Outcome
from jelmon_analyzers.health.scoring import HealthSettings, Part, apdex, constraint, flow, freshness, resources, success

_FAILED = frozenset({Outcome.FAILURE, Outcome.ERROR, Outcome.TIMEOUT})
_NEUTRAL = frozenset({Outcome.CANCELLED, Outcome.SKIPPED})
FORGET_SECONDS = 86400.0
_REMEMBERED = 100_000


class _Ended(NamedTuple):
    time: float
    seconds: float | None
    outcome: Outcome


@dataclass(slots=True)
class _Open:
    arrived: float
    started: float | None = None


class Cards:
    """The cards of one pipeline in the last window, from its events. The newest declaration counts."""

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._ended: deque[_Ended] = deque(maxlen=_REMEMBERED)
        self._arrivals: deque[float] = deque(maxlen=_REMEMBERED)
        self._done: OrderedDict[str, float] = OrderedDict()
        self._declared_at = float("-inf")
        self._card_target: float | None = None
        self._stall_limit: float | None = None
        self._active = float("-inf")
        self.seen = False
        """Whether any card was ever seen: a pipeline without cards now is idle, one that never had any is unknown."""

    def observe(self, event: Event) -> None:
        """Add an event of the pipeline."""
        time = event.time.timestamp()
        match event:
            case e.PipelineDeclared(data=data):
                if time >= self._declared_at:
                    self._declared_at = time
                    self._card_target = data.card_target_seconds
                    self._stall_limit = data.stall_limit_seconds
                return
            case e.CardQueued():
                self._arrive(event.subject, time)
            case e.CardStarted():
                self._active = max(self._active, time)
                card = self._arrive(event.subject, time)
                if card is not None:
                    card.started = time if card.started is None else min(card.started, time)
            case e.StageStarted() | e.StageFinished() | e.StageRetried():
                self._active = max(self._active, time)
            case e.CardFinished(data=data):
                self._active = max(self._active, time)
                self._end(event.subject, time, data.outcome)

    def _arrive(self, card: str, time: float) -> _Open | None:
        self.seen = True
        if time <= self._done.get(card, float("-inf")):
            return None  # late: the card has ended
        known = self._open.get(card)
        if known is None:
            known = self._open[card] = _Open(time)
            self._arrivals.append(time)
        return known

    def _end(self, card: str, time: float, outcome: Outcome) -> None:
        self.seen = True
        if time <= self._done.get(card, float("-inf")):
            return
        known = self._open.pop(card, None)
        self._done[card] = time
        seconds = max(0.0, time - known.started) if known is not None and known.started is not None else None
        self._ended.append(_Ended(time, seconds, outcome))

    def parts(self, now: float, *, severity: float | None, usage: float | None) -> dict[Part, float]:
        """Return the parts of health that have data, 0 to 1 each.

        ``severity``: 0 to 100, of the pipeline's bottleneck; ``usage``: 0 to 1, of the scarcest resource.
        """
        settings = self._settings
        begin = now - settings.window_seconds
        self._forget(now, begin)
        if not self.seen:
            return {}
        ended = [card for card in self._ended if card.time >= begin and card.outcome not in _NEUTRAL]
        arrived = sum(1 for time in self._arrivals if time >= begin)
        idle = not self._open and not ended and not arrived
        parts: dict[Part, float | None] = {
            Part.LATENCY: self._latency(now, ended),
            Part.SUCCESS: self._success(ended) if ended or idle else None,
            Part.FLOW: 1.0 if idle else flow(arrived=arrived, finished=len(ended)),
            Part.CONSTRAINT: constraint(severity) if severity is not None else (1.0 if idle else None),
            Part.FRESHNESS: self._freshness(now),
            Part.RESOURCES: resources(usage, limit=settings.resource_limit) if usage is not None else None,
        }
        return {part: value for part, value in parts.items() if value is not None}

    def _success(self, ended: list[_Ended]) -> float | None:
        failed = sum(card.outcome in _FAILED for card in ended)
        return success(failed=failed, total=len(ended), objective=self._settings.objective)

    def _latency(self, now: float, ended: list[_Ended]) -> float | None:
        """Return Apdex; unfinished cards older than four times the target count as frustrated."""
        target = self._card_target or self._settings.card_target_seconds
        if not target:
            return None
        timed = [card for card in ended if card.seconds is not None]
        good = [card.seconds for card in timed if card.outcome is Outcome.SUCCESS and card.seconds is not None]
        overdue = sum(1 for card in self._open.values() if now - (card.started or now) > 4 * target)
        satisfied = sum(1 for seconds in good if seconds <= target)
        tolerating = sum(1 for seconds in good if target < seconds <= 4 * target)
        return apdex(satisfied=satisfied, tolerating=tolerating, total=len(timed) + overdue)

    def _freshness(self, now: float) -> float:
        if not self._open:
            return 1.0
        oldest = min(card.arrived for card in self._open.values())
        limit = self._stall_limit or self._settings.stall_limit_seconds
        return freshness(silent_seconds=now - max(self._active, oldest), limit_seconds=limit)

    def _forget(self, now: float, begin: float) -> None:
        while self._ended and self._ended[0].time < begin:
            self._ended.popleft()
        while self._arrivals and self._arrivals[0] < begin:
            self._arrivals.popleft()
        while self._done and next(iter(self._done.values())) < begin:
            self._done.popitem(last=False)
        for card, known in list(self._open.items()):
            if now - known.arrived <= FORGET_SECONDS:
                break
            del self._open[card]
