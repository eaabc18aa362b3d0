"""One signal and the series it has: reads on, feeds the detector, keeps what was learnt."""

import asyncio
import json
import logging
import struct

import numpy as np

from jelmon_analyzers.regression.prometheus_history import Floats, Labels, PrometheusHistory
from jelmon_analyzers.regression.short_history import RECENT_VALUES, RecentChange, newest_change
from jelmon_analyzers.regression.signals import Signal
from jelmon_analyzers.timeseries.counters import rates
from jelmon_analyzers.timeseries.online.detector import OnlineDetector, Verdicts
from jelmon_analyzers.timeseries.online.time_grid.zone import UTC

logger = logging.getLogger(__name__)

STEP = 60.0
KEPT_LABELS = ("pipeline", "stage")
_FORGET_SECONDS = 3 * 86400.0
_CELLS_AT_ONCE = 50_000
_ROWS_AT_ONCE = 200
_HEAD = struct.Struct(">I")


class MonitoredSignal:
    """All series of one signal. ``verdicts`` are those of the newest minute, one for each of ``keys``."""

    def __init__(self, signal: Signal, *, history_seconds: float, time_zone: str = UTC) -> None:
        self.signal = signal
        self._zone = signal.time_zone or time_zone
        self.keys: list[Labels] = []
        self.detector: OnlineDetector | None = None
        self.verdicts: Verdicts | None = None
        self.values: Floats = np.empty(0)
        """The newest minute's values."""
        self.young: dict[Labels, tuple[float, RecentChange]] = {}
        """When and how series changed that are too young for a baseline."""
        self._history_seconds = history_seconds
        self._seen: dict[Labels, float] = {}

    async def read_on(self, history: PrometheusHistory, now: float) -> int:
        """Read and judge what is new up to ``now``; returns how many minutes that was.

        Raises:
            SourceError: Prometheus does not answer.
        """
        end = now // STEP * STEP
        start = self.detector.time if self.detector is not None else end - self._history_seconds
        if self.detector is not None and end - start > self._history_seconds:  # too long away to go on
            self.detector, self.keys, start = None, [], end - self._history_seconds
        start = start // STEP * STEP
        count = round((end - start) / STEP) + 1
        if count < 1:
            return 0
        # a counter's rate needs the value before the first
        extra = 1 if self.signal.counter else 0
        read = await history.read(self.signal.expr, start=start - extra * STEP, count=count + extra, step=STEP)
        if self.detector is None:
            # nothing is learnt from the time before the first value, and a long one would hold up the first verdict
            known = [int(np.isfinite(values).argmax()) for values in read.values() if np.isfinite(values).any()]
            if not known:
                return 0
            empty = max(0, min(known) - extra)
            read = {labels: values[empty:] for labels, values in read.items()}
            start, count = start + empty * STEP, count - empty
        table = self._table(read, count + extra, start)
        if self.signal.counter:
            table = rates(table, STEP)[1:]
        assert self.detector is not None
        at_once = min(_ROWS_AT_ONCE, max(1, _CELLS_AT_ONCE // max(1, len(self.keys))))
        for number, row in enumerate(table, start=1):
            self.verdicts = self.detector.update_many(row)
            if number % at_once == 0:
                await asyncio.sleep(0)  # health is asked for while a week is learnt
        self.values = table[-1]
        for key, values in zip(self.keys, table.T, strict=True):
            if np.isfinite(values).any():
                self._seen[key] = end
        self._forget(end)
        return count

    async def read_recent(self, history: PrometheusHistory, now: float, step: float) -> None:
        """Look for change points in the last hours of series that are not ready.

        Raises:
            SourceError: Prometheus does not answer.
        """
        self.young = {}
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
                found = newest_change(rates(values, step) if self.signal.counter else values)
                if found is not None:
                    self.young[key] = (start + found.first * step, found)

    def state(self) -> bytes | None:
        """What was learnt, None before anything was."""
        if self.detector is None:
            return None
        head = json.dumps({"expr": self.signal.expr, "keys": self.keys, "seen": [self._seen.get(k) for k in self.keys]})
        coded = head.encode()
        return _HEAD.pack(len(coded)) + coded + self.detector.save()

    def restore(self, state: bytes) -> None:
        """Go on from what was learnt. What cannot be used is logged, and learnt again from history."""
        try:
            (length,) = _HEAD.unpack_from(state)
            head = json.loads(state[_HEAD.size : _HEAD.size + length])
            if head["expr"] != self.signal.expr:
                logger.info("the signal has a new expression: learning anew", extra={"signal": self.signal.name})
                return
            detector = OnlineDetector.load(state[_HEAD.size + length :])
            keys = [tuple((str(name), str(value)) for name, value in key) for key in head["keys"]]
        except (ValueError, KeyError, TypeError, struct.error) as error:
            logger.warning(
                "state cannot be read: learning anew", extra={"signal": self.signal.name, "error": str(error)}
            )
            return
        if detector.zone.name != self._zone:
            logger.info("the signal has a new time zone: learning anew", extra={"signal": self.signal.name})
            return
        detector.worse = self.signal.worse
        self.detector, self.keys = detector, keys
        self._seen = {key: seen for key, seen in zip(keys, head["seen"], strict=True) if seen is not None}

    def _table(self, read: dict[Labels, Floats], count: int, start: float) -> Floats:
        """Values by time and series; series that are new get their place in the detector."""
        named: dict[Labels, Floats] = {}
        for labels, values in read.items():
            kept = _kept(labels)
            if kept in named:  # labels that we do not keep told them apart
                with np.errstate(invalid="ignore"):
                    values = np.fmax(named[kept], values)
            named[kept] = values
        new = sorted(named.keys() - set(self.keys))
        if self.detector is None:
            self.keys = new
            self.detector = OnlineDetector(len(new), STEP, start, worse=self.signal.worse, zone=self._zone)
        elif new:
            self.detector = self.detector.rearranged([*range(len(self.keys)), *[None] * len(new)])
            self.keys += new
        missing = np.full(count, np.nan)
        return np.stack([named.get(key, missing) for key in self.keys], axis=1)

    def _forget(self, now: float) -> None:
        """Drop series that have told nothing for days."""
        kept = [place for place, key in enumerate(self.keys) if now - self._seen.get(key, now) < _FORGET_SECONDS]
        if len(kept) == len(self.keys) or not kept or self.detector is None or self.verdicts is None:
            return
        self.detector = self.detector.rearranged(kept)
        self.keys = [self.keys[place] for place in kept]
        self._seen = {key: self._seen[key] for key in self.keys if key in self._seen}
        self.values = self.values[kept]
        score, change, lower, upper, severe = self.verdicts
        self.verdicts = Verdicts(score[kept], change[kept], lower[kept], upper[kept], severe[kept])


def _kept(labels: Labels) -> Labels:
    known = dict(labels)
    return tuple((name, known.get(name, "")) for name in KEPT_LABELS)
