"""What refuses to compile once everything is put together: alerts that cannot fire, reach nobody, or say nothing."""

import re
from collections.abc import Iterable

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.definitions import (
    Absent,
    Alert,
    Bundle,
    Combined,
    Compare,
    Condition,
    Escalation,
    Regression,
    simple_conditions,
)
from jelmon_generators.model.known import Known
from jelmon_generators.model.truth import combinations, holds, leaves
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.expressions import duration, shared

_TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
_ACTION = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_FOR_SECONDS = 86400.0
_ROUTE_LABELS = frozenset(
    {"alertname", "rule_id", "severity", "team", "escalation", "escalation_level", "job", "instance"}
)


def check_conditions(bundle: Bundle, known: Known, analyses: dict[str, Analysis]) -> None:
    """Judge alerts before they are compiled: what follows relies on it."""
    for alert in bundle.alerts.values():
        for condition in (alert.condition, *alert.unless):
            _check_matching(condition, known)
        for reason in alert.unless:
            _check_exception(alert, reason, known)
        for leaf in leaves(alert):
            if isinstance(leaf, Compare):
                _check_thresholds(leaf, known)
            if isinstance(leaf, Absent) and alert.duration_seconds < 2 * bundle.settings.scrape_interval_seconds:
                alert.fields.at("duration_minutes").refuse(
                    "an absence must last for two scrapes at least",
                    hint="one lost scrape is no absence: write duration_minutes: 1 or more",
                )
            if isinstance(leaf, Regression):
                _check_baseline(leaf, bundle)
        if len(leaves(alert)) > 1 and not bundle.signals[alert.signals[0]].group:  # ours are known to be sound
            _check_truth(alert, known, analyses)
        _check_duration(alert, analyses)


def _labels(condition: Condition, known: Known) -> frozenset[str]:
    """The labels that the condition yields, roughly: enough to know what can match."""
    if isinstance(condition, Combined):
        return frozenset.intersection(*(_labels(part, known) for part in condition.parts))
    return frozenset() if isinstance(condition, Absent) else known.labels[condition.signal]


def _check_matching(condition: Condition, known: Known) -> None:
    if not isinstance(condition, Combined):
        return
    for part in condition.parts:
        _check_matching(part, known)
    labels = [_labels(part, known) for part in condition.parts]
    if all(labels) and not frozenset.intersection(*labels) - {"job", "instance"}:
        condition.fields.at(condition.kind).refuse(
            f"the conditions of {condition.kind!r} have no label in common",
            hint="; ".join(
                f"{', '.join(sorted(own)) or 'none'} ({leaf.signal})"
                for part, own in zip(condition.parts, labels, strict=True)
                for leaf in list(simple_conditions(part))[:1]
            ),
        )


def _check_exception(alert: Alert, reason: Condition, known: Known) -> None:
    own, other = _labels(alert.condition, known), _labels(reason, known)
    if own - {"job", "instance"} and other - {"job", "instance"} and not shared(own, other):
        reason.fields.place.refuse("the exception has no label in common with the condition")


def _check_thresholds(leaf: Compare, known: Known) -> None:
    labels = known.labels[leaf.signal]
    if leaf.threshold_from and not shared(labels, known.metric_labels(leaf.threshold_from)):
        leaf.fields.at("threshold_from").refuse(
            f"{leaf.threshold_from} has no label in common with {leaf.signal}",
            hint=f"labels of {leaf.signal}: {', '.join(sorted(labels))}",
        )
    for override in leaf.overrides:
        for name, _ in override.labels:
            if name not in labels:
                underlined(override.place, name).refuse(
                    f"{leaf.signal} has no label {name!r}",
                    hint=did_you_mean(name, labels, otherwise=f"its labels: {', '.join(sorted(labels))}"),
                )


