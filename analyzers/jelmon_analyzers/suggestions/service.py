"""The suggestions service: matches findings after each analysis, exports open suggestions and results, stores both."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.events import Event
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.bottleneck.replay.levers import Lever, gain_of
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions import bottlenecks
from jelmon_analyzers.suggestions.open_suggestions import OpenSuggestions, Suggestion
from jelmon_analyzers.suggestions.results import Results
from jelmon_analyzers.suggestions.storage import SuggestionStore
from jelmon_analyzers.suggestions.strategies import Finding, Strategy

logger = logging.getLogger(__name__)

NAME = "suggestions"
MOST_UNWRITTEN = 10_000
_RETRY_SECONDS = 5.0


class SuggestionService:
    """Turns bottlenecks, and the findings of other ``sources`` (regressions, drivers), into suggestions."""

    def __init__(
        self,
        gauges: BottleneckGauges,
        instruments: Instruments,
        strategies: tuple[Strategy, ...],
        *,
        window_seconds: float,
        store: SuggestionStore | None = None,
        sources: Sequence[Callable[[], Iterable[Finding]]] = (),
    ) -> None:
        self._gauges = gauges
        self._exports = Exports(instruments)
        self._window_seconds = window_seconds
        self._store = store
        self._unwritten: list[Suggestion] = []
        self._has_unwritten = asyncio.Event()
        self.trouble = ""
        """Why the last access to the store failed; empty if it succeeded."""
        self.suggestions = OpenSuggestions(
            strategies, gain=self._gain, flow_time=self._flow_time, measure_after_seconds=window_seconds
        )
        self._sources = sources
        self._results = Results()

    def observe(self, event: Event) -> None:
        """Process an event, which may report that a suggestion was applied."""
        self._write_later(self.suggestions.observe(event))

    def cycle(self, now: float) -> None:
        """Match the newest findings and set the gauges."""
        findings = itertools.chain(
            bottlenecks.findings(self._gauges, now), itertools.chain.from_iterable(find() for find in self._sources)
        )
        changed = self.suggestions.update(findings, now)
        for suggestion in changed:
            if suggestion.opened_at == now:
                logger.info(
                    "new suggestion",
                    extra={
                        "pipeline": suggestion.pipeline,
                        "stage": suggestion.stage,
                        "advice": suggestion.advice,
                    },
                )
        self._write_later(changed)
        open_suggestions = self.suggestions.open
        counts = Counter((suggestion.pipeline, suggestion.strategy) for suggestion in open_suggestions)
        for (pipeline, strategy), count in counts.items():
            self._exports.set(c.SUGGESTIONS, count, pipeline=pipeline, strategy=strategy)
        for suggestion in open_suggestions:
            labels = {"pipeline": suggestion.pipeline, "stage": suggestion.stage, "strategy": suggestion.strategy}
            self._exports.set(c.SUGGESTION_GAIN, suggestion.expected_seconds, **labels)
        self._results.add(changed)
        self._results.export(self._exports, now)
        self._exports.end()

    def clear(self) -> None:
        """Drop all gauges."""
        self._exports.end()

    async def run(self) -> None:
        """Read earlier results from the store, then write changes until cancelled; retries what fails."""
        while self._store is not None:
            try:
                self._results.add(await self._store.measured())
                break
            except SourceError as error:
                await self._wait_after(error)
        while self._store is not None:
            await self._has_unwritten.wait()
            self._has_unwritten.clear()
            batch = list(self._unwritten)
            try:
                await self._store.save(batch)
                del self._unwritten[: len(batch)]
                self.trouble = ""
            except SourceError as error:
                await self._wait_after(error)
                self._has_unwritten.set()

    async def _wait_after(self, error: SourceError) -> None:
        if not self.trouble:
            logger.error("%s; retrying", error)
        self.trouble = error.message
        await asyncio.sleep(_RETRY_SECONDS)

    def _write_later(self, changed: list[Suggestion]) -> None:
        if changed and self._store is not None:
            self._unwritten += changed
            del self._unwritten[:-MOST_UNWRITTEN]
            self._has_unwritten.set()

    def _gain(self, finding: Finding, lever: Lever, now: float) -> float | None:
        analyzer = self._gauges.analyzers.get(finding.pipeline)
        if analyzer is None:
            return None
        return gain_of(analyzer.line, finding.stage, lever, now=now, seconds=self._window_seconds)

    def _flow_time(self, pipeline: str, now: float) -> float | None:
        analyzer = self._gauges.analyzers.get(pipeline)
        return analyzer.flow_time(now) if analyzer is not None else None
