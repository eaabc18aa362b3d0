"""What came of the suggestions that were applied: how many helped, and how much time a card saved, by strategy."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from jelmon import catalogue as c
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions.open_suggestions import Suggestion

KEPT_SECONDS = 30 * 86400.0
NOTABLE = 0.05
"""A change of the card's time by less than this share is none."""


class Measured(NamedTuple):
    """A suggestion that was applied, with the card's mean time before and a window after."""

    id: str
    pipeline: str
    strategy: str
    applied_at: float
    before_seconds: float
    after_seconds: float

    @property
    def result(self) -> str:
        """``better``, ``same`` or ``worse``."""
        change = self.after_seconds - self.before_seconds
        if abs(change) <= NOTABLE * self.before_seconds:
            return "same"
        return "better" if change < 0 else "worse"


class Results:
    """The outcomes of the last 30 days, each counted once."""

    def __init__(self) -> None:
        self._known: dict[str, Measured] = {}

    def add(self, suggestions: Iterable[Suggestion | Measured]) -> None:
        """Take those that were measured."""
        for one in suggestions:
            if one.applied_at is not None and one.before_seconds is not None and one.after_seconds is not None:
                self._known[one.id] = Measured(
                    one.id, one.pipeline, one.strategy, one.applied_at, one.before_seconds, one.after_seconds
                )

    def export(self, exports: Exports, now: float) -> None:
        """Set the gauges of a round."""
        self._known = {key: one for key, one in self._known.items() if one.applied_at > now - KEPT_SECONDS}
        found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
        for one in self._known.values():
            found[one.pipeline, one.strategy].append(one)
        for (pipeline, strategy), measured in found.items():
            labels = {"pipeline": pipeline, "strategy": strategy}
            results = [one.result for one in measured]
            for result in c.SUGGESTIONS_APPLIED.closed["result"]:
                exports.set(c.SUGGESTIONS_APPLIED, results.count(result), **labels, result=result)
            saved = sum(one.before_seconds - one.after_seconds for one in measured) / len(measured)
            exports.set(c.SUGGESTIONS_SAVED, saved, **labels)
