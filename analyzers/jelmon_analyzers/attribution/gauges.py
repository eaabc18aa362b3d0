"""The drivers of every pipeline's slow tail as gauges, recomputed every few minutes."""

import asyncio
from collections.abc import Callable, Mapping

from jelmon import catalogue as c
from jelmon.events import Event
from jelmon.service.registry import Instruments
from jelmon_analyzers.attribution.cards import CardCauses
from jelmon_analyzers.attribution.tail import Attribution, attribute
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.isolation import Isolation

NAME = "attribution"
EVERY_SECONDS = 300.0
MOST_DRIVERS = 8
LEAST_SHARE = 0.02
_MOST_PIPELINES = 200


class AttributionGauges:
    """Collects the cards of all pipelines and exports what makes the slow ones slow."""

    def __init__(
        self,
        instruments: Instruments,
        *,
        usage: Callable[[], Mapping[str, float]],
        leads: Callable[[], bool],
        isolation: Isolation | None = None,
        every_seconds: float | None = None,
    ) -> None:
        self._instruments = instruments
        self._exports = Exports(instruments)
        self._usage = usage
        self._leads = leads
        self._isolation = isolation or Isolation(instruments)
        self._every_seconds = EVERY_SECONDS if every_seconds is None else every_seconds
        self._cards: dict[str, CardCauses] = {}
        self.attributions: Mapping[str, Attribution] = {}
        """The latest result, by pipeline."""

    def observe(self, event: Event) -> None:
        """Add an event of any pipeline."""
        pipeline = getattr(event.data, "pipeline", None)
        if pipeline is None:
            return
        if pipeline not in self._cards:
            if len(self._cards) >= _MOST_PIPELINES:
                return
            self._cards[pipeline] = CardCauses(self._usage)
        self._cards[pipeline].observe(event)

    def recompute(self) -> None:
        """Recompute the attributions of all pipelines and export them."""
        self.export({pipeline: attribute(*cards.table()) for pipeline, cards in self._cards.items()})

    async def run(self) -> None:
        """Recompute every few minutes, in a thread because it takes a second or more."""
        while True:
            await asyncio.sleep(self._every_seconds)
            attributions: dict[str, Attribution] = {}
            if self._leads():
                for pipeline, cards in list(self._cards.items()):
                    with self._isolation.of(NAME, "cycle", pipeline=pipeline):
                        attributions[pipeline] = await asyncio.to_thread(attribute, *cards.table())
            self.export(attributions)

    def export(self, attributions: Mapping[str, Attribution]) -> None:
        """Set the gauges; a pipeline without a result only counts as skipped."""
        self.attributions = attributions
        for pipeline, attribution in attributions.items():
            if attribution.reason:
                self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason=attribution.reason.replace(" ", "_"))
            for driver in attribution.drivers[:MOST_DRIVERS]:
                if driver.share >= LEAST_SHARE:
                    labels = {"pipeline": pipeline, "driver": driver.name}
                    self._exports.set(c.ATTRIBUTION_SHARE, driver.share, **labels)
                    self._exports.set(c.ATTRIBUTION_SHARE_LOWER, driver.lower, **labels)
                    self._exports.set(c.ATTRIBUTION_SHARE_UPPER, driver.upper, **labels)
        self._exports.end()
