"""What may have made each card slow: waits, runs and retries of stages, tests, host load."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping

import numpy as np

from jelmon import events as e
from jelmon.events import Event, Outcome
from jelmon_analyzers.attribution.tail import MOST_CARDS, Array

_MOST_OPEN = 50_000
_MOST_CAUSES = 60


class _Card:
    __slots__ = ("attempts", "began", "causes", "queued", "started")

    def __init__(self) -> None:
        self.began: float | None = None
        self.causes: dict[str, float] = {}
        self.queued: dict[str, float] = {}
        self.started: dict[str, float] = {}
        self.attempts: dict[str, int] = {}

    def attempt(self, stage: str, number: int) -> None:
        """Add the retries of a stage that this attempt shows: one for the second and every later attempt."""
        known = self.attempts.get(stage, 1)
        if number > known:
            self.add("retries", number - known)
            self.attempts[stage] = number

    def add(self, cause: str, amount: float) -> None:
        self.causes[cause] = self.causes.get(cause, 0.0) + max(0.0, amount)


class CardCauses:
    """The most recently ended cards of one pipeline, each with its time and possible causes."""

    def __init__(self, usage: Callable[[], Mapping[str, float]] = dict) -> None:
        self._usage = usage
        self._open: OrderedDict[str, _Card] = OrderedDict()
        self._ended: deque[tuple[float, dict[str, float]]] = deque(maxlen=MOST_CARDS)

    def observe(self, event: Event) -> None:
        """Add an event of the pipeline."""
        time = event.time.timestamp()
        match event:
            case e.CardStarted():
                self._card(event.subject).began = time
            case e.StageQueued(data=data):
                self._card(event.subject).queued[data.stage] = time
                self._card(event.subject).attempt(data.stage, data.attempt)
            case e.StageStarted(data=data):
                card = self._card(event.subject)
                if card.began is None:
                    card.began = time
                card.started[data.stage] = time
                card.attempt(data.stage, data.attempt)
                if data.stage in card.queued:
                    card.add(f"{data.stage} wait", time - card.queued.pop(data.stage))
            case e.StageFinished(data=data):
                card = self._card(event.subject)
                if data.stage in card.started:
                    card.add(f"{data.stage} run", time - card.started.pop(data.stage))
                card.attempt(data.stage, data.attempt)
            case e.StageRetried(data=data):
                self._card(event.subject).attempt(data.stage, data.attempt)
            case e.TestFinished(data=data):
                self._card(event.subject).add(f"{data.category} tests", data.duration_seconds or 0.0)
            case e.CardFinished(data=data):
                self._end(event.subject, time, data.outcome)

    def table(self) -> tuple[list[str], Array, Array]:
        """Return the names of the causes, their amounts (cards, causes), and the times of the cards in seconds."""
        seen: dict[str, int] = {}
        for _, causes in self._ended:
            for name in causes:
                seen[name] = seen.get(name, 0) + 1
        names = sorted(sorted(seen, key=lambda name: -seen[name])[:_MOST_CAUSES])
        rows = np.array([[causes.get(name, 0.0) for name in names] for _, causes in self._ended], dtype=float)
        return names, rows.reshape(len(self._ended), len(names)), np.array([time for time, _ in self._ended])

    def _card(self, card: str) -> _Card:
        known = self._open.get(card)
        if known is None:
            known = self._open[card] = _Card()
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return known

    def _end(self, card: str, time: float, outcome: Outcome) -> None:
        known = self._open.pop(card, None)
        if known is None or known.began is None or outcome in (Outcome.CANCELLED, Outcome.SKIPPED):
            return
        for name, share in self._usage().items():
            known.causes[f"host {name}"] = share
        self._ended.append((time - known.began, known.causes))
