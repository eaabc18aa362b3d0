"""Settings of the analyzers that follow events, from flags and environment."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from jelmon.config.settings import parse_duration, read_secret
from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_analyzers.bottleneck.service import BottleneckSettings
from jelmon_analyzers.health import HealthSettings
from jelmon_analyzers.health import settings_file as health_file
from jelmon_analyzers.suggestions import strategies


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnalyzersSettings:
    """Settings of the analyzers that follow events."""

    bottleneck: BottleneckSettings = field(default_factory=BottleneckSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    strategies_file: Path = strategies.DEFAULT
    recommendations_url: str | None = field(default=None, repr=False)
    prometheus_url: str | None = None

    @classmethod
    def read(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> "EventAnalyzersSettings":
        """Return the settings from the flags of `bottleneck_command` and `health_command` and the environment.

        Raises:
            ConfigError: a flag or a variable is invalid.
        """
        secret = read_secret(environ, "RECOMMENDATIONS_DATABASE_URL")
        if args.recommendations_url and secret:
            raise ConfigError(
                "--recommendations.url and RECOMMENDATIONS_DATABASE_URL_FILE are both set", hint="set only one of them"
            )
        if args.recommendations_url and urlsplit(args.recommendations_url).password:
            raise ConfigError(
                "--recommendations.url contains a password, which every user of this machine can see",
                hint="remove it and set PGPASSFILE, or put the URL in a file and set "
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
