"""The metrics of a service as columns: `Instruments` without prometheus_client.

prometheus_client takes 10 microseconds to collect a series; here every value is where the scrape reads it.
"""

import itertools
import math

from jelmon.catalogue import Counter, Gauge, Histogram, Metric, Service, of_service
from jelmon.service.registry import Instruments
from jelmon_history.columns import Columns
from jelmon_history.target import Target

_Key = tuple[str, tuple[str, ...]]


class ColumnInstruments(Instruments):
    """Writes to columns. Histograms are left out: services observe only how long they themselves take."""

    def __init__(self, service: Service, columns: Columns, target: Target) -> None:
        self._columns = columns
        self._target = target
        self._known: dict[_Key, int] = {}
        self._of_metric: dict[str, dict[tuple[str, ...], int]] = {}
        self._opened: set[tuple[str, ...]] = set()
        for metric in of_service(service):
            if metric.labels and set(metric.labels) == set(metric.closed) and not isinstance(metric, Histogram):
                self._open(metric, {})

    def inc(self, metric: Counter, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter."""
        column = self._column(metric, labels)
        self._columns.set(column, self._columns.get(column) + amount)

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._columns.set(self._column(metric, labels), float(value))

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """Do nothing: how long an analysis takes now says nothing about the past."""

    def values(self, metric: Gauge, /) -> dict[tuple[str, ...], float]:
        """Return the value of each series of a gauge, by its label values in declared order."""
        columns = self._of_metric.get(metric.name, {})
        values = {labels: self._columns.get(column) for labels, column in columns.items()}
        return {labels: value for labels, value in values.items() if not math.isnan(value)}

    def forget(self, metric: Metric, /, **labels: str) -> None:
        """Drop one series."""
        self._columns.set(self._column(metric, labels), math.nan)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Raise: there is no text here."""
        raise NotImplementedError(accept)

    def _column(self, metric: Metric, labels: dict[str, str]) -> int:
        """Return the column of a series; one that is new, or was dropped, starts at 0 as in prometheus_client."""
        key = (metric.name, tuple(labels[name] for name in metric.labels))
        column = self._known.get(key)
        if column is None:
            if metric.closed:
                self._open(metric, labels)
            column = self._known.get(key)
        if column is None:
            column = self._create(metric, key)
        if math.isnan(self._columns.get(column)):
            self._columns.set(column, 0.0)
        return column

    def _create(self, metric: Metric, key: _Key) -> int:
        labels = dict(zip(metric.labels, key[1], strict=True))
        column = self._known[key] = self._target.column(self._columns, metric.name, labels)
        self._of_metric.setdefault(metric.name, {})[key[1]] = column
        self._columns.set(column, 0.0)
        return column

    def _open(self, metric: Metric, labels: dict[str, str]) -> None:
        """Create the series of every closed label value, for the given values of the other labels."""
        free = {name: labels[name] for name in metric.labels if name not in metric.closed}
        opened = (metric.name, *free.values())
        if opened in self._opened:
            return
        self._opened.add(opened)
        for values in itertools.product(*metric.closed.values()):
            named = free | dict(zip(metric.closed, map(str, values), strict=True))
            self._create(metric, (metric.name, tuple(named[name] for name in metric.labels)))
