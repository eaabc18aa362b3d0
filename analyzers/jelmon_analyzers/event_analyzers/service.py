"""The analyzers that follow events, wired together: one consumer, one lease, one cycle."""

import asyncio

from jelmon.nats.lease import Lease
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.attribution.gauges import NAME as ATTRIBUTION
from jelmon_analyzers.attribution.gauges import AttributionGauges
from jelmon_analyzers.bottleneck.service import BottleneckService
from jelmon_analyzers.event_analyzers.resource_usage import ResourceUsage
from jelmon_analyzers.event_analyzers.settings import EventAnalyzersSettings
from jelmon_analyzers.health import HealthGauges
from jelmon_analyzers.health.gauges import NAME as HEALTH
from jelmon_analyzers.suggestions import drivers, strategies
from jelmon_analyzers.suggestions.regressions import Regressions
from jelmon_analyzers.suggestions.service import NAME as SUGGESTIONS
from jelmon_analyzers.suggestions.service import SuggestionService
from jelmon_analyzers.suggestions.storage import SuggestionStore, open_suggestion_store


class EventAnalyzers:
    """Runs bottlenecks, attribution and suggestions; with ``health`` the health score too, which needs the severity."""

    def __init__(self, settings: EventAnalyzersSettings, instruments: Instruments, *, health: bool) -> None:
        self.bottleneck = BottleneckService(
            settings.bottleneck,
            instruments,
            replay_seconds=settings.health.window_seconds if health else 0.0,
        )
        self._lease = Lease(settings.bottleneck.nats, "pipelines")
        self.bottleneck.leads = lambda: self._lease.held
        gauges = self.bottleneck.gauges
        self._store: SuggestionStore | None = (
            open_suggestion_store(settings.recommendations_url) if settings.recommendations_url else None
        )
        self._resources = (
            ResourceUsage(settings.prometheus_url, interval_seconds=settings.bottleneck.interval_seconds)
            if settings.prometheus_url
            else None
        )
        if self._resources is not None:
            resources = self._resources
            gauges.usage = lambda: resources.usage
        self.attribution = AttributionGauges(
            instruments,
            usage=gauges.usage,
            leads=lambda: self._lease.held and self.bottleneck.connected,
            isolation=self.bottleneck.isolation,
        )
        self.bottleneck.on_event[ATTRIBUTION] = self.attribution.observe
        self._regressions = Regressions(
            instruments, settings.prometheus_url, every_seconds=settings.bottleneck.interval_seconds
        )
        self.suggestions = SuggestionService(
            gauges,
            instruments,
            strategies.load(settings.strategies_file),
            window_seconds=settings.bottleneck.window_seconds,
            store=self._store,
            sources=(lambda: self._regressions.findings, lambda: drivers.findings(self.attribution.attributions)),
        )
        self.bottleneck.on_event[SUGGESTIONS] = self.suggestions.observe
        self.bottleneck.on_cycle[SUGGESTIONS] = self.suggestions.cycle
        self.bottleneck.on_clear[SUGGESTIONS] = self.suggestions.clear
        self.health: HealthGauges | None = None
        if health:
            self.health = HealthGauges(
                instruments,
                settings.health,
                severity=gauges.severity,
                usage=lambda: self._resources.scarcest if self._resources is not None else None,
            )
            self.bottleneck.on_event[HEALTH] = self.health.observe
            self.bottleneck.on_cycle[HEALTH] = self.health.export
            self.bottleneck.on_clear[HEALTH] = self.health.clear

    def checks(self) -> dict[str, Check]:
        """Return the state of the dependencies; Prometheus and the database for recommendations are optional."""
        checks = dict(self.bottleneck.checks())
        checks["lease"] = Check(self._lease.held, "" if self._lease.held else "another replica leads", needed=False)
        if self._store is not None:
            checks["recommendations"] = Check(not self.suggestions.trouble, self.suggestions.trouble, needed=False)
        if self._resources is not None:
            checks["resources"] = Check(not self._resources.trouble, self._resources.trouble, needed=False)
        return checks

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lease.run())
            group.create_task(self.bottleneck.run())
            group.create_task(self.suggestions.run())
            group.create_task(self.attribution.run())
            group.create_task(self._regressions.run())
            if self._resources is not None:
                group.create_task(self._resources.run())
