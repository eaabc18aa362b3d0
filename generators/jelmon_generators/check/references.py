"""Names that definitions use: everything that they refer to exists, and alerts do not share a name."""

from collections.abc import Iterator, Mapping

from jelmon.config.strict_yaml import Place, did_you_mean
from jelmon_generators.checks import DUPLICATE, REFERENCE, YAML
from jelmon_generators.model.conditions.base import check_range
from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.promql.series import Series


def check(bundle: Bundle, series: Mapping[str, Series]) -> None:
    """Report what does not exist: signals, metrics, channels, escalations, alerts, windows."""
    named: dict[str, Alert] = {}
    for alert in bundle.alerts.values():
        if (first := named.setdefault(alert.name, alert)) is not alert:
            DUPLICATE.report(
                alert.fields.at("rule_id"),
                f"the alert would be named {alert.name}, like {first.rule_id!r}",
                hint=f"at {first.fields.place}",
            )
        for leaf in alert.leaves:
            leaf.check_names(bundle.signals, series)
        _check_alert(alert, bundle)
    for slo in bundle.slos.values():
        if slo.condition is not None and slo.condition.signal in bundle.signals:
            place = slo.condition.fields.at("threshold")
            check_range(slo.condition.threshold, bundle.signals[slo.condition.signal], place)
            slo.condition.check_reach(bundle.signals[slo.condition.signal])
    for name, place in _channels(bundle):
        if name not in bundle.channels:
            REFERENCE.report(place, f"unknown channel {name!r}", hint=did_you_mean(name, bundle.channels))


def _check_alert(alert: Alert, bundle: Bundle) -> None:
    if alert.escalation is not None and alert.escalation not in bundle.escalations:
        REFERENCE.report(
            alert.fields.at("escalation"),
            f"unknown escalation {alert.escalation!r}",
            hint=did_you_mean(alert.escalation, bundle.escalations),
        )
    for name, place in alert.inhibited_by:
        if name not in bundle.alerts:
            REFERENCE.report(place, f"unknown rule_id {name!r}", hint=did_you_mean(name, bundle.alerts))
    for name, place in alert.windows or ():
        if name not in bundle.windows:
            REFERENCE.report(
                place,
                f"unknown window {name!r}",
                hint=did_you_mean(name, bundle.windows, otherwise="windows are declared in rules/windows.yaml"),
            )
        elif bundle.windows[name].route is not None:
            REFERENCE.report(place, f"{name} mutes a whole route", hint="name windows that have matchers")
    if alert.duration_seconds < 0:
        YAML.report(alert.fields.at("duration_minutes"), "duration_minutes is negative")


def _channels(bundle: Bundle) -> Iterator[tuple[str, Place]]:
    yield from bundle.everywhere
    for route in bundle.routes.values():
        yield from route.channels
    for escalation in bundle.escalations.values():
        for level in escalation.levels:
            yield from level.channels
    for alert in bundle.alerts.values():
        yield from alert.channels
