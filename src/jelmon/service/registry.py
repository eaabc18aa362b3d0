"""The metrics that the catalogue declares for one service, as live prometheus_client metrics.

Only declared metrics exist, with exactly their labels. Counters with a closed set of label values start at 0, so that
``increase()`` sees the first event. The exporter has its own registry, which is faster.
"""

import itertools

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from jelmon.catalogue import Counter, Gauge, Histogram, Metric, Service, of_service

_Live = prometheus_client.Counter | prometheus_client.Gauge | prometheus_client.Histogram


class Instruments:
    """The live metrics of one service: `inc` a counter, `set` a gauge, `observe` into a histogram."""

    def __init__(self, service: Service, registry: CollectorRegistry | None = None) -> None:
        # prometheus_client's `_created` series are not in the catalogue and double the number of series
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry if registry is not None else CollectorRegistry()
        self._live = {metric.name: _live(metric, self._registry) for metric in of_service(service)}
        self._opened: set[tuple[str, ...]] = set()
        for metric in of_service(service):
            if metric.labels and set(metric.labels) == set(metric.closed):
                self._open(metric, {})

    def inc(self, metric: Counter, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter."""
        self._child(metric, labels).inc(amount)

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._child(metric, labels).set(value)

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """Observe a value in a histogram."""
        self._child(metric, labels).observe(value)

    def values(self, metric: Gauge, /) -> dict[tuple[str, ...], float]:
        """Return the value of each series of a gauge, by its label values in declared order."""
        (family,) = self._live[metric.name].collect()
        return {tuple(sample.labels[name] for name in metric.labels): sample.value for sample in family.samples}

    def forget(self, metric: Metric, /, **labels: str) -> None:
        """Drop one series."""
        self._live[metric.name].remove(*(labels[name] for name in metric.labels))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type, in the format that the ``Accept`` header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _child(self, metric: Metric, labels: dict[str, str]):  # type: ignore[no-untyped-def] # one of _Live, by metric
        live = self._live[metric.name]
        if not metric.labels:
            return live
        if metric.closed:
            self._open(metric, labels)
        return live.labels(**labels)

    def _open(self, metric: Metric, labels: dict[str, str]) -> None:
        """Create the series of every closed label value, for the given values of the other labels."""
        free = {name: labels[name] for name in metric.labels if name not in metric.closed}
        key = (metric.name, *free.values())
        if key in self._opened:
            return
        self._opened.add(key)
        for values in itertools.product(*metric.closed.values()):
            self._live[metric.name].labels(**free, **dict(zip(metric.closed, values, strict=True)))


def _live(metric: Metric, registry: CollectorRegistry) -> _Live:
    match metric:
        case Counter():
            return prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=registry)
        case Histogram():
            return prometheus_client.Histogram(
                metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
            )
        case _:
            return prometheus_client.Gauge(metric.name, metric.help, metric.labels, registry=registry)
