"""Reads all sources again and again, and keeps what they said last; pages are rendered from that alone."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jelmon import catalogue as c
from jelmon.errors import JelmonError, SourceError
from jelmon.service.registry import Instruments
from jelmon_board.model import lines
from jelmon_board.model.alerts import Alert, Silence, merge
from jelmon_board.model.budgets import QUERY as BUDGETS
from jelmon_board.model.budgets import Budget, budgets
from jelmon_board.model.episodes import Episode
from jelmon_board.model.pipelines import Latest, Pipeline, pipelines
from jelmon_board.model.rules import AlertRule, Compared, comparisons
from jelmon_board.model.samples import Samples
from jelmon_board.settings import SourceSettings
from jelmon_board.sources.alertmanager import Alertmanager
from jelmon_board.sources.embedded import EmbeddedLines
from jelmon_board.sources.exposition import parse
from jelmon_board.sources.fetch import Fetcher
from jelmon_board.sources.lines import Lines
from jelmon_board.sources.prometheus import Prometheus
from jelmon_board.sources.responder import Responder
from jelmon_board.sources.shipped_rules import shipped_rules

logger = logging.getLogger(__name__)
T = TypeVar("T")

_SLOW_SECONDS = 15.0
"""Rules, history and rates are read this often; they change slowly."""
_WANTED = frozenset(
    series
    for metric in c.CATALOGUE
    if metric.service in (c.Service.EXPORTER, c.Service.ANALYZER)
    for series in metric.series
    if not series.endswith("_bucket")
)
_REMEDIES = {
    "exporter": "start it: jelmon exporter (another address: --exporter.url)",
    "analyzers": "start them: jelmon analyzer all (another address: --analyzer.url)",
    "Prometheus": "start it with deploy/prometheus/prometheus.yml (another address: --prometheus.url), "
    "or start the board with --embedded",
    "Alertmanager": "start it with alertmanager/alertmanager.yml (another address: --alertmanager.url)",
    "responder": "start it: jelmon responder (another address: --responder.url)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source answered last."""

    name: str
    urls: tuple[str, ...]
    ok: bool
    problem: str = ""
    remedy: str = ""
    last_success: float | None = None


