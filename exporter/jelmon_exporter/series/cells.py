"""Series while they are counted: one cell per label set, and the list of cells changed since the last commit.

`prometheus_client` is ten times slower per update and does not track changes, which a checkpoint needs.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import overload

from jelmon.catalogue import LABELS_OVERFLOWED, Counter, Gauge, Histogram, Metric

Key = tuple[str, tuple[str, ...]]
"""A series: the metric's name and the values of its labels, in the order of the catalogue."""

Value = float | tuple[int, tuple[int, ...]] | None
"""What a series holds: a number; sum (in microseconds) and counts for each bucket of a histogram; None for a gauge
that is absent. Whole microseconds add up to the same in any order, which floats do not."""

Exemplar = tuple[str, int, int]
"""A trace id, the duration and the event time, both in microseconds."""

MICRO = 1_000_000
MICROSECOND = timedelta(microseconds=1)
_ZERO = timedelta()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OVERFLOW = "other"
"""The label value of everything above the limit."""


def real(value: str) -> str:
    """Return a label value as exposed. One that looks like `OVERFLOW` gets an apostrophe, so that the two never mix."""
    return f"{value}'" if value.startswith(OVERFLOW) and not value[len(OVERFLOW) :].strip("'") else value


class Cell:
    """A counter or gauge with one label set."""

    __slots__ = ("changed", "changed_at", "dirty", "key", "value")

    def __init__(self, key: Key, changed: "list[Cell | HistogramCell]", value: float | None) -> None:
        self.key = key
        self.value: float | None = value
        self.dirty = True
        self.changed_at = 0.0  # when a change was last drained
        self.changed = changed
        changed.append(self)

    def add(self, amount: float = 1) -> None:
        """Add to the value; a negative amount lowers a gauge."""
        self.value += amount  # type: ignore[operator] # only gauges that are set, never added to, may be absent
        if not self.dirty:
            self.dirty = True
            self.changed.append(self)

    def set(self, value: float | None) -> None:
        """Set a gauge; None makes it absent."""
        if value != self.value:
            self.value = value
            if not self.dirty:
                self.dirty = True
                self.changed.append(self)

    def snapshot(self) -> Value:
        return self.value


