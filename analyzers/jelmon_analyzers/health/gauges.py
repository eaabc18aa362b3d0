"""The health of every pipeline as gauges: score, coverage, and each part with its weight and the points lost."""

from collections.abc import Callable

from jelmon import catalogue as c
from jelmon.events import Event
from jelmon.service.registry import Instruments
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.health.cards import Cards
from jelmon_analyzers.health.scoring import HealthSettings, score

NAME = "health"
MOST_PIPELINES = 200


class HealthGauges:
    """Collects the cards of all pipelines and exports their scores."""

    def __init__(
        self,
        instruments: Instruments,
        settings: HealthSettings,
        *,
        severity: Callable[[str, float], float | None],
        usage: Callable[[], float | None],
    ) -> None:
        self._instruments = instruments
        self._exports = Exports(instruments)
        self._settings = settings
        self._severity = severity
        self._usage = usage
        self._cards: dict[str, Cards] = {}

    def observe(self, event: Event) -> None:
        """Add an event of any pipeline."""
        pipeline = getattr(event.data, "pipeline", None)
        if pipeline is None:
            return
        cards = self._cards.get(pipeline)
        if cards is None:
            if len(self._cards) >= MOST_PIPELINES:
                return
            cards = self._cards[pipeline] = Cards(self._settings)
        cards.observe(event)

    def export(self, now: float) -> None:
        """Score every pipeline and set the gauges."""
        scored = 0
        weights = self._settings.weights
        for pipeline, cards in self._cards.items():
            parts = cards.parts(now, severity=self._severity(pipeline, now), usage=self._usage())
            if not parts:
                self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason="no_cards")
                continue
            health = score(parts, weights)
            scored += health.score is not None
            self._exports.set(c.HEALTH_SCORE, health.score, pipeline=pipeline)
            self._exports.set(c.HEALTH_COVERAGE, health.coverage, pipeline=pipeline)
            for part, weight in weights.items():
                labels = {"pipeline": pipeline, "component": part.value}
                self._exports.set(c.HEALTH_WEIGHT, weight, **labels)
                self._exports.set(c.HEALTH_COMPONENT, health.parts.get(part), **labels)
                self._exports.set(c.HEALTH_POINTS_LOST, health.points_lost.get(part), **labels)
        self._exports.end()
        self._instruments.set(c.ANALYZER_SERIES, scored, analyzer=NAME)
        self._instruments.set(c.ANALYZER_SUCCESS, now, analyzer=NAME)

    def clear(self) -> None:
        """Drop all gauges: no score is better than an old one."""
        self._exports.end()
