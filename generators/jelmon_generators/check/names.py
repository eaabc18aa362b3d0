"""What refuses to compile: names against each other and against the catalogue, before anything is rendered."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from jelmon.config.strict_yaml import Place, did_you_mean
from jelmon_generators.model.channels import CHANNEL_TYPES, OPTIONS_SINCE
from jelmon_generators.model.dashboards import panels_of
from jelmon_generators.model.definitions import Alert, Bundle, Compare, Outside, Signal, Simple, simple_conditions
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.analysis import Analysis, Limits, analyse
from jelmon_generators.promql.series import MAINTENANCE_ACTIVE, TARGET_LABELS, Series
from jelmon_generators.promql.series_text import is_series
from jelmon_generators.targets import Target, Version, written


def check_signals(bundle: Bundle, known: Mapping[str, Series], target: Target) -> dict[str, Analysis]:
    """Judge every signal's expression. Signals build on metrics, not on each other."""
    limits = Limits(bundle.settings.scrape_interval_seconds, bundle.settings.retention_seconds, target)
    analyses = {}
    seen: dict[str, Signal] = {}
    recorded = dict(known)  # what an objective's counts may read besides
    counted_by = frozenset().union(*(slo.by for slo in bundle.slos.values()))
    recorded[MAINTENANCE_ACTIVE] = Series("recorded", known[MAINTENANCE_ACTIVE].labels | counted_by)
    for signal in bundle.signals.values():
        if signal.reads is not None:
            labels, names = signal.reads
            analyses[signal.name] = Analysis(labels=labels, names=dict.fromkeys(names))
            continue
        if (twin := seen.setdefault(" ".join(signal.expr.split()), signal)) is not signal:
            signal.fields.place.refuse(f"the same as {twin.name!r}", hint=f"{twin.fields.place}: use that one")
        analysis = analyses[signal.name] = analyse(signal.expr, recorded if signal.written else known, limits)
        labels = (analysis.labels or frozenset()) | TARGET_LABELS
        recorded[signal.record] = Series("recorded", labels | counted_by if analysis.faults else labels)
        for fault in analysis.faults:
            plain = signal.fields.has("expr")  # else the PromQL was made of something else, and is not to be found
            underlined(signal.place, fault.needle if plain else "").refuse(fault.message, hint=fault.hint)
        if analysis.faults:
            continue
        _check_signal(signal, analysis)
    return analyses


def _check_signal(signal: Signal, analysis: Analysis) -> None:
    place = signal.place
    if analysis.labels is None:
        place.refuse("the expression is a number, not a vector", hint="wrap it: vector(...)")
        return
    if analysis.names and "job" not in analysis.labels and signal.job is None:
        place.refuse(
            "the label 'job' is lost",
            hint="keep it (sum by (job, ...)) so that dashboards can tell installations apart",
        )
    if signal.example is not None:
        for series, _ in signal.example.series:
            if not is_series(series):
                signal.example.place.refuse(f"{series!r} is no series", hint='write name{label="value"}')
    if analysis.compares:
        place.refuse("a signal has no threshold", hint="compare it in an alert: operator and threshold")


def check_alerts(bundle: Bundle, known: Mapping[str, Series], root: Path) -> None:
    """Judge every alert's references."""
    named: dict[str, Alert] = {}
    for alert in bundle.alerts.values():
        if (first := named.setdefault(alert.name, alert)) is not alert:
            alert.fields.at("rule_id").refuse(
                f"the alert would be called {alert.name}, like {first.rule_id!r}", hint=f"at {first.fields.place}"
            )
        for condition in _conditions(alert):
            _check_condition(condition, bundle, known)
        _check_references(alert, bundle)
        if not (root / "docs" / "runbooks" / f"{alert.name}.md").is_file():
            alert.fields.at("rule_id").refuse(
                f"alert {alert.name} has no runbook", hint=f"write docs/runbooks/{alert.name}.md"
            )
    for slo in bundle.slos.values():
        if slo.condition is not None and slo.condition.signal in bundle.signals:
            place = slo.condition.fields.at("threshold")
            _check_range(slo.condition.threshold, bundle.signals[slo.condition.signal], place)
    for name, place in _channel_references(bundle):
        if name not in bundle.channels:
            place.refuse(f"unknown channel {name!r}", hint=did_you_mean(name, bundle.channels))


def _conditions(alert: Alert) -> Iterator[Simple]:
    for condition in (alert.condition, *alert.unless):
        yield from simple_conditions(condition)


