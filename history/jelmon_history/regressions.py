"""The regression analyzer in simulated time, over what a Prometheus holds of the past.

It judges every minute, as the service does, and exports once in ``interval`` seconds instead of once a minute.
"""

import asyncio
import math
from collections.abc import Iterator

import numpy as np

from jelmon import catalogue as c
from jelmon_analyzers.exports import Exports
from jelmon_analyzers.regression.analyzer import NAME
from jelmon_analyzers.regression.monitored_signal import STEP, MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import Floats, Labels, PrometheusHistory
from jelmon_analyzers.regression.report import report
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_history.columns import Chunk, Columns, Recorder
from jelmon_history.pages.instruments import ColumnInstruments
from jelmon_history.prometheus import Prometheus
from jelmon_history.simulation import CHUNK_SECONDS
from jelmon_history.target import Target

_STEPS_AT_ONCE = 2000


class _Prefetched(PrometheusHistory):
    """The series of each signal, read once from end to end."""

    def __init__(self, prometheus: Prometheus, begin: float, end: float) -> None:
        self._prometheus = prometheus
        self._first, self._last = math.floor(begin / STEP), math.ceil(end / STEP)
        self._series: dict[str, dict[Labels, Floats]] = {}

    async def read(self, expression: str, *, start: float, count: int, step: float) -> dict[Labels, Floats]:
        """Return a part of what was read; moments outside of it are missing."""
        if expression not in self._series:
            self._series[expression] = self._read_all(expression)
        indexes = np.round((start + np.arange(count) * step) / STEP).astype(int) - self._first
        known = (indexes >= 0) & (indexes <= self._last - self._first)
        answer = {}
        for labels, values in self._series[expression].items():
            part = np.full(count, np.nan)
            part[known] = values[indexes[known]]
            if np.isfinite(part).any():
                answer[labels] = part
        return answer

    def _read_all(self, expression: str) -> dict[Labels, Floats]:
        total = self._last - self._first + 1
        series: dict[Labels, Floats] = {}
        for begin in range(0, total, _STEPS_AT_ONCE):
            count = min(_STEPS_AT_ONCE, total - begin)
            part = self._prometheus.read(expression, first=self._first + begin, count=count, step=STEP)
            for labels, values in part.items():
                series.setdefault(labels, np.full(total, np.nan))[begin : begin + count] = values
        return series


def run(
    prometheus: Prometheus, target: Target, *, begin: float, end: float, step: float, interval: float
) -> Iterator[Chunk]:
    """Yield what the analyzer would have exposed between two times (seconds).

    Raises:
        SourceError: a query fails.
    """
    settings = RegressionSettings(history_seconds=max(3 * 86400.0, end - begin + 2 * interval))
    signals = [MonitoredSignal(each, history_seconds=settings.history_seconds) for each in settings.signals]
    history = _Prefetched(prometheus, begin, end)
    columns = Columns()
    instruments = ColumnInstruments(c.Service.ANALYZER, columns, target)
    exports = Exports(instruments)
    recorder = Recorder(columns)
    due = -math.inf
    for number in range(math.ceil(begin / step), math.floor(end / step) + 1):
        time = number * step
        if time >= due or time + step > end:
            due = time + interval
            asyncio.run(_judge(signals, history, time - settings.lag_seconds))
            judged, skipped = report(signals, exports)
            instruments.set(c.ANALYZER_SERIES, judged, analyzer=NAME)
            for reason, count in skipped.items():
                instruments.inc(c.ANALYZER_SKIPPED, count, analyzer=NAME, reason=reason)
        instruments.set(c.ANALYZER_SUCCESS, time, analyzer=NAME)
        recorder.record(time)
        if (time + step) // CHUNK_SECONDS != time // CHUNK_SECONDS:
            yield recorder.take()
    if len(recorder):
        yield recorder.take()


async def _judge(signals: list[MonitoredSignal], history: PrometheusHistory, now: float) -> None:
    for signal in signals:
        await signal.read_new(history, now)
        await signal.read_recent(history, now, STEP)