class HistogramCell:
    """A histogram of durations with one label set."""

    __slots__ = ("bounds", "changed", "changed_at", "counts", "dirty", "exemplars", "key", "spans", "total")

    def __init__(self, key: Key, changed: "list[Cell | HistogramCell]", bounds: tuple[int, ...]) -> None:
        self.key = key
        self.bounds = bounds
        self.spans = _spans(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars: dict[int, Exemplar] = {}  # by bucket: the newest since they were last drained
        self.total = 0
        self.dirty = True
        self.changed_at = 0.0  # when a change was last drained
        self.changed = changed
        changed.append(self)

    def observe(self, micros: int) -> None:
        """Count a duration in microseconds."""
        self.counts[bisect_left(self.bounds, micros)] += 1
        self.total += micros
        if not self.dirty:
            self.dirty = True
            self.changed.append(self)

    def observe_all(self, durations: list[timedelta]) -> int:
        """Count durations, negative ones as 0; return how many were negative."""
        negative = 0
        if min(durations) < _ZERO:
            negative = sum(duration < _ZERO for duration in durations)
            durations = [max(_ZERO, duration) for duration in durations]
        spans, counts = self.spans, self.counts
        for duration in durations:
            counts[bisect_left(spans, duration)] += 1
        try:
            self.total += sum(durations, _ZERO) // MICROSECOND
        except OverflowError:  # many durations of thousands of years: a producer's clock is at year 1
            self.total += sum(duration // MICROSECOND for duration in durations)
        if not self.dirty:
            self.dirty = True
            self.changed.append(self)
        return negative

    def exemplify(self, micros: int, traceparent: str, time: datetime) -> None:
        """Keep the trace of a counted duration as exemplar of its bucket."""
        parts = traceparent.split("-")
        if len(parts) >= 4 and len(parts[1]) == 32 and parts[1].isalnum():
            self.exemplars[bisect_left(self.bounds, micros)] = (parts[1], micros, (time - _EPOCH) // MICROSECOND)

    def observe_seconds(self, seconds: float) -> None:
        """Count a duration in seconds."""
        self.observe(round(seconds * MICRO))

    def snapshot(self) -> Value:
        return self.total, tuple(self.counts)


class OverflowCell(Cell):
    """The cell of all label values above the limit; it also counts how often it is used."""

    __slots__ = ("spill",)

    def __init__(self, key: Key, changed: "list[Cell | HistogramCell]", value: float | None, spill: Cell) -> None:
        super().__init__(key, changed, value)
        self.spill = spill

    def add(self, amount: float = 1) -> None:
        self.spill.add(abs(amount))
        super().add(amount)


class OverflowHistogramCell(HistogramCell):
    """The histogram of all label values above the limit; it also counts how often it is used."""

    __slots__ = ("spill",)

    def __init__(self, key: Key, changed: "list[Cell | HistogramCell]", bounds: tuple[int, ...], spill: Cell) -> None:
        super().__init__(key, changed, bounds)
        self.spill = spill

    def observe(self, micros: int) -> None:
        self.spill.add()
        super().observe(micros)

    def observe_all(self, durations: list[timedelta]) -> int:
        self.spill.add(len(durations))
        return super().observe_all(durations)


class SeriesTable:
    """The cells of one partition, or of this process, by metric and labels."""

    def __init__(self) -> None:
        self.cells: dict[Key, Cell | HistogramCell] = {}
        self._changed: list[Cell | HistogramCell] = []
        self._dropped: list[Key] = []

    @overload
    def cell(self, metric: Histogram, *labels: str) -> HistogramCell: ...
    @overload
    def cell(self, metric: Counter | Gauge, *labels: str) -> Cell: ...
    def cell(self, metric: Counter | Gauge | Histogram, *labels: str) -> Cell | HistogramCell:
        """Return the cell of a label set, created on first use: counters at 0, gauges absent."""
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has the labels {metric.labels}, got {labels}")
        key = (metric.name, labels)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = self._make(metric, key)
        return cell

    def _make(self, metric: Counter | Gauge | Histogram, key: Key) -> Cell | HistogramCell:
        spill = self.cell(LABELS_OVERFLOWED, metric.name) if OVERFLOW in key[1] else None
        if isinstance(metric, Histogram):
            bounds = _bounds(metric.buckets)
            if spill is None:
                return HistogramCell(key, self._changed, bounds)
            return OverflowHistogramCell(key, self._changed, bounds, spill)
        start = 0 if isinstance(metric, Counter) else None
        return Cell(key, self._changed, start) if spill is None else OverflowCell(key, self._changed, start, spill)

    def drop(self, key: Key) -> None:
        """Drop a series; its cell must not be used any more."""
        cell = self.cells.pop(key)
        cell.dirty = True  # a late update must not bring it back
        self._dropped.append(key)

    def drain(self, now: float = 0.0) -> dict[Key, Value]:
        """Return what changed since the last call, None for dropped series. ``now`` is the time of the change."""
        changes: dict[Key, Value] = dict.fromkeys(self._dropped)
        self._dropped.clear()
        for cell in self._changed:
            if cell.key in self.cells:
                cell.dirty = False
                cell.changed_at = now
                changes[cell.key] = cell.snapshot()
        self._changed.clear()
        return changes

    def drain_exemplars(self, keys: Iterable[Key]) -> dict[Key, dict[int, Exemplar]]:
        """Return the exemplars of these series since the last call; ``keys`` are those that `drain` returned."""
        exemplars: dict[Key, dict[int, Exemplar]] = {}
        for key in keys:
            cell = self.cells.get(key)
            if isinstance(cell, HistogramCell) and cell.exemplars:
                exemplars[key], cell.exemplars = cell.exemplars, {}
        return exemplars

    def restore(self, metric: Metric, labels: tuple[str, ...], value: Value) -> None:
        """Restore a stored value; the cell is not dirty afterwards."""
        if isinstance(metric, Histogram):
            cell = self.cell(metric, *labels)
            assert isinstance(value, tuple)
            cell.total, cell.counts = value[0], list(value[1])
        else:
            assert isinstance(metric, Counter | Gauge)
            assert not isinstance(value, tuple)
            self.cell(metric, *labels).value = value

    def mark_committed(self, keys: Iterable[Key], now: float) -> None:
        """Mark these series as committed: clean until they change again."""
        committed = set(keys)
        for cell in self._changed:
            cell.dirty = cell.key not in committed
            cell.changed_at = now
        self._changed[:] = [cell for cell in self._changed if cell.dirty]


@cache
def _bounds(buckets: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(bound * MICRO) for bound in buckets)


@cache
def _spans(bounds: tuple[int, ...]) -> tuple[timedelta, ...]:
    return tuple(timedelta(microseconds=bound) for bound in bounds)


def closed_sets(metric: Metric, known: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield the label sets that exist once the open labels are known: every combination of the closed ones."""
    choices = [(known[label],) if label in known else metric.closed[label] for label in metric.labels]
    yield from product(*choices)
