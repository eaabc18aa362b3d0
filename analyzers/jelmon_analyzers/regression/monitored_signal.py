"""A signal and its series: reads new history, feeds the detector, and saves what was learned."""

import asyncio
import json
import logging
import struct

import numpy as np

from jelmon_analyzers.regression.prometheus_history import Floats, Labels, PrometheusHistory
from jelmon_analyzers.regression.short_history import RECENT_VALUES, RecentChange, newest_change
from jelmon_analyzers.regression.signals import Signal
from jelmon_analyzers.timeseries.counters import rates
from jelmon_analyzers.timeseries.online.detector import OnlineDetector
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC
from jelmon_analyzers.timeseries.online.verdicts import Verdicts

logger = logging.getLogger(__name__)

STEP = 60.0
KEPT_LABELS = ("pipeline", "stage")
_FORGET_SECONDS = 3 * 86400.0
_CELLS_AT_ONCE = 50_000
_ROWS_AT_ONCE = 200
_HEAD = struct.Struct(">I")
"""Length of the JSON head that precedes the state of the detector."""


class MonitoredSignal:
    """All series of a signal, judged minute by minute."""

    def __init__(self, signal: Signal, *, history_seconds: float, time_zone: str = UTC) -> None:
        self.signal = signal
        self._zone = signal.time_zone or time_zone
        self.keys: list[Labels] = []
        """The kept labels of each series, in the order of the detector."""
        self.detector: OnlineDetector | None = None
        self.verdicts: Verdicts | None = None
        """Verdicts on the newest minute, one per key."""
        self.values: Floats = np.empty(0)
        """Values of the newest minute, one per key."""
        self.recent_changes: dict[Labels, tuple[float, RecentChange]] = {}
        """Unix time and size of changes in series with too little history for a baseline."""
        self._history_seconds = history_seconds
        self._seen: dict[Labels, float] = {}
        """When each series last had a value."""

    async def read_new(self, history: PrometheusHistory, now: float) -> int:
        """Read and judge the minutes since the last call up to ``now``; return how many there were.

        The first call learns from ``history_seconds`` of history, as does one after a longer interruption.

        Raises:
            SourceError: Prometheus does not answer or refuses the expression.
        """
        end = now // STEP * STEP
        start = self.detector.time if self.detector is not None else end - self._history_seconds
        if self.detector is not None and end - start > self._history_seconds:
            self.detector, self.keys, start = None, [], end - self._history_seconds
        start = start // STEP * STEP
        count = round((end - start) / STEP) + 1
        if count < 1:
            return 0
        # the first rate of a counter needs the value before
        extra = 1 if self.signal.counter else 0
        series = await history.read(self.signal.expr, start=start - extra * STEP, count=count + extra, step=STEP)
        if self.detector is None:
            # a long time without values would only delay the first verdict
            empty = _empty_values(series, extra)
            if empty is None:
                return 0
            series = {labels: values[empty:] for labels, values in series.items()}
            start, count = start + empty * STEP, count - empty
        self._add_series(series, start)
        table = self._table(series, count + extra)
        if self.signal.counter:
            table = rates(table, STEP)[1:]
        await self._judge(table, end)
        self._forget(end)
        return count

    async def read_recent(self, history: PrometheusHistory, now: float, step: float) -> None:
        """Search the last values, ``step`` seconds apart, of series that are not ready for change points.

        Raises:
            SourceError: Prometheus does not answer or refuses the expression.
        """
        self.recent_changes = {}
        detector = self.detector
        waiting = (
            set(self.keys)
            if detector is None
            else {key for key, ready in zip(self.keys, detector.ready, strict=True) if not ready}
        )
        if not waiting:
            return
        count = RECENT_VALUES
        start = now // step * step - (count - 1) * step
        for labels, values in (await history.read(self.signal.expr, start=start, count=count, step=step)).items():
            key = _kept(labels)
            if key in waiting:
                change = newest_change(rates(values, step) if self.signal.counter else values)
                if change is not None:
                    self.recent_changes[key] = (start + change.first * step, change)

    def state(self) -> bytes | None:
        """Return what was learned, None before the first minute."""
        if self.detector is None:
            return None
        head = json.dumps({"expr": self.signal.expr, "keys": self.keys, "seen": [self._seen.get(k) for k in self.keys]})
        coded = head.encode()
        return _HEAD.pack(len(coded)) + coded + self.detector.save()

    def restore(self, state: bytes) -> None:
        """Continue from saved state. State that cannot be used is logged and ignored: the signal relearns."""
        try:
            (length,) = _HEAD.unpack_from(state)
            head = json.loads(state[_HEAD.size : _HEAD.size + length])
            if head["expr"] != self.signal.expr:
                logger.info("expression changed; relearning from history", extra={"signal": self.signal.name})
                return
            detector = OnlineDetector.load(state[_HEAD.size + length :])
            keys = [tuple((str(name), str(value)) for name, value in key) for key in head["keys"]]
        except (ValueError, KeyError, TypeError, struct.error) as error:
            logger.warning(
                "saved state is unreadable; relearning from history",
                extra={"signal": self.signal.name, "error": str(error)},
            )
            return
        if detector.zone != self._zone:
            logger.info("time zone changed; relearning from history", extra={"signal": self.signal.name})
            return
        detector.worse = self.signal.worse
        self.detector, self.keys = detector, keys
        self._seen = {key: seen for key, seen in zip(keys, head["seen"], strict=True) if seen is not None}

    def _add_series(self, series: dict[Labels, Floats], start: float) -> None:
        """Give new series a place in the detector, which begins at ``start`` if there is none yet."""
        new = sorted({_kept(labels) for labels in series} - set(self.keys))
        if self.detector is None:
            self.keys = new
            self.detector = OnlineDetector(len(new), STEP, start, worse=self.signal.worse, zone=self._zone)
        elif new:
            self.detector = self.detector.rearranged([*range(len(self.keys)), *[None] * len(new)])
            self.keys += new

    def _table(self, series: dict[Labels, Floats], count: int) -> Floats:
        """Return values by time and series, in the order of ``keys``, NaN for missing."""
        merged: dict[Labels, Floats] = {}
        for labels, values in series.items():
            key = _kept(labels)
            if key in merged:  # series that differ only in labels that are not kept
                with np.errstate(invalid="ignore"):
                    values = np.fmax(merged[key], values)
            merged[key] = values
        missing = np.full(count, np.nan)
        return np.stack([merged.get(key, missing) for key in self.keys], axis=1)

    async def _judge(self, table: Floats, end: float) -> None:
        """Feed rows to the detector, with pauses: /health must answer while the detector learns a week."""
        assert self.detector is not None
        at_once = min(_ROWS_AT_ONCE, max(1, _CELLS_AT_ONCE // max(1, len(self.keys))))
        for number, row in enumerate(table, start=1):
            self.verdicts = self.detector.update_many(row)
            if number % at_once == 0:
                await asyncio.sleep(0)
        self.values = table[-1]
        for key, values in zip(self.keys, table.T, strict=True):
            if np.isfinite(values).any():
                self._seen[key] = end

    def _forget(self, now: float) -> None:
        """Drop series without a value for days."""
        kept = [index for index, key in enumerate(self.keys) if now - self._seen.get(key, now) < _FORGET_SECONDS]
        if len(kept) == len(self.keys) or not kept or self.detector is None or self.verdicts is None:
            return
        self.detector = self.detector.rearranged(kept)
        self.keys = [self.keys[index] for index in kept]
        self._seen = {key: self._seen[key] for key in self.keys if key in self._seen}
        self.values = self.values[kept]
        score, change, lower, upper, severe = self.verdicts
        self.verdicts = Verdicts(score[kept], change[kept], lower[kept], upper[kept], severe[kept])


def _empty_values(series: dict[Labels, Floats], extra: int) -> int | None:
    """Return how many values to skip before the first known one, ``extra`` of which stay; None without any."""
    known = [int(np.isfinite(values).argmax()) for values in series.values() if np.isfinite(values).any()]
    return max(0, min(known) - extra) if known else None


def _kept(labels: Labels) -> Labels:
    known = dict(labels)
    return tuple((name, known.get(name, "")) for name in KEPT_LABELS)
