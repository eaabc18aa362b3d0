"""The analyzers that follow events, put together: bottlenecks, attribution, suggestions, health; with one consumer."""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from jelmon.config.settings import parse_duration, read_secret
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.attribution.gauges import AttributionBoard
from jelmon_analyzers.bottleneck.service import BottleneckService, BottleneckSettings
from jelmon_analyzers.health import HealthBoard, HealthSettings
from jelmon_analyzers.health import settings_file as health_file
from jelmon_analyzers.resources import Resources
from jelmon_analyzers.suggestions import drivers, strategies
from jelmon_analyzers.suggestions.regressions import Regressions
from jelmon_analyzers.suggestions.service import Desk
from jelmon_analyzers.suggestions.storage import Keeper, open_keeper


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """What the analyzers of events can be told."""

    bottleneck: BottleneckSettings = field(default_factory=BottleneckSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    strategies_file: Path = strategies.DEFAULT
    recommendations_url: str | None = field(default=None, repr=False)
    prometheus_url: str | None = None

    @classmethod
    def read(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> "PipelineSettings":
        """Settings from the flags of `bottleneck.runner` and `health.runner`, and from the environment.

        Raises:
            ConfigError: a flag or a variable is wrong.
        """
        secret = read_secret(environ, "RECOMMENDATIONS_DATABASE_URL")
        if args.recommendations_url and secret:
            raise ConfigError(
                "--recommendations.url and RECOMMENDATIONS_DATABASE_URL_FILE are both given", hint="give one of the two"
            )
        if args.recommendations_url and urlsplit(args.recommendations_url).password:
            raise ConfigError(
                "--recommendations.url holds a password, which every user of this machine can see",
                hint="leave it out and set PGPASSFILE, or put the URL in a file and set "
                "RECOMMENDATIONS_DATABASE_URL_FILE to its path",
            )
        window = parse_duration(args.bottleneck_window, name="--bottleneck.window")
        return cls(
            bottleneck=BottleneckSettings(
                nats=NatsSettings.from_environ(environ, url=args.nats_url),
                window_seconds=window,
                interval_seconds=parse_duration(args.bottleneck_interval, name="--bottleneck.interval"),
            ),
            health=health_file.load(args.health_file) if args.health_file else HealthSettings(),
            strategies_file=args.strategies_file or strategies.DEFAULT,
            recommendations_url=args.recommendations_url or secret,
            prometheus_url=getattr(args, "prometheus_url", None),
        )


class PipelineAnalyzers:
    """Bottlenecks and suggestions, and with ``health`` the score as well: it needs the verdict on bottlenecks."""

    def __init__(self, settings: PipelineSettings, instruments: Instruments, *, health: bool) -> None:
        self.bottleneck = BottleneckService(
            settings.bottleneck,
            instruments,
            replay_seconds=settings.health.window_seconds if health else 0.0,
        )
        self._lease = Lease(settings.bottleneck.nats, "pipelines")
        self.bottleneck.leads = lambda: self._lease.held
        watch = self.bottleneck.watch
        self._keeper: Keeper | None = (
            open_keeper(settings.recommendations_url) if settings.recommendations_url else None
        )
        self._resources = (
            Resources(settings.prometheus_url, interval_seconds=settings.bottleneck.interval_seconds)
            if settings.prometheus_url
            else None
        )
        if self._resources is not None:
            resources = self._resources
            watch.usage = lambda: resources.usage
        self._attribution = AttributionBoard(
            instruments, usage=watch.usage, leads=lambda: self._lease.held and self.bottleneck.connected
        )
        self.bottleneck.takers.append(self._attribution.take)
        self._regressions = Regressions(
            instruments, settings.prometheus_url, every_seconds=settings.bottleneck.interval_seconds
        )
        self.desk = Desk(
            watch,
            instruments,
            strategies.load(settings.strategies_file),
            window_seconds=settings.bottleneck.window_seconds,
            keeper=self._keeper,
            others=(lambda: self._regressions.findings, lambda: drivers.findings(self._attribution.found)),
        )
        self.bottleneck.takers.append(self.desk.take)
        self.bottleneck.on_cycle.append(self.desk.cycle)
        self.bottleneck.on_silence.append(self.desk.silence)
        self.health: HealthBoard | None = None
        if health:
            self.health = HealthBoard(
                instruments,
                settings.health,
                severity=watch.severity,
                usage=lambda: self._resources.scarcest if self._resources is not None else None,
            )
            self.bottleneck.takers.append(self.health.take)
            self.bottleneck.on_cycle.append(self.health.export)
            self.bottleneck.on_silence.append(self.health.silence)

    def checks(self) -> dict[str, Check]:
        """What they depend on. Without Prometheus or the database for recommendations they work on: shown only."""
        found = dict(self.bottleneck.checks())
        found["lease"] = Check(self._lease.held, "" if self._lease.held else "another replica leads", needed=False)
        if self._keeper is not None:
            found["recommendations"] = Check(not self.desk.trouble, self.desk.trouble, needed=False)
        if self._resources is not None:
            found["resources"] = Check(not self._resources.trouble, self._resources.trouble, needed=False)
        return found

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lease.run())
            group.create_task(self.bottleneck.run())
            group.create_task(self.desk.run())
            group.create_task(self._attribution.run())
            group.create_task(self._regressions.run())
            if self._resources is not None:
                group.create_task(self._resources.run())
