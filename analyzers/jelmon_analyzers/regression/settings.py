"""Settings of the regression analyzer."""

from dataclasses import dataclass, field
from pathlib import Path

from jelmon.config.settings import Secret
from jelmon.config.urls import check_redis_url
from jelmon.errors import ConfigError
from jelmon_analyzers.regression.signals import DEFAULTS, Signal
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC, Zone

_LEAST_HISTORY_SECONDS = 3 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionSettings:
    """Settings of the regression analyzer; times are in seconds.

    Raises:
        ConfigError: a value is out of range; the message names the flag.
    """

    prometheus_url: str = "http://127.0.0.1:9090"
    signals: tuple[Signal, ...] = DEFAULTS
    time_zone: str = UTC
    """Zone of the time of day and weekends of signals that name no zone."""
    history_seconds: float = 8 * 86400.0
    cycle_seconds: float = 60.0
    lag_seconds: float = 30.0
    """Age at which a minute is judged: scrapes and recording rules come late."""
    recent_step_seconds: float = 15.0
    """Step of the change-point search in series without a baseline."""
    save_seconds: float = 900.0
    state: Path | None = None
    """Folder for saved state; the alternative is Redis."""
    redis_url: str | None = None
    redis_password: Secret | None = field(default=None, repr=False)
    redis_prefix: str = "jelmore"

    def __post_init__(self) -> None:
        if not self.prometheus_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--prometheus.url: {self.prometheus_url!r} is not an HTTP URL", hint="write http://127.0.0.1:9090"
            )
        try:
            Zone(self.time_zone)
        except ValueError as error:
            raise ConfigError(f"--regression.time-zone: {error}") from error
        self._check_times()
        self._check_storage()

    def _check_times(self) -> None:
        if self.history_seconds < _LEAST_HISTORY_SECONDS:
            raise ConfigError("--regression.history must be at least 3d", hint="8d gives the steadiest baseline")
        if not 1 <= self.cycle_seconds <= 3600:
            raise ConfigError("--regression.interval must be from 1s to 1h")
        if not 1 <= self.recent_step_seconds <= 300:
            raise ConfigError("--regression.young-step must be from 1s to 5m", hint="twice the scrape interval is best")
        if not 0 <= self.lag_seconds <= 600:
            raise ConfigError("--regression.lag must be at most 10m")

    def _check_storage(self) -> None:
        if self.redis_url is None:
            return
        check_redis_url(self.redis_url, name="--redis.url")
        if self.state is not None:
            raise ConfigError(
                "--regression.state and --redis.url exclude each other",
                hint="use a folder for one analyzer, Redis for several replicas",
            )
