"""Collects what the protobuf parsers of both versions read, series by series, and checks it."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.cache import KeyTable
from jelmon_store.series.labels import METRIC_NAME, LabelError, read_pairs
from jelmon_store.wire import histograms
from jelmon_store.wire.decoded import (
    Decoded,
    ExemplarRow,
    HistogramRow,
    Metadata,
    Refusals,
    WireLimits,
)

_REFUSED = -1
_UNKNOWN = -2
_LATEST_MS = 253_402_300_799_000  # the end of the year 9999


class SeriesParser:
    """Collects series. A series whose labels are refused, or not known yet, has a code below 0."""

    def __init__(self, keys: KeyTable, limits: WireLimits) -> None:
        self._keys = keys
        self.limits = limits
        self.metadata: dict[str, Metadata] = {}
        self.metadata_of: dict[int, Metadata] = {}
        self.refusals = Refusals()
        self._unknown: dict[bytes, dict[str, str]] = {}
        self._codes: list[int] = []
        self._times: list[int] = []
        self._bits: list[int] = []
        self._histograms: list[HistogramRow] = []
        self._exemplars: list[ExemplarRow] = []
        self._starts: set[tuple[int, int]] = set()
        now = int(time.time() * 1000)
        self._latest = min(now + limits.future_ms, _LATEST_MS)
        self._oldest = max(0, now - limits.age_ms) if limits.age_ms is not None else 0
        self._why = ""
        self._waiting = [0, 0, 0]

    def code_of(self, key: bytes, pairs: Callable[[], Iterable[tuple[bytes, bytes]]]) -> int:
        """Return the code of a series by its key; ``pairs`` are its labels as bytes."""
        code = self._keys.code(key)
        if code >= 0:
            return code
        if key in self._unknown:
            return _UNKNOWN
        try:
            labels = read_pairs(pairs(), self.limits.labels)
            if METRIC_NAME not in labels:
                raise LabelError("no metric name (label __name__)")
        except LabelError as error:
            self._why = str(error)
            return _REFUSED
        self._unknown[key] = labels
        return _UNKNOWN

    def add_samples(self, code: int, samples: Sequence[Any], *, start: int) -> None:
        """Add samples of a series; ``start`` is the start time that the series states."""
        if code < 0:
            if code == _UNKNOWN:
                self._waiting[0] += sum(1 for sample in samples if self._is_in_time(sample.timestamp))
            return
        for sample in samples:
            self._codes.append(code)
            self._times.append(sample.timestamp)
            self._bits.append(sample.value)
            begun = sample.start_timestamp or start
            if begun:
                self.add_start(code, begun)

    def add_histograms(self, code: int, payloads: Sequence[bytes], *, start: int) -> None:
        """Add native histograms of a series."""
        for payload in payloads:
            try:
                moment, begun = histograms.parse(payload)
            except ValueError as error:
                self.refusals.add("histogram", str(error))
                continue
            if code == _REFUSED or not self._is_in_time(moment):
                continue
            if code == _UNKNOWN:
                self._waiting[1] += 1
                continue
            self._histograms.append(HistogramRow(code, moment, payload))
            if begun or start:
                self.add_start(code, begun or start)

    def add_exemplar(self, code: int, moment: int, bits: int, labels: str) -> None:
        """Add an exemplar of a series."""
        if code == _REFUSED or not self._is_in_time(moment):
            return
        if code == _UNKNOWN:
            self._waiting[2] += 1
            return
        self._exemplars.append(ExemplarRow(code, moment, bits, labels))

    def is_usable(self, code: int, series: Any) -> bool:
        """Check a series as a whole: it must have samples or histograms, and its labels must be right."""
        if not series.samples and not series.histograms:
            self.refusals.add("empty", "a time series has neither samples nor histograms")
            return False
        if code == _REFUSED:
            count = len(series.samples) + len(series.histograms) + len(series.exemplars)
            self.refusals.add("labels", self._why, count)
            return False
        return True

    def finish(self, codes: NDArray[np.int64], times: NDArray[np.int64], bits: NDArray[np.uint64]) -> Decoded:
        """Return everything, with the samples that were read without this parser."""
        if self._codes:
            codes = np.concatenate([codes, np.array(self._codes, np.int64)])
            times = np.concatenate([times, np.array(self._times, np.int64)])
            bits = np.concatenate([bits, np.array(self._bits, np.uint64)])
        good = (times <= self._latest) & (times >= self._oldest)
        if not good.all():
            for moment in times[~good].tolist():
                self._is_in_time(moment)
            codes, times, bits = codes[good], times[good], bits[good]
        return Decoded(
            codes,
            times,
            bits,
            self._histograms,
            self._exemplars,
            self._starts,
            self.metadata,
            self.metadata_of,
            self.refusals,
            self._unknown,
            (self._waiting[0], self._waiting[1], self._waiting[2]),
        )

    def add_start(self, code: int, start: int) -> None:
        if 0 < start <= _LATEST_MS:
            self._starts.add((code, start))

    def _is_in_time(self, moment: int) -> bool:
        if moment > self._latest:
            self.refusals.add(
                "time", f"the time {moment} is more than {self.limits.future_ms // 1000} s ahead of this machine's"
            )
            return False
        if moment < self._oldest:
            self.refusals.add("time", f"the time {moment} is older than samples are kept, or before 1970")
            return False
        return True
