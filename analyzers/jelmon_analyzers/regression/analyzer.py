"""The regression analyzer's cycle: read on, judge, tell, keep."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jelmon import catalogue as c
from jelmon.config.urls import check_redis_url
from jelmon.errors import ConfigError, SourceError
from jelmon.nats.lease import Lease
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.report import report
from jelmon_analyzers.regression.signals import DEFAULTS, Signal
from jelmon_analyzers.regression.state_storage import FolderStorage, RedisStorage, StateStorage
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC, Zone

logger = logging.getLogger(__name__)

NAME = "regression"
DEFAULT_PREFIX = "jelmore"
_LEAST_HISTORY_SECONDS = 3 * 86400.0
_LABEL = {"analyzer": NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionSettings:
    """What the regression analyzer can be told."""

    prometheus_url: str = "http://127.0.0.1:9090"
    signals: tuple[Signal, ...] = DEFAULTS
    time_zone: str = UTC
    """Whose clock days and weekends follow, where a signal has no zone of its own."""
    history_seconds: float = 8 * 86400.0
    cycle_seconds: float = 60.0
    lag_seconds: float = 30.0
    """How old a minute must be before it is judged: scrapes and rules come late."""
    recent_step_seconds: float = 15.0
    """Between the values in which change points are sought while there is no baseline yet."""
    save_seconds: float = 900.0
    state: Path | None = None
    """The folder that keeps what was learnt; or a Redis does; or neither."""
    redis_url: str | None = None
    redis_password: str | None = field(default=None, repr=False)
    redis_prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not self.prometheus_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--prometheus.url: {self.prometheus_url!r} is not an address", hint="write http://127.0.0.1:9090"
            )
        if self.history_seconds < _LEAST_HISTORY_SECONDS:
            raise ConfigError("--regression.history must be at least 3d", hint="8d gives the steadiest baseline")
        try:
            Zone(self.time_zone)
        except ValueError as error:
            raise ConfigError(f"--regression.time-zone: {error}") from error
        if not 1 <= self.cycle_seconds <= 3600:
            raise ConfigError("--regression.interval must be from 1s to 1h")
        if not 1 <= self.recent_step_seconds <= 300:
            raise ConfigError("--regression.young-step must be from 1s to 5m", hint="twice the scrape interval is best")
        if self.redis_url is not None:
            check_redis_url(self.redis_url, name="--redis.url")
        if self.redis_url is not None and self.state is not None:
            raise ConfigError(
                "both --regression.state and --redis.url are given",
                hint="a folder for one analyzer, Redis for replicas",
            )
        if not 0 <= self.lag_seconds <= 600:
            raise ConfigError("--regression.lag must be at most 10m")


class RegressionAnalyzer:
    """Runs for ever. With a lease only the replica that holds it speaks; all of them learn."""

    def __init__(
        self,
        settings: RegressionSettings,
        instruments: Instruments,
        *,
        lease: Lease | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._exports = Exports(instruments)
        self._lease = lease
        self._clock = clock
        self._keeper = _keeper(settings)
        self._loaded = False
        self.watches = [
            MonitoredSignal(signal, history_seconds=settings.history_seconds, time_zone=settings.time_zone)
            for signal in settings.signals
        ]
        self._check = Check(False, "not read yet")
        self._saved_at = clock()
        self._cycles = 0

    def checks(self) -> dict[str, Check]:
        """The state of Prometheus, as seen from here."""
        return {"prometheus": self._check}

    async def run(self) -> None:
        """A cycle at each interval, until cancelled; then what was learnt is kept."""
        leading = asyncio.create_task(self._lease.run()) if self._lease is not None else None
        try:
            async with PrometheusHistory(self._settings.prometheus_url) as history:
                while True:
                    await self.cycle(history)
                    await asyncio.sleep(self._settings.cycle_seconds)
        finally:
            await self.save()
            if leading is not None:
                await tasks.end(leading)

    async def cycle(self, history: PrometheusHistory) -> None:
        """Read, judge and tell once. A failure is noted, not raised."""
        if not self._loaded:
            await self._load()
        began = time.perf_counter()
        now = self._clock() - self._settings.lag_seconds
        failures = 0
        for watch in self.watches:
            try:
                await watch.read_on(history, now)
                await watch.read_recent(history, now, self._settings.recent_step_seconds)
            except SourceError as error:
                failures += 1
                self._trouble(watch.signal.name, error)
        if not failures:
            self._check = Check(True, f"{len(self.watches)} signals")
            self._instruments.set(c.ANALYZER_SUCCESS, self._clock(), **_LABEL)
        elif failures < len(self.watches):
            self._check = Check(True, f"{failures} of {len(self.watches)} signals cannot be read")
        self._tell()
        if self._clock() - self._saved_at >= self._settings.save_seconds:
            await self.save()
        self._instruments.observe(c.ANALYZER_CYCLE, time.perf_counter() - began, **_LABEL)

    async def save(self) -> None:
        """Keep what was learnt; of replicas that share a place, the one that leads does."""
        self._saved_at = self._clock()
        if self._keeper is None or (self._keeper.shared and self._lease is not None and not self._lease.held):
            return
        for watch in self.watches:
            state = watch.state()
            if state is None:
                continue
            try:
                await self._keeper.save(watch.signal.name, state)
            except SourceError as error:
                logger.warning("state cannot be kept", extra={"signal": watch.signal.name, "error": error.message})
                return

    async def _load(self) -> None:
        """Once, at the start. What cannot be had is learnt again from history."""
        self._loaded = True
        if self._keeper is None:
            return
        try:
            for watch in self.watches:
                state = await self._keeper.load(watch.signal.name)
                if state is not None:
                    watch.restore(state)
        except SourceError as error:
            logger.warning("state cannot be had: learning anew", extra={"error": error.message})

    def _tell(self) -> None:
        if self._lease is not None and not self._lease.held:
            self._exports.end()
            return
        judged, skipped = report(self.watches, self._exports, with_trends=True)
        self._instruments.set(c.ANALYZER_SERIES, judged, **_LABEL)
        for reason, count in skipped.items():
            self._instruments.inc(c.ANALYZER_SKIPPED, count, reason=reason, **_LABEL)

    def _trouble(self, signal: str, error: SourceError) -> None:
        if self._check.detail != "does not answer":
            logger.warning("a signal cannot be read", extra={"signal": signal, "error": error.message})
        self._check = Check(False, "does not answer")


def _keeper(settings: RegressionSettings) -> StateStorage | None:
    if settings.state is not None:
        return FolderStorage(settings.state)
    if settings.redis_url is None:
        return None
    # a state older than the history that is read is not gone on from
    return RedisStorage(
        settings.redis_url,
        password=settings.redis_password,
        prefix=settings.redis_prefix,
        expire_seconds=settings.history_seconds,
    )
