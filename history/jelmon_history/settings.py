"""The settings of `jelmon history` that decide what the samples are."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from jelmon.catalogue import Service
from jelmon.errors import ConfigError
from jelmon_history.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is simulated: the scrapes and the services. Times are seconds."""

    step: float = 60.0
    until: float = math.inf  # simulated time goes on to here after the last event; later events are ignored
    exporter_instance: str = "127.0.0.1:9746"
    analyzer_instance: str = "127.0.0.1:9747"
    labels: Mapping[str, str] = field(default_factory=dict)  # external labels, on every series
    label_limit: int = 200
    analyzers: bool = True
    analyzer_seconds: float = 900.0

    def __post_init__(self) -> None:
        if not 1 <= self.step <= 300:
            raise ConfigError(
                f"--step: {self.step:g} s is not from 1s to 5m",
                hint="Prometheus forgets a series that has no sample for 5 minutes",
            )
        if self.analyzer_seconds < self.step:
            raise ConfigError(
                "--analyzers.interval is shorter than --step", hint="a scrape sees only the last analysis"
            )
        if self.label_limit < 1:
            raise ConfigError("METRICS_LABEL_LIMIT: the minimum is 1")

    @property
    def exporter_target(self) -> Target:
        """The exporter as Prometheus sees it."""
        return Target(Service.EXPORTER.job, self.exporter_instance, self.labels)

    @property
    def analyzer_target(self) -> Target:
        """The analyzers as Prometheus sees them."""
        return Target(Service.ANALYZER.job, self.analyzer_instance, self.labels)

    @property
    def fingerprint(self) -> str:
        """What identifies the settings: an interrupted run is resumed only with the same ones."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
