"""Settings of the analyzers that follow events, from flags and environment."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jelmon.config.reader import SettingsReader, given
from jelmon.nats.connection import NatsSettings
from jelmon_analyzers.bottleneck.service import BottleneckSettings
from jelmon_analyzers.health import HealthSettings
from jelmon_analyzers.health import settings_file as health_file
from jelmon_analyzers.settings import DEFAULT_PROMETHEUS_URL
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
    def read(cls, reader: SettingsReader) -> Self:
        """Read the flags of `bottleneck_command` and `health_command`, and the environment.

        Raises:
            ConfigError: a flag or a variable is invalid.
        """
        health = reader.path("--health.file")
        return cls(
            bottleneck=BottleneckSettings(
                nats=NatsSettings.from_environ(reader.environ, url=reader.text("--nats.url")),
                **given(
                    window_seconds=reader.duration("--bottleneck.window"),
                    interval_seconds=reader.duration("--bottleneck.interval"),
                ),
            ),
            recommendations_url=reader.database_url("--recommendations.url", "RECOMMENDATIONS_DATABASE_URL"),
            prometheus_url=reader.text("--prometheus.url") or DEFAULT_PROMETHEUS_URL,
            **given(
                health=health_file.load(health) if health is not None else None,
                strategies_file=reader.path("--strategies.file"),
            ),
        )
