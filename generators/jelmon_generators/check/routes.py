"""Routes: they group by labels that their alerts have, and notify somebody."""

from collections.abc import Sequence

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.checks import GROUPING, REACH, TIMING
from jelmon_generators.compile.delivery import again_after
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.expressions import duration

ROUTE_LABELS = frozenset(
    {"alertname", "rule_id", "severity", "team", "escalation", "escalation_level", "job", "instance"}
)
"""Labels that any alert can have at Alertmanager."""
EACH_ALONE = "..."
"""Alertmanager's word for grouping by all labels: every alert is notified alone."""


def check(bundle: Bundle, compiled: Sequence[Compiled]) -> None:
    """Report what keeps the alerts of a route from being delivered sensibly."""
    for name in bundle.routes:
        routed = [alert_rules for alert_rules in compiled if _matches(name, alert_rules.alert)]
        _check_grouping(name, bundle, routed)
        _check_reach(name, bundle, routed)
        _check_timing(name, bundle)


def _matches(route: str, alert: Alert) -> bool:
    """Return whether alerts of this definition reach a route."""
    match route:
        case "watchdog":
            return alert.rule_id == "watchdog"
        case "escalation":
            return alert.escalation is not None
    return alert.severity == route and alert.rule_id != "watchdog"


def _check_grouping(name: str, bundle: Bundle, routed: Sequence[Compiled]) -> None:
    route = bundle.routes[name]
    labels = ROUTE_LABELS.union(*(alert_rules.expression.labels for alert_rules in routed))
    if EACH_ALONE in route.group_by and len(route.group_by) > 1:
        GROUPING.report(
            underlined(route.fields.at("group_by"), EACH_ALONE),
            f"{EACH_ALONE!r} groups by all labels and cannot stand beside others",
            hint="write group_by: ['...']",
        )
    for place, label in enumerate(route.group_by):
        if label == EACH_ALONE:
            continue
        if label in route.group_by[:place]:  # Alertmanager refuses it
            GROUPING.report(underlined(route.fields.at("group_by"), label), f"group_by has {label!r} twice")
        elif routed and label not in labels:
            GROUPING.report(
                underlined(route.fields.at("group_by"), label),
                f"no alert of the route {name!r} has a label {label!r}",
                hint=did_you_mean(label, labels),
            )


def _check_reach(name: str, bundle: Bundle, routed: Sequence[Compiled]) -> None:
    if name == "escalation":  # levels name their own channels
        return
    route = bundle.routes[name]
    channels = [channel for channel, _ in (*bundle.everywhere, *route.channels)]
    if name == "critical":  # nobody reads a log at night
        channels = [channel for channel in channels if bundle.channels[channel].type != "log"]
    unheard = next((alert_rules.alert for alert_rules in routed if not alert_rules.alert.channels), None)
    if unheard is not None and not channels:
        REACH.report(
            route.fields.place,
            f"the route {name!r} notifies nobody",
            hint=f"{unheard.name} uses it: write channels: [...], or everywhere: [...]",
        )


def _check_timing(name: str, bundle: Bundle) -> None:
    route, retention = bundle.routes[name], bundle.settings.alertmanager_retention_seconds
    repeat, interval = route.repeat_interval_seconds, route.group_interval_seconds
    if repeat + interval > retention:
        TIMING.report(
            route.fields.at("repeat_interval"),
            f"{duration(repeat)} is longer than Alertmanager remembers a notification ({duration(retention)})",
            hint="shorten it, or raise --data.retention, and alertmanager_retention in rules/bundle.yaml",
        )
    if name == "watchdog" and repeat >= interval:
        TIMING.report(
            route.fields.at("repeat_interval"),
            f"the watchdog is notified only every {duration(again_after(repeat, interval))}: an unchanged group is"
            f" notified again at its first flush after more than repeat_interval",
            hint=f"write less than its group_interval ({duration(interval)}), or leave repeat_interval out",
        )
