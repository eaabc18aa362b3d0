"""The cycle of the regression analyzer: read new history, judge it, export gauges, save state."""

import asyncio
import logging
import time
from collections.abc import Callable

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon.nats.lease import Lease
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.isolation import Isolation
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.report import report
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_analyzers.regression.state_storage import FolderStorage, RedisStorage, StateStorage

logger = logging.getLogger(__name__)

NAME = "regression"
_LABEL = {"analyzer": NAME}
_NO_ANSWER = "does not answer"


class RegressionAnalyzer:
    """The regression analyzer; with a lease, only the replica that holds it exports gauges, and all of them learn."""

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
        self._isolation = Isolation(instruments)
        self._lease = lease
        self._clock = clock
        self._storage = _storage(settings)
        self._loaded = False
        self.signals = [
            MonitoredSignal(signal, history_seconds=settings.history_seconds, time_zone=settings.time_zone)
            for signal in settings.signals
        ]
        self._check = Check(False, "not read yet")
        self._saved_at = clock()

    def checks(self) -> dict[str, Check]:
        """Return the state of Prometheus in the last cycle."""
        return {"prometheus": self._check}

    async def run(self) -> None:
        """Run a cycle at each interval until cancelled, then save state."""
        leading = asyncio.create_task(self._lease.run()) if self._lease is not None else None
        try:
            async with PrometheusHistory(self._settings.prometheus_url) as history:
                while True:
                    with self._isolation.of(NAME, "cycle"):
                        await self.cycle(history)
                    await asyncio.sleep(self._settings.cycle_seconds)
        finally:
            await self.save()
            if leading is not None:
                await tasks.end(leading)

    async def cycle(self, history: PrometheusHistory) -> None:
        """Read, judge and export once. A failure to read is logged and shows in `checks`; it is not raised."""
        if not self._loaded:
            await self._load()
        began = time.perf_counter()
        now = self._clock() - self._settings.lag_seconds
        failures = 0
        for signal in self.signals:
            try:
                await signal.read_new(history, now)
                await signal.read_recent(history, now, self._settings.recent_step_seconds)
            except SourceError as error:
                failures += 1
                self._note_failure(signal.signal.name, error)
        if not failures:
            self._check = Check(True, f"{len(self.signals)} signals")
            self._instruments.set(c.ANALYZER_SUCCESS, self._clock(), **_LABEL)
        elif failures < len(self.signals):
            self._check = Check(True, f"{failures} of {len(self.signals)} signals cannot be read")
        self._export()
        if self._clock() - self._saved_at >= self._settings.save_seconds:
            await self.save()
        self._instruments.observe(c.ANALYZER_CYCLE, time.perf_counter() - began, **_LABEL)

    async def save(self) -> None:
        """Save the state of every signal; to shared storage only the leading replica writes."""
        self._saved_at = self._clock()
        if self._storage is None or (self._storage.shared and not self._leads):
            return
        for signal in self.signals:
            state = signal.state()
            if state is None:
                continue
            try:
                await self._storage.save(signal.signal.name, state)
            except SourceError as error:
                logger.warning(
                    "cannot save state; retrying at the next save",
                    extra={"signal": signal.signal.name, "error": error.message},
                )
                return

    @property
    def _leads(self) -> bool:
        return self._lease is None or self._lease.held

    async def _load(self) -> None:
        """Load saved state once, at the start. Without it the signals relearn from history."""
        self._loaded = True
        if self._storage is None:
            return
        try:
            for signal in self.signals:
                state = await self._storage.load(signal.signal.name)
                if state is not None:
                    signal.restore(state)
        except SourceError as error:
            logger.warning("cannot load saved state; relearning from history", extra={"error": error.message})

    def _export(self) -> None:
        if not self._leads:
            self._exports.end()
            return
        judged, skipped = report(self.signals, self._exports)
        self._instruments.set(c.ANALYZER_SERIES, judged, **_LABEL)
        for reason, count in skipped.items():
            self._instruments.inc(c.ANALYZER_SKIPPED, count, reason=reason, **_LABEL)

    def _note_failure(self, signal: str, error: SourceError) -> None:
        if self._check.detail != _NO_ANSWER:
            logger.warning("cannot read a signal", extra={"signal": signal, "error": error.message})
        self._check = Check(False, _NO_ANSWER)


def _storage(settings: RegressionSettings) -> StateStorage | None:
    if settings.state is not None:
        return FolderStorage(settings.state)
    if settings.redis_url is None:
        return None
    return RedisStorage(
        settings.redis_url,
        password=settings.redis_password,
        prefix=settings.redis_prefix,
        # state older than the history that is read would be discarded anyway
        expire_seconds=settings.history_seconds,
    )
