"""PromQL made from catalogue metrics, so that a panel cannot ask for a name or a label that nobody exposes.

Every selector carries ``job=~"$job"`` and ``instance=~"$instance"``, and the dashboard's ``$pipeline`` and ``$stage``
where the metric has those labels. Every replica of the exporter serves the same view, so an aggregation takes the rate
first, then one replica (``max without (instance, pod)``), then the sum.
"""

from collections.abc import Callable

from jelmon.catalogue import REGRESSION_EARLY_WARNING, REGRESSION_SEVERE, Counter, Gauge, Histogram, Metric

RATE_WINDOW = "$__rate_interval"

ALERTS = "ALERTS"
ALERTS_SINCE = "ALERTS_FOR_STATE"
PROMETHEUS_SERIES = (ALERTS, ALERTS_SINCE)
"""What Prometheus itself writes about alerts: the only series here that are not in the catalogue. They have the alert's
labels: an alert over aggregated replicas is of no single ``instance``, one that misses something has no ``job``.
So whoever chooses an instance above the panels still sees every alert."""

BY_STAGE = ("pipeline", "stage")
OR_OF_NO_STAGE = "=~$stage|"
BY_SIGNAL = ("signal", "pipeline", "stage")
BAD_OUTCOMES = "=~failure|error|timeout"
JUDGED_OUTCOMES = "!~cancelled|skipped"
"""A card that somebody cancelled, or that was skipped, says nothing about success."""

_VARIABLES = ("pipeline", "stage")  # labels that are dashboard variables too
_OPERATORS = ("=~", "!~", "!=")


def matcher(label: str, condition: str) -> str:
    """One label matcher. A condition may begin with ``=~``, ``!~`` or ``!=``; otherwise the label must equal it."""
    operator = next((operator for operator in _OPERATORS if condition.startswith(operator)), "")
    return f'{label}{operator or "="}"{condition.removeprefix(operator)}"'


def select(metric: Metric, *, suffix: str = "", **where: str) -> str:
    """A selector of one series of the metric.

    Raises:
        ValueError: the metric has no such series, label or (where its values are a closed set) label value.
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
    **where: str,
) -> str:
    """The value of a gauge. ``over`` (``avg``, ``max``) takes in what was between two points of the graph."""
    series = select(metric, **where)
    return _aggregate(metric, f"{over}_over_time({series}[{window}])" if over else series, by=by, how=how)


def rate(counter: Counter, *, by: tuple[str, ...] = (), **where: str) -> str:
    """How fast a counter grows, per second."""
    return _aggregate(counter, f"rate({select(counter, **where)}[{RATE_WINDOW}])", by=by)


def per_hour(counter: Counter, *, by: tuple[str, ...] = (), **where: str) -> str:
    """How fast a counter grows, per hour: the pace at which people think of cards."""
    return f"3600 * {rate(counter, by=by, **where)}"


def increase(counter: Counter, window: str, *, by: tuple[str, ...] = (), offset: str = "", **where: str) -> str:
    """By how much a counter grew in a window."""
    return _aggregate(counter, f"increase({select(counter, **where)}[{window}]{_offset(offset)})", by=by)


def quantile(
    share: float,
    histogram: Histogram,
    *,
    by: tuple[str, ...] = (),
    window: str = RATE_WINDOW,
    offset: str = "",
    **where: str,
) -> str:
    """A quantile of the observations in a window. No observations give no value instead of NaN."""
    buckets = _growth(histogram, "_bucket", by=(*by, "le"), window=window, offset=offset, **where)
    return f"histogram_quantile({share}, {buckets}) >= 0"


def mean(histogram: Histogram, *, by: tuple[str, ...] = (), window: str = RATE_WINDOW, **where: str) -> str:
    """The mean of the observations in a window."""
    total = _growth(histogram, "_sum", by=by, window=window, offset="", **where)
    return ratio(total, _growth(histogram, "_count", by=by, window=window, offset="", **where))


def total_time(histogram: Histogram, *, by: tuple[str, ...] = (), window: str = RATE_WINDOW, **where: str) -> str:
    """The sum of the observations in a window."""
    return _growth(histogram, "_sum", by=by, window=window, offset="", **where)


def age(timestamp: Gauge, *, by: tuple[str, ...] = (), how: str = "max", **where: str) -> str:
    """Seconds since a moment that a gauge tells; ``how`` picks the newest (``max``) or the oldest (``min``)."""
    return f"time() - {_aggregate(timestamp, select(timestamp, **where), by=by, how=how)}"


def ratio(part: str, whole: str) -> str:
    """One expression as a share of another; no value (instead of NaN) where the whole is 0."""
    return f"{part} / ({whole} > 0)"


def relative_change(build: Callable[[str], str], window: str) -> str:
    """By what share a value differs from the value one window earlier. ``build`` makes the value for an offset."""
    return f"({build('')}) / (({build(window)}) > 0) - 1"


def difference(build: Callable[[str], str], window: str) -> str:
    """By how much a value differs from the value one window earlier. ``build`` makes the value for an offset."""
    return f"({build('')}) - ({build(window)})"


def of_signals(metric: Gauge, *, over: str = "", window: str = RATE_WINDOW) -> str:
    """A gauge of the regression analyzer by signal. Signals of whole pipelines are shown whatever stage is chosen."""
    return gauge(metric, by=BY_SIGNAL, how="max", over=over, window=window, stage=OR_OF_NO_STAGE)


def announced(metric: Gauge) -> str:
    """A gauge of the regression analyzer, of the signals that are worse than usual now."""
    worse = " or ".join(f"{of_signals(verdict)} > 0" for verdict in (REGRESSION_EARLY_WARNING, REGRESSION_SEVERE))
    return f"({of_signals(metric)} and on ({', '.join(BY_SIGNAL)}) ({worse}))"


def alerts(state: str, *, severity: str = "!=none") -> str:
    """Alerts of our rules in one state, without the repeats that stand for escalation levels.

    Alerts that concern no pipeline (the host, the exporter) stay in view whatever pipeline is chosen.
    """
    return f"{ALERTS}{{{_alert_matchers(severity, alertstate=state)}}}"


def alerts_since() -> str:
    """When each alert of our rules became active, in seconds since 1970."""
    return f"{ALERTS_SINCE}{{{_alert_matchers('!=none')}}}"


def _alert_matchers(severity: str, **where: str) -> str:
    conditions = {"severity": severity, **where, "rule_id": "!=", "escalation_level": "", "pipeline": "=~$pipeline|"}
    return ", ".join(matcher(label, condition) for label, condition in conditions.items())


def _growth(histogram: Histogram, suffix: str, *, by: tuple[str, ...], window: str, offset: str, **where: str) -> str:
    function = "rate" if window == RATE_WINDOW else "increase"  # a share of either is the same
    series = select(histogram, suffix=suffix, **where)
    return _aggregate(histogram, f"{function}({series}[{window}]{_offset(offset)})", by=by)


def _aggregate(metric: Metric, inner: str, *, by: tuple[str, ...], how: str = "sum") -> str:
    for label in by:
        _check_label(metric, label)
    grouping = f" by ({', '.join(by)}) " if by else ""
    return f"{how}{grouping}(max without (instance, pod) ({inner}))"


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
