"""The measured effect of applied suggestions: how many helped, and how much time a card saved, by strategy."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from jelmon import catalogue as c
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions.open_suggestions import Suggestion

KEPT_SECONDS = 30 * 86400.0
NOTABLE = 0.05
"""A change of the card's time by no more than this share counts as none."""


class Measured(NamedTuple):
    """An applied suggestion, with the mean time of a card before it and one window after."""

    id: str
    pipeline: str
    strategy: str
    applied_at: float
    before_seconds: float
    after_seconds: float

    @property
    def result(self) -> str:
        """Return ``better``, ``same`` or ``worse``."""
        change = self.after_seconds - self.before_seconds
        if abs(change) <= NOTABLE * self.before_seconds:
            return "same"
        return "better" if change < 0 else "worse"


class Results:
    """The results of the last 30 days, each counted once."""

    def __init__(self) -> None:
        self._known: dict[str, Measured] = {}

    def add(self, suggestions: Iterable[Suggestion | Measured]) -> None:
        """Add the suggestions that were measured; others are ignored."""
        for item in suggestions:
            if item.applied_at is not None and item.before_seconds is not None and item.after_seconds is not None:
                self._known[item.id] = Measured(
                    item.id, item.pipeline, item.strategy, item.applied_at, item.before_seconds, item.after_seconds
                )

    def export(self, exports: Exports, now: float) -> None:
        """Set the gauges."""
        self._known = {key: item for key, item in self._known.items() if item.applied_at > now - KEPT_SECONDS}
        by_strategy: dict[tuple[str, str], list[Measured]] = defaultdict(list)
        for item in self._known.values():
            by_strategy[item.pipeline, item.strategy].append(item)
        for (pipeline, strategy), measured in by_strategy.items():
            labels = {"pipeline": pipeline, "strategy": strategy}
            results = [item.result for item in measured]
            for result in c.SUGGESTIONS_APPLIED.closed["result"]:
                exports.set(c.SUGGESTIONS_APPLIED, results.count(result), **labels, result=result)
            saved = sum(item.before_seconds - item.after_seconds for item in measured) / len(measured)
            exports.set(c.SUGGESTIONS_SAVED, saved, **labels)
