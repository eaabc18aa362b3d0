"""The series that a query may read: those of the catalogue, and some of Prometheus and Alertmanager themselves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from jelmon.catalogue import CATALOGUE, Histogram

TARGET_LABELS = frozenset({"job", "instance"})
"""The labels that Prometheus adds to every scraped series."""
OPTIONAL_LABELS = frozenset({"pod"})
"""Labels that service discovery may add: they may be aggregated away, but not relied on."""


class Series(NamedTuple):
    """What is known about a series."""

    kind: str  # counter, gauge, bucket, recorded
    labels: frozenset[str]
    closed: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # the values that some labels can have
    buckets: tuple[float, ...] = ()  # of a histogram: upper bounds in ascending order, without +Inf
    job: str | None = None  # that exposes it; None: unknown
    family: str = ""  # the histogram or summary that it belongs to, if any


def catalogue_series() -> dict[str, Series]:
    """Return every series of the catalogue."""
    known: dict[str, Series] = {}
    for metric in CATALOGUE:
        labels = frozenset(metric.labels) | TARGET_LABELS
        closed = {label: tuple(map(str, values)) for label, values in metric.closed.items()}
        buckets = metric.buckets if isinstance(metric, Histogram) else ()
        known |= family(metric.kind, metric.name, Series("", labels, closed, buckets, metric.service.job))
    return known


def family(kind: str, name: str, like: Series) -> dict[str, Series]:
    """Return the series of a metric: several for a histogram or a summary."""
    if kind not in ("histogram", "summary"):
        return {name: like._replace(kind=kind)}
    member = like._replace(kind="counter", family=name)
    series = {f"{name}_sum": member, f"{name}_count": member}
    if kind == "histogram":
        return {f"{name}_bucket": member._replace(kind="bucket", labels=like.labels | {"le"}), **series}
    return {name: like._replace(kind="gauge", labels=like.labels | {"quantile"}), **series}


def _foreign(kind: str, labels: str, *names: str) -> dict[str, Series]:
    series = Series(kind, TARGET_LABELS | frozenset(labels.split()))
    servers = ("prometheus", "alertmanager")
    jobs = {name: server for name in names for server in servers if name.startswith(f"{server}_")}
    return {name: series._replace(job=jobs.get(name)) for name in names}


FOREIGN: dict[str, Series] = {
    **_foreign("gauge", "", "up", "scrape_duration_seconds", "scrape_samples_scraped"),
    **_foreign("gauge", "", "prometheus_config_last_reload_successful", "alertmanager_config_last_reload_successful"),
    **_foreign(
        "counter",
        "rule_group",
        "prometheus_rule_evaluation_failures_total",
        "prometheus_rule_group_iterations_missed_total",
    ),
    **_foreign("gauge", "rule_group", "prometheus_rule_group_last_duration_seconds"),
    **_foreign(
        "counter",
        "alertmanager",  # dropped: since Prometheus 3.10
        "prometheus_notifications_dropped_total",
        "prometheus_notifications_errors_total",
        "prometheus_notifications_sent_total",
    ),
    **_foreign("gauge", "", "prometheus_notifications_alertmanagers_discovered"),
    **_foreign("counter", "integration", "alertmanager_notifications_total"),
    **_foreign("counter", "integration reason", "alertmanager_notifications_failed_total"),  # reason: since 0.26
    **_foreign("gauge", "state", "alertmanager_alerts", "alertmanager_silences"),
}
"""Series of Prometheus and Alertmanager themselves that definitions may read."""


MAINTENANCE_ACTIVE = "jelmore:maintenance:active"
FINGERPRINT = "jelmore:rules:fingerprint"
RECORDED: dict[str, Series] = {
    MAINTENANCE_ACTIVE: Series("recorded", TARGET_LABELS | {"window", "scope", "pipeline", "stage", "target"}),
    FINGERPRINT: Series("recorded", frozenset({"instance"})),
}
"""Series that are recorded in addition to the signals, and that definitions may read."""


def known_series() -> dict[str, Series]:
    """Return all that are known without any declaration."""
    return {**catalogue_series(), **FOREIGN, **RECORDED}