def _check_condition(condition: Simple, bundle: Bundle, known: Mapping[str, Series]) -> None:
    signal = bundle.signals.get(condition.signal)
    if signal is None and bundle.signals:  # without any, their file is at fault, and says so
        condition.fields.at("metric_path").refuse(
            f"unknown signal {condition.signal!r}",
            hint=did_you_mean(condition.signal, bundle.signals, otherwise="signals are declared in rules/signals.yaml"),
        )
    if isinstance(condition, Outside) and signal is not None:
        for name, value in (("low", condition.low), ("high", condition.high)):
            _check_range(value, signal, condition.fields.at(name))
    if isinstance(condition, Compare):
        if condition.threshold_from is not None and condition.threshold_from not in known:
            condition.fields.at("threshold_from").refuse(
                f"unknown metric {condition.threshold_from!r}",
                hint=did_you_mean(condition.threshold_from, known, otherwise="docs/metrics.md lists the metrics"),
            )
        elif condition.threshold_from is not None and known[condition.threshold_from].kind != "gauge":
            condition.fields.at("threshold_from").refuse(
                f"{condition.threshold_from} is a {known[condition.threshold_from].kind}",
                hint="a threshold is what a gauge says",
            )
        if signal is not None:
            for value, place in (
                (condition.threshold, condition.fields.at("threshold")),
                *((override.threshold, override.place) for override in condition.overrides),
            ):
                _check_range(value, signal, place)


def _check_range(value: float, signal: Signal, place: Place) -> None:
    if (signal.low is not None and value < signal.low) or (signal.high is not None and value > signal.high):
        low = "-inf" if signal.low is None else f"{signal.low:g}"
        high = "inf" if signal.high is None else f"{signal.high:g}"
        place.refuse(
            f"threshold {value:g} is outside the signal's range",
            hint=f"{signal.name} goes from {low} to {high} ({signal.unit})",
        )


def _check_references(alert: Alert, bundle: Bundle) -> None:
    fields = alert.fields
    if alert.escalation is not None and alert.escalation not in bundle.escalations:
        fields.at("escalation").refuse(
            f"unknown escalation {alert.escalation!r}", hint=did_you_mean(alert.escalation, bundle.escalations)
        )
    if alert.panel is not None and alert.dashboard is None:
        fields.at("panel").refuse("a panel needs a dashboard", hint="dashboard: pipeline")
    elif alert.panel is not None and alert.panel not in (titles := panels_of(alert.dashboard or "")):
        fields.at("panel").refuse(
            f"the dashboard {alert.dashboard} has no panel {alert.panel!r}",
            hint=did_you_mean(alert.panel, titles, otherwise="panels are named by their title"),
        )
    for name, place in alert.inhibited_by:
        if name not in bundle.alerts:
            place.refuse(f"unknown rule_id {name!r}", hint=did_you_mean(name, bundle.alerts))
    for name, place in alert.windows or ():
        if name not in bundle.windows:
            place.refuse(
                f"unknown window {name!r}",
                hint=did_you_mean(name, bundle.windows, otherwise="windows are declared in rules/windows.yaml"),
            )
        elif bundle.windows[name].route is not None:
            place.refuse(f"{name} mutes a whole route", hint="windows: names those that are about labels")
    if alert.duration_seconds < 0:
        fields.at("duration_minutes").refuse("duration_minutes is negative")


def _channel_references(bundle: Bundle) -> Iterator[tuple[str, Place]]:
    yield from bundle.everywhere
    for route in bundle.routes.values():
        yield from route.channels
    for escalation in bundle.escalations.values():
        for level in escalation.levels:
            yield from level.channels
    for alert in bundle.alerts.values():
        yield from alert.channels


def check_channels(bundle: Bundle, alertmanager: Version) -> None:
    """Judge channels against the version of Alertmanager that will read them."""
    for channel in bundle.channels.values():
        since = CHANNEL_TYPES[channel.type].since
        if alertmanager < since:
            channel.fields.at("type").refuse(
                f"channel type {channel.type!r} needs Alertmanager {written(since)}",
                hint=f"the target is {written(alertmanager)}: raise it in rules/bundle.yaml, or use a webhook",
            )
            continue
        for name in channel.options:
            if alertmanager < (since := OPTIONS_SINCE.get(name, alertmanager)):
                channel.fields.at(name).refuse(
                    f"{name} needs Alertmanager {written(since)}",
                    hint=f"the target is {written(alertmanager)}: raise it in rules/bundle.yaml",
                )
