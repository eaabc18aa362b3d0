"""From findings to suggestions: gathers them after each cycle, exports what stands and what came of it, keeps both."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.events import Event
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.bottleneck.replay.levers import Lever, gain_of
from jelmon_analyzers.bottleneck.verdict.report import State
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.suggestions.open_suggestions import Book, Suggestion
from jelmon_analyzers.suggestions.results import Results
from jelmon_analyzers.suggestions.storage import SuggestionStore
from jelmon_analyzers.suggestions.strategies import Finding, Strategy

logger = logging.getLogger(__name__)

MOST_UNWRITTEN = 10_000
_RETRY_SECONDS = 5.0


class Desk:
    """Reads the reports of `BottleneckGauges`, and what ``others`` find: regressions, drivers of slow cards."""

    def __init__(
        self,
        watch: BottleneckGauges,
        instruments: Instruments,
        strategies: tuple[Strategy, ...],
        *,
        window_seconds: float,
        store: SuggestionStore | None = None,
        others: Sequence[Callable[[], Iterable[Finding]]] = (),
    ) -> None:
        self._watch = watch
        self._exports = Exports(instruments)
        self._window_seconds = window_seconds
        self._store = store
        self._unwritten: list[Suggestion] = []
        self._wake = asyncio.Event()
        self.trouble = ""
        """Why the last write failed; empty when it did not."""
        self.book = Book(strategies, gain=self._gain, flow_time=self._flow_time, settle_seconds=window_seconds)
        self._others = others
        self._results = Results()

    def observe(self, event: Event) -> None:
        """An event that may tell that a suggestion was applied."""
        self._write_later(self.book.observe(event))

    def cycle(self, now: float) -> None:
        """Look at the newest verdicts."""
        changed = self.book.update([*self._findings(now), *(one for find in self._others for one in find())], now)
        for one in changed:
            if one.opened_at == now:
                logger.info("a suggestion", extra={"pipeline": one.pipeline, "stage": one.stage, "advice": one.advice})
        self._write_later(changed)
        for (pipeline, strategy), count in Counter((one.pipeline, one.strategy) for one in self.book.open).items():
            self._exports.set(c.SUGGESTIONS, count, pipeline=pipeline, strategy=strategy)
        for one in self.book.open:
            labels = {"pipeline": one.pipeline, "stage": one.stage, "strategy": one.strategy}
            self._exports.set(c.SUGGESTION_GAIN, one.expected_seconds, **labels)
        self._results.add(changed)
        self._results.export(self._exports, now)
        self._exports.end()

    def clear(self) -> None:
        """Say nothing."""
        self._exports.end()

    async def run(self) -> None:
        """Read what came of earlier suggestions, then write what changes, until cancelled; failures are tried again."""
        while self._store is not None:
            try:
                self._results.add(await self._store.measured())
                break
            except SourceError as error:
                await self._wait_after(error)
        while self._store is not None:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._unwritten)
            try:
                await self._store.save(batch)
                del self._unwritten[: len(batch)]
                self.trouble = ""
            except SourceError as error:
                await self._wait_after(error)
                self._wake.set()

    async def _wait_after(self, error: SourceError) -> None:
        if not self.trouble:
            logger.error("%s; trying again", error)
        self.trouble = error.message
        await asyncio.sleep(_RETRY_SECONDS)

    def _write_later(self, changed: list[Suggestion]) -> None:
        if changed and self._store is not None:
            self._unwritten += changed
            del self._unwritten[:-MOST_UNWRITTEN]
            self._wake.set()

    def _findings(self, now: float) -> list[Finding]:
        """The stages that are bottlenecks now: those in an episode, and those that are stuck."""
        found = []
        for pipeline, analyzer in self._watch.analyzers.items():
            for report in analyzer.report(now).values():
                limits = self._watch.is_bottleneck(pipeline, report.stage) or report.state is State.STUCK
                if report.severity is None or not limits:
                    continue
                figures: dict[str, float | None] = {
                    "severity": report.severity,
                    "utilisation": report.utilisation,
                    "contention": report.contention,
                    "cascade": report.cascade,
                    "waiting": report.waiting,
                    "workers": report.workers,
                    "impact": report.impact,
                }
                found.append(
                    Finding(
                        kind="bottleneck",
                        pipeline=pipeline,
                        stage=report.stage,
                        state=report.state.value,
                        cause=report.cause.value,
                        figures={name: value for name, value in figures.items() if value is not None},
                        has_room_limit=report.queue_capacity is not None,
                    )
                )
        return found

    def _gain(self, finding: Finding, lever: Lever, now: float) -> float | None:
        analyzer = self._watch.analyzers.get(finding.pipeline)
        if analyzer is None:
            return None
        return gain_of(analyzer.line, finding.stage, lever, now=now, seconds=self._window_seconds)

    def _flow_time(self, pipeline: str, now: float) -> float | None:
        analyzer = self._watch.analyzers.get(pipeline)
        return analyzer.flow_time(now) if analyzer is not None else None
