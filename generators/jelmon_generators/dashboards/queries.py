"""PromQL built from catalogue metrics: a panel cannot use a name or label that no service exposes.

Every selector carries ``job=~"$job"`` and ``instance=~"$instance"``, and the dashboard's ``$pipeline`` and ``$stage``
where the metric has those labels. All replicas of the exporter expose the same values, so an aggregation takes the rate
first, then one replica (``max without (instance, pod)``), then the sum.
"""

from collections.abc import Callable

from jelmon.catalogue import REGRESSION_EARLY_WARNING, REGRESSION_SEVERE, Counter, Gauge, Histogram, Metric

RATE_WINDOW = "$__rate_interval"
"""For rates per second of what happens all the time. It shrinks with the time range, so a count, a ratio, a percentile
or a pace must not use it: over a minute that holds two cards all of them are noise."""

WINDOW = "15m"
"""The window of counts, ratios, percentiles and paces that no alert is compared with."""

ALERTS = "ALERTS"
ALERTS_SINCE = "ALERTS_FOR_STATE"
PROMETHEUS_SERIES = (ALERTS, ALERTS_SINCE)
"""Series that Prometheus writes for alerts: the only series here that are not in the catalogue. They have the alert's
labels: one over aggregated replicas has no ``instance``, one on an absent series no ``job``. They are therefore not
filtered by job and instance."""

RECORDED = "jelmore:"
"""How the names of recorded signals begin."""

BY_STAGE = ("pipeline", "stage")
OR_OF_NO_STAGE = "=~$stage|"
BY_SIGNAL = ("signal", "pipeline", "stage")
BAD_OUTCOMES = "=~failure|error|timeout"
JUDGED_OUTCOMES = "!~cancelled|skipped"
"""Cancelled and skipped cards say nothing about success."""

_VARIABLES = ("pipeline", "stage")  # labels that are also dashboard variables
_OPERATORS = ("=~", "!~", "!=")


def matcher(label: str, condition: str) -> str:
    """Return a label matcher. A condition may begin with ``=~``, ``!~`` or ``!=``; otherwise it is equality."""
    operator = next((operator for operator in _OPERATORS if condition.startswith(operator)), "")
    return f'{label}{operator or "="}"{condition.removeprefix(operator)}"'


def select(metric: Metric, *, suffix: str = "", **where: str) -> str:
    """Return a selector for one series of the metric.

    Raises:
        ValueError: the metric has no such series, label or (for a closed set) label value.
    """
    name = metric.name + suffix
    if name not in metric.series:
        raise ValueError(f"{metric.name} has no series {name}; it has {', '.join(metric.series)}")
    for label, condition in where.items():
        _check_label(metric, label)
        _check_values(metric, label, condition)
    matchers = [matcher(label, condition) for label, condition in where.items()]
    matchers += [matcher(label, f"=~${label}") for label in _VARIABLES if label in metric.labels and label not in where]
    matchers += ['job=~"$job"', 'instance=~"$instance"']
    return f"{name}{{{', '.join(matchers)}}}"


def gauge(
    metric: Gauge,
    *,
    by: tuple[str, ...] = (),
    how: str = "sum",
    over: str = "",
    window: str = RATE_WINDOW,
    offset: str = "",
    **where: str,
) -> str:
    """Return the value of a gauge. ``over`` (``avg``, ``max``) aggregates over a window: by default up to a minute."""
    series = select(metric, **where)
    inner = f"{over}_over_time({series}[{window}]{_offset(offset)})" if over else series + _offset(offset)
    return _aggregate(metric, inner, by=by, how=how)


def rate(counter: Counter, *, by: tuple[str, ...] = (), **where: str) -> str:
    """Return the rate of a counter, per second."""
    return _aggregate(counter, f"rate({select(counter, **where)}[{RATE_WINDOW}])", by=by)


def per_hour(counter: Counter, *, by: tuple[str, ...] = (), window: str = WINDOW, **where: str) -> str:
    """Return the pace of a counter per hour, over a window."""
    return f"{3600 / duration_seconds(window):g} * {increase(counter, window, by=by, **where)}"


def count(counter: Counter, window: str, *, by: tuple[str, ...] = (), offset: str = "", **where: str) -> str:
    """Return how often something happened in a window: a whole number, although an increase is extrapolated."""
    return f"round({increase(counter, window, by=by, offset=offset, **where)})"


def increase(counter: Counter, window: str, *, by: tuple[str, ...] = (), offset: str = "", **where: str) -> str:
    """Return the increase of a counter in a window."""
    return _aggregate(counter, f"increase({select(counter, **where)}[{window}]{_offset(offset)})", by=by)


def quantile(
    share: float,
    histogram: Histogram,
    *,
    by: tuple[str, ...] = (),
    window: str = WINDOW,
    offset: str = "",
    **where: str,
) -> str:
    """Return a quantile of the observations in a window; no value, instead of NaN, without observations."""
    buckets = _growth(histogram, "_bucket", by=(*by, "le"), window=window, offset=offset, **where)
    return f"histogram_quantile({share}, {buckets}) >= 0"


def buckets(histogram: Histogram, window: str, **where: str) -> str:
    """Return how many observations fell into each bucket in a window, for a heat map."""
    return _growth(histogram, "_bucket", by=("le",), window=window, offset="", **where)