States = dict[str, SourceState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What all sources said last. ``taken`` is 0 before the first reading."""

    taken: float = 0.0
    samples: Samples = field(default_factory=Samples)
    latest: Latest = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    rules: tuple[AlertRule, ...] = ()
    compared: Compared = field(default_factory=dict)
    routes: str = ""
    episodes: tuple[Episode, ...] = ()
    """Of the last day."""
    pipelines: tuple[Pipeline, ...] = ()
    budgets: tuple[Budget, ...] = ()
    sources: Mapping[str, SourceState] = field(default_factory=dict)
    embedded: bool = False
    series_dropped: int = 0

    def budgets_of(self, **labels: str) -> list[Budget]:
        """Return the error budgets with these labels."""
        return [row for row in self.budgets if labels.items() <= row.labels.items()]

    def pipeline(self, name: str) -> Pipeline | None:
        """Return the pipeline with this name."""
        return next((pipeline for pipeline in self.pipelines if pipeline.name == name), None)


class Collector:
    """Reads the sources. `snapshot` is always complete; `changed` is set and replaced after each reading."""

    def __init__(self, settings: SourceSettings, instruments: Instruments) -> None:
        self._settings = settings
        self._instruments = instruments
        self._exporters = Fetcher("The exporter", credentials=settings.credentials)
        self._analyzers = Fetcher("The analyzer", credentials=settings.credentials)
        self._responder_fetcher = Fetcher("The responder", credentials=settings.credentials)
        self._test_fetcher = Fetcher("The responder", credentials=settings.credentials, timeout=90.0)
        self._prometheus_fetcher = Fetcher("Prometheus")
        self._alertmanager_fetcher = Fetcher("Alertmanager")
        self.alertmanager = Alertmanager(settings.alertmanager, self._alertmanager_fetcher)
        self.responder = Responder(settings.responder, self._responder_fetcher)
        self.tester = Responder(settings.responder, self._test_fetcher)
        self.prometheus = None if settings.embedded else Prometheus(settings.prometheus, self._prometheus_fetcher)
        self._embedded = EmbeddedLines()
        self._shipped: Compared | None = None
        self._stack = contextlib.AsyncExitStack()
        self._slow_due = 0.0
        self.snapshot = Snapshot(embedded=settings.embedded)
        self.changed = asyncio.Event()

    @property
    def lines(self) -> Lines:
        """Where lines over time come from."""
        return self.prometheus or self._embedded

    async def start(self) -> None:
        """Open the connections."""
        for fetcher in (
            *(self._exporters, self._analyzers, self._responder_fetcher, self._test_fetcher),
            *(self._prometheus_fetcher, self._alertmanager_fetcher),
        ):
            await self._stack.enter_async_context(fetcher)

    async def stop(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def collect(self) -> None:
        """Read all sources once, at the same time; what does not answer keeps what it said before."""
        began = time.monotonic()
        is_slow = began >= self._slow_due
        if is_slow:
            self._slow_due = began + _SLOW_SECONDS
        old = self.snapshot
        states = dict(old.sources)
        async with asyncio.TaskGroup() as group:
            start = group.create_task
            reading = start(self._samples(states))
            no_alerts: tuple[tuple[Alert, ...], tuple[Silence, ...]] = ((), ())
            asking = start(self._guard(states, "Alertmanager", (self._settings.alertmanager,), self._alerts, no_alerts))
            if is_slow:
                ruling = start(self._rules(states, old))
                rating = start(self._latest() if self.prometheus else _same(old.latest))
                spending = start(self._budgets(old))
                routing = start(_optional(self.alertmanager.configuration(), old.routes))
                recalling = start(
                    self._guard(states, "responder", (self._settings.responder,), self._episodes, old.episodes)
                )
        samples, (alerts, silences) = reading.result(), asking.result()
        rules, latest, routes, episodes, left = (
            (ruling.result(), rating.result(), routing.result(), recalling.result(), spending.result())
            if is_slow
            else (old.rules, old.latest, old.routes, old.episodes, old.budgets)
        )
        now = time.time()
        if self.prometheus is None and len(samples):
            self._embedded.add(samples, now)
            latest = {}
            for line in lines.NOW_LINES:
                await asyncio.sleep(0)
                latest[line.key] = await self._embedded.latest(line)
        compared = comparisons(rules) or await self._thresholds()
        if not states["Alertmanager"].ok and rules:
            alerts = tuple(_from_rules(rules))
        # in threads, so that pages are answered meanwhile
        merged = tuple(await asyncio.to_thread(merge, alerts, silences))
        rows = tuple(await asyncio.to_thread(pipelines, samples, latest, merged, compared, now))
        self.snapshot = Snapshot(
            taken=now,
            samples=samples,
            latest=latest,
            alerts=merged,
            silences=tuple(silences),
            rules=tuple(rules),
            compared=compared,
            routes=routes,
            episodes=tuple(episodes),
            pipelines=rows,
            budgets=left,
            sources=states,
            embedded=self.prometheus is None,
            series_dropped=self._embedded.dropped,
        )
        self._instruments.observe(c.BOARD_COLLECTION, time.monotonic() - began)
        self._instruments.set(c.BOARD_SERIES_DROPPED, self._embedded.dropped)
        for name, state in states.items():
            self._instruments.set(c.BOARD_SOURCE_UP, state.ok, source=name.lower())
        self.changed.set()
        self.changed = asyncio.Event()

    async def _thresholds(self) -> Compared:
        if self._shipped is None:
            self._shipped = comparisons(await asyncio.to_thread(shipped_rules))
        return self._shipped

    def refresh_soon(self) -> None:
        """Read everything in the next cycle, after an action changed something."""
        self._slow_due = 0.0

    async def _samples(self, states: States) -> Samples:
        """Return current samples: of the services themselves, else what Prometheus knows of them."""
        exporters, analyzers = await asyncio.gather(
            self._guard(
                states,
                "exporter",
                self._settings.exporters,
                lambda: self._scrape(self._exporters, self._settings.exporters),
                None,
            ),
            self._guard(
                states,
                "analyzers",
                self._settings.analyzers,
                lambda: self._scrape(self._analyzers, self._settings.analyzers),
                None,
            ),
        )
        samples = Samples()
        for part in (exporters, analyzers):
            if part is not None:
                samples.extend(part)
        if self.prometheus is not None and (exporters is None or analyzers is None):
            wanted = [
                metric
                for metric in c.CATALOGUE
                if (metric.service is c.Service.EXPORTER and exporters is None)
                or (metric.service is c.Service.ANALYZER and analyzers is None)
            ]
            names = {name for metric in wanted for name in metric.series} & _WANTED
            with contextlib.suppress(SourceError):
                samples.extend(await self.prometheus.samples(names))
        return samples

    async def _scrape(self, fetcher: Fetcher, urls: Sequence[str]) -> Samples:
        samples = Samples()
        errors = []
        for answer in await asyncio.gather(
            *(fetcher.text(f"{url}/metrics", headers={"Accept": "text/plain"}) for url in urls), return_exceptions=True
        ):
            if isinstance(answer, SourceError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                samples.extend(await asyncio.to_thread(parse, answer, _WANTED))
        if len(errors) == len(urls):
            raise errors[0]
        return samples

    async def _alerts(self) -> tuple[tuple[Alert, ...], tuple[Silence, ...]]:
        alerts, silences = await asyncio.gather(self.alertmanager.alerts(), self.alertmanager.silences())
        return tuple(alerts), tuple(silences)

    async def _episodes(self) -> tuple[Episode, ...]:
        return tuple(await self.responder.episodes(since="24h"))

    async def _rules(self, states: States, old: Snapshot) -> Sequence[AlertRule]:
        if self.prometheus is None:
            return ()
        return await self._guard(states, "Prometheus", (self._settings.prometheus,), self.prometheus.rules, old.rules)

    async def _budgets(self, old: Snapshot) -> tuple[Budget, ...]:
        if self.prometheus is None:
            return ()
        try:
            return budgets(await self.prometheus.values(BUDGETS))
        except JelmonError:
            return old.budgets

    async def _latest(self) -> Latest:
        assert self.prometheus is not None
        read = self.prometheus.latest
        values = await asyncio.gather(*(_optional(read(line), {}) for line in lines.NOW_LINES))
        return {line.key: found for line, found in zip(lines.NOW_LINES, values, strict=True)}

    async def _guard(
        self, states: States, name: str, urls: tuple[str, ...], read: Callable[[], Awaitable[T]], otherwise: T
    ) -> T:
        """Read a source and note how it answered."""
        before = states.get(name)
        try:
            answer = await read()
        except JelmonError as error:
            if before is None or before.ok:
                logger.warning("a source does not answer", extra={"source": name, "error": error.message})
            states[name] = SourceState(
                name=name,
                urls=urls,
                ok=False,
                problem=error.message,
                remedy=_REMEDIES[name],
                last_success=before.last_success if before else None,
            )
            return otherwise
        if before is not None and not before.ok:
            logger.info("a source answers again", extra={"source": name})
        states[name] = SourceState(name=name, urls=urls, ok=True, last_success=time.time())
        return answer


async def _optional(answer: Awaitable[T], otherwise: T) -> T:
    """Return what a source says; ``otherwise`` if it does not answer, which another request reports."""
    try:
        return await answer
    except JelmonError:
        return otherwise


async def _same(value: T) -> T:
    return value


def _from_rules(rules: Sequence[AlertRule]) -> list[Alert]:
    """Return the firing alerts as Prometheus knows them, for want of an Alertmanager."""
    return [
        Alert(labels={"alertname": rule.name, **alert.labels}, annotations=alert.annotations, since=alert.since)
        for rule in rules
        for alert in rule.alerts
        if alert.state == "firing"
    ]
