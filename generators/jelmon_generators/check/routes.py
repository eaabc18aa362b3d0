"""Routes: they group by labels that their alerts have, and notify somebody."""

from collections.abc import Sequence

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.checks import GROUPING, REACH
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.model.underline import underlined

ROUTE_LABELS = frozenset(
    {"alertname", "rule_id", "severity", "team", "escalation", "escalation_level", "job", "instance"}
)
"""Labels that any alert can have at Alertmanager."""


def check(bundle: Bundle, compiled: Sequence[Compiled]) -> None:
    """Report what keeps the alerts of a route from being delivered sensibly."""
    for name in bundle.routes:
        routed = [alert_rules for alert_rules in compiled if _matches(name, alert_rules.alert)]
        _check_grouping(name, bundle, routed)
        _check_reach(name, bundle, routed)


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
    for label in route.group_by:
        if routed and label not in labels:
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