def _check_baseline(leaf: Regression, bundle: Bundle) -> None:
    place = leaf.fields.at("baseline")
    if leaf.window_seconds + 300 > bundle.settings.retention_seconds:
        place.refuse(
            "the baseline's window is longer than what is kept",
            hint=f"retention in rules/bundle.yaml is {duration(bundle.settings.retention_seconds)}",
        )
    most = leaf.window_seconds / bundle.settings.evaluation_interval_seconds
    if leaf.minimum_samples > most:
        place.refuse(f"minimum_samples is more than the window holds ({most:.0f})")
    if not leaf.threshold > 0 or not 0 <= leaf.lower_bound <= leaf.threshold:
        leaf.fields.at("threshold").refuse(
            "a regression needs 0 <= lower_bound <= threshold", hint="as ratios: threshold: 0.1 is 10 %"
        )


def _check_truth(alert: Alert, known: Known, analyses: dict[str, Analysis]) -> None:
    if any(not analyses[leaf.signal].names for leaf in leaves(alert)):
        return  # a constant signal: a heartbeat is meant to fire always
    rows = combinations(alert, known.directions, with_absence=False)
    outcomes = {holds(alert, row, known.directions) for row in rows}
    if outcomes == {False}:
        alert.fields.at("rule_id").refuse("the condition can never hold", hint="look at its parts and at unless")
    elif outcomes == {True}:
        alert.fields.at("rule_id").refuse("the condition always holds", hint="look at its parts: one covers the rest")


def _check_duration(alert: Alert, analyses: dict[str, Analysis]) -> None:
    if alert.duration_seconds > _LONGEST_FOR_SECONDS:
        alert.fields.at("duration_minutes").refuse(
            "nobody waits longer than a day for an alert", hint="use a signal over a longer window"
        )
    ratio = any(analyses[leaf.signal].is_ratio for leaf in leaves(alert) if not isinstance(leaf, Regression))
    if ratio and not alert.duration_seconds:
        alert.fields.at("rule_id").refuse(
            "a ratio without duration_minutes fires on one odd sample", hint="write duration_minutes: 5"
        )
    for leaf in leaves(alert):
        if fragile := analyses[leaf.signal].fragile:
            leaf.fields.at("metric_path").refuse(
                f"{fragile}() changes which series it returns; an alert on it starts anew each time",
                hint="compare every series instead",
            )


def check_compiled(bundle: Bundle, compiled: Iterable[Compiled]) -> None:
    """Judge what was compiled: texts, levels, the graph of inhibition, grouping."""
    compiled = list(compiled)
    labels: frozenset[str] = frozenset().union(*(one.expression.labels for one in compiled))
    for one in compiled:
        _check_texts(one)
        _check_actions(one.alert)
    for name in bundle.routes:
        _check_route(name, bundle, compiled)
    _check_inhibition(bundle)
    for window in bundle.windows.values():
        for label, _ in window.matchers:
            if label not in labels | _ROUTE_LABELS:
                underlined(window.fields.at("matchers"), label).refuse(
                    f"no alert has a label {label!r}", hint=did_you_mean(label, labels | _ROUTE_LABELS)
                )


def _check_route(name: str, bundle: Bundle, compiled: list[Compiled]) -> None:
    """What alerts are grouped by must be a label of some of them, and somebody must be told."""
    route = bundle.routes[name]
    taken = [one for one in compiled if _takes(name, one.alert)]
    labels = _ROUTE_LABELS.union(*(one.expression.labels for one in taken))
    for label in route.group_by:
        if taken and label not in labels:
            underlined(route.fields.at("group_by"), label).refuse(
                f"no alert of the route {name!r} has a label {label!r}", hint=did_you_mean(label, labels)
            )
    told = [channel for channel, _ in (*bundle.everywhere, *route.channels)]
    if name == "critical":  # a log is read by nobody at night
        told = [channel for channel in told if bundle.channels[channel].type != "log"]
    unheard = next((one.alert for one in taken if not one.alert.channels), None)
    if unheard is not None and not told and name != "escalation":  # levels name their own channels
        route.fields.place.refuse(
            f"the route {name!r} tells nobody", hint=f"{unheard.name} goes there: channels: [...], or everywhere: [...]"
        )