def mean(
    histogram: Histogram, *, by: tuple[str, ...] = (), window: str = WINDOW, offset: str = "", **where: str
) -> str:
    """Return the mean of the observations in a window."""
    total = _growth(histogram, "_sum", by=by, window=window, offset=offset, **where)
    return ratio(total, _growth(histogram, "_count", by=by, window=window, offset=offset, **where))


def total_time(histogram: Histogram, *, by: tuple[str, ...] = (), window: str = WINDOW, **where: str) -> str:
    """Return the sum of the observations in a window."""
    return _growth(histogram, "_sum", by=by, window=window, offset="", **where)


def age(timestamp: Gauge, *, by: tuple[str, ...] = (), how: str = "max", **where: str) -> str:
    """Return the seconds since a timestamp; ``how`` selects the newest (``max``) or the oldest (``min``)."""
    return f"time() - {_aggregate(timestamp, select(timestamp, **where), by=by, how=how)}"


def ratio(part: str, whole: str) -> str:
    """Return a ratio; no value, instead of NaN, where ``whole`` is 0."""
    return f"{part} / ({whole} > 0)"


def relative_change(build: Callable[[str], str], window: str) -> str:
    """Return the relative change from one window earlier. ``build`` makes the value for an offset."""
    return f"({build('')}) / (({build(window)}) > 0) - 1"


def difference(build: Callable[[str], str], window: str) -> str:
    """Return the difference from one window earlier. ``build`` makes the value for an offset."""
    return f"({build('')}) - ({build(window)})"


def named(by_stage: str) -> str:
    """Add the label ``name``, "pipeline / stage", to a query by stage."""
    return f'label_join({by_stage}, "name", " / ", "pipeline", "stage")'


def of_signals(metric: Gauge, *, over: str = "", window: str = RATE_WINDOW) -> str:
    """Return a gauge of the regression analyzer by signal. Signals of whole pipelines are shown for every stage."""
    return gauge(metric, by=BY_SIGNAL, how="max", over=over, window=window, stage=OR_OF_NO_STAGE)


def announced(metric: Gauge) -> str:
    """Return a gauge of the regression analyzer, for signals that are currently worse than their baseline."""
    worse = " or ".join(f"{of_signals(verdict)} > 0" for verdict in (REGRESSION_EARLY_WARNING, REGRESSION_SEVERE))
    return f"({of_signals(metric)} and on ({', '.join(BY_SIGNAL)}) ({worse}))"


def alerts(state: str, *, severity: str = "!=none", rule_id: str = "!=") -> str:
    """Return our alerts in one state, without their escalation levels.

    Alerts that do not belong to a pipeline (host, exporter) are shown for every selection.
    """
    return f"{ALERTS}{{{_alert_matchers(severity, alertstate=state, rule_id=rule_id)}}}"


def alerts_since() -> str:
    """Return when each of our alerts became active, in seconds since 1970."""
    return f"{ALERTS_SINCE}{{{_alert_matchers('!=none')}}}"


def recorded(signal: str, *labels: str) -> str:
    """Return a signal as an alert compares it. ``labels`` are those of the signal that are dashboard variables.

    Recorded signals are not filtered by job and instance: many are merged from several replicas.
    """
    matchers = ", ".join(matcher(label, f"=~${label}") for label in labels)
    return f"{RECORDED}{signal}{{{matchers}}}" if matchers else f"{RECORDED}{signal}"


def _alert_matchers(severity: str, **where: str) -> str:
    conditions = {"severity": severity, "rule_id": "!=", **where, "escalation_level": "", "pipeline": "=~$pipeline|"}
    return ", ".join(matcher(label, condition) for label, condition in conditions.items())


def _growth(histogram: Histogram, suffix: str, *, by: tuple[str, ...], window: str, offset: str, **where: str) -> str:
    series = select(histogram, suffix=suffix, **where)
    return _aggregate(histogram, f"increase({series}[{window}]{_offset(offset)})", by=by)


def _aggregate(metric: Metric, inner: str, *, by: tuple[str, ...], how: str = "sum") -> str:
    for label in by:
        _check_label(metric, label)
    grouping = f" by ({', '.join(by)}) " if by else ""
    return f"{how}{grouping}(max without (instance, pod) ({inner}))"


def duration_seconds(window: str) -> int:
    """Return the seconds of a duration of one unit: ``15m``."""
    return int(window[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[window[-1]]


def _offset(offset: str) -> str:
    return f" offset {offset}" if offset else ""


def _check_label(metric: Metric, label: str) -> None:
    if label not in metric.series_labels:
        raise ValueError(f"{metric.name} has no label {label!r}; it has {', '.join(metric.series_labels) or 'none'}")


def _check_values(metric: Metric, label: str, condition: str) -> None:
    allowed = metric.closed.get(label)
    values = condition.removeprefix("=~").removeprefix("!~").removeprefix("!=").split("|")
    unknown = [value for value in values if allowed is not None and value not in allowed]
    if unknown:
        raise ValueError(f"{metric.name}: {label} is never {unknown[0]!r}; it is one of {', '.join(allowed or ())}")
