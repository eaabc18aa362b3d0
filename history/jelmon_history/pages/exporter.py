"""The exporter's page: its own counting, and each series that changed as numbers.

One ledger counts all partitions: what the exporter exposes is the sum over them.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from jelmon import __version__
from jelmon import catalogue as c
from jelmon.errors import EventError
from jelmon.events import Event
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.series.cells import MICRO, Key, SeriesTable, Value
from jelmon_exporter.series.text import utf8
from jelmon_exporter.serving.view import View
from jelmon_history.columns import Columns
from jelmon_history.target import Target

_PART = "history"
_NAN = float("nan")


class ExporterPage:
    """Counts events; `collect` brings the columns to what a scrape would show."""

    def __init__(self, columns: Columns, target: Target, *, limits: Limits, source: str = "jetstream") -> None:
        """Set up an exporter that has seen nothing. ``source`` is the event source that it reports as connected."""
        self._columns = columns
        self._target = target
        self._ledger = Ledger(limits=limits, admission=Admission(limits.label_values))
        self._tracker = Tracker(self._ledger)
        self._view = View()
        self._first: dict[Key, int] = {}  # the first column of each series
        self._process = SeriesTable()
        self._process.cell(c.EXPORTER_INFO, __version__, "memory").set(1)
        self._process.cell(c.SOURCE_UP, source).set(1)
        self._process.cell(c.STATE_STORE_UP).set(1)
        self._last_event = self._process.cell(c.LAST_EVENT)
        self._collected = self._process.cell(c.COLLECTED)

    def count(self, events: Sequence[Event], arrived: float) -> None:
        """Count events; the last of them arrived at ``arrived`` (seconds)."""
        self._ledger.now = arrived
        self._tracker.apply(events)
        self._last_event.set(arrived)

    def park(self, error: EventError) -> None:
        """Count an event that cannot be read."""
        self._ledger.parked[error.reason].add()

    def collect(self, now: float) -> None:
        """Let time pass, as the exporter does between events, and update the columns."""
        self._ledger.now = now
        changes = drain(self._ledger)
        self._collected.set(now)
        process = self._process.drain(now)
        changed: list[Key] = [*changes.series, *process]
        self._view.update(_PART, changes.series)
        self._view.update("process", process)
        if changes.declared:
            before = self._view.contribution("declared")
            self._view.declare(_PART, changes.declared)
            changed += before | self._view.contribution("declared")
        for name, labels in changed:
            family = self._view.families.get(name)
            if family is not None:
                exposed = family.get(labels)
                self._write((name, labels), self._view.merged(exposed) if exposed is not None else None)

    def _write(self, key: Key, value: Value) -> None:
        first = self._first.get(key)
        if first is None:
            first = self._first[key] = self._new_columns(key)
        if isinstance(value, tuple):
            total, counts = value
            buckets: list[float] = [*accumulate(counts)]
            self._columns.set_range(first, [*buckets, total / MICRO, buckets[-1]])
        elif value is None and isinstance(c.BY_NAME[key[0]], c.Histogram):
            self._columns.set_range(first, [_NAN] * _width(key))
        else:
            self._columns.set(first, _NAN if value is None else value)

    def _new_columns(self, key: Key) -> int:
        """Create the columns of a series: for a histogram its buckets, then sum and count."""
        name, values = key
        metric = c.BY_NAME[name]
        labels = {label: utf8(value) for label, value in zip(metric.labels, values, strict=True)}
        names: Iterable[tuple[str, dict[str, str]]] = [(name, labels)]
        if isinstance(metric, c.Histogram):
            bounds = [*(f"{float(bound)!r}" for bound in metric.buckets), "+Inf"]
            names = [(f"{name}_bucket", labels | {"le": bound}) for bound in bounds]
            names += [(f"{name}_sum", labels), (f"{name}_count", labels)]
        columns = [self._target.column(self._columns, each, own) for each, own in names]
        assert columns == list(range(columns[0], columns[0] + len(columns))), "the columns of a series are adjacent"
        return columns[0]


def _width(key: Key) -> int:
    metric = c.BY_NAME[key[0]]
    return len(metric.buckets) + 3 if isinstance(metric, c.Histogram) else 1