def _takes(route: str, alert: Alert) -> bool:
    """Whether alerts of this definition come to a route."""
    match route:
        case "watchdog":
            return alert.rule_id == "watchdog"
        case "escalation":
            return alert.escalation is not None
    return alert.severity == route and alert.rule_id != "watchdog"


def _check_texts(one: Compiled) -> None:
    carried = one.expression.labels | one.rules[0].labels.keys()
    for name in ("summary", "description"):
        for label in _TEMPLATE_LABEL.findall(getattr(one.alert, name)):
            if label not in carried:
                underlined(one.alert.fields.at(name), label).refuse(
                    f"{name}: the alert has no label {label!r}",
                    hint=did_you_mean(label, carried, otherwise=f"its labels: {', '.join(sorted(carried))}"),
                )
        if getattr(one.alert, name).count("{{") != getattr(one.alert, name).count("}}"):
            one.alert.fields.at(name).refuse(f"{name}: a template is not closed")


def _check_actions(alert: Alert) -> None:
    for action in alert.auto_actions:
        if not _ACTION.fullmatch(action):
            underlined(alert.fields.at("auto_actions"), action).refuse(
                f"{action!r} is no action", hint="small letters and '_', for example scale_up"
            )


def _check_inhibition(bundle: Bundle) -> None:
    for alert in bundle.alerts.values():
        for name, place in alert.inhibited_by:
            if name == alert.rule_id:
                place.refuse("an alert cannot hold itself back")
            elif alert.rule_id in _ancestors(name, bundle, {alert.rule_id}):
                place.refuse(f"{alert.rule_id} and {name} hold each other back", hint="one of the two must be heard")


def _ancestors(rule_id: str, bundle: Bundle, seen: set[str]) -> set[str]:
    """What holds back ``rule_id``, directly or not."""
    found: set[str] = set()
    waiting = [rule_id]
    while waiting:
        parents = bundle.alerts[waiting.pop()].inhibited_by
        for name, _ in parents:
            if name in bundle.alerts and name not in found:
                found.add(name)
                waiting.append(name)
    return found if found & seen else set()


def check_escalations(bundle: Bundle) -> None:
    """Judge who is told, and when."""
    interval = bundle.settings.evaluation_interval_seconds
    complete = not bundle.problems  # an alert that could not be read may be the one that uses it
    used = {alert.escalation for alert in bundle.alerts.values()}
    for escalation in bundle.escalations.values():
        if complete and escalation.name not in used:
            escalation.fields.place.refuse(
                f"no alert uses the escalation {escalation.name!r}", hint="name it in an alert, or delete it"
            )
        if not escalation.levels:
            escalation.fields.place.refuse(f"the escalation {escalation.name!r} has no levels")
        _check_levels(escalation, interval)
        _check_reach(escalation, bundle)


def _check_levels(escalation: Escalation, interval: float) -> None:
    before = 0.0
    for level in escalation.levels:
        place = level.fields.at("minutes")
        if level.minutes <= before:
            place.refuse("minutes must rise from level to level")
        if level.minutes * 60 % interval:
            place.refuse(
                f"{level.minutes:g} minutes are not a multiple of the evaluation interval",
                hint=f"levels are due when rules are evaluated, every {duration(interval)}",
            )
        before = level.minutes


def _check_reach(escalation: Escalation, bundle: Bundle) -> None:
    """At least one level must tell somebody, and no level may be empty."""
    reaching = False
    for level in escalation.levels:
        if not level.channels:
            level.fields.place.refuse("the level tells nobody", hint="channels: [...]")
        reaching = reaching or any(
            name in bundle.channels and bundle.channels[name].type != "log" for name, _ in level.channels
        )
    if escalation.levels and not reaching and all(level.channels for level in escalation.levels):
        escalation.fields.place.refuse(
            f"the escalation {escalation.name!r} never reaches anybody", hint="a log is read by nobody at night"
        )
