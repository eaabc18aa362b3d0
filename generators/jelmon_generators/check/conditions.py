"""Conditions of alerts: they can hold and can stop holding, for labels that match, and for long enough."""

from collections.abc import Mapping

from jelmon_generators.checks import COMMON_LABEL, DURATION, FRAGILE, TRUTH
from jelmon_generators.model.conditions.base import Condition, check_start
from jelmon_generators.model.definitions import Alert, Bundle
from jelmon_generators.model.known import Known
from jelmon_generators.model.truth import truth_table
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, shared

_LONGEST_SECONDS = 86400.0


def check(bundle: Bundle, known: Known, analyses: Mapping[str, Analysis]) -> None:
    """Report conditions that would compile to alerts that never fire, always fire, or flap."""
    for alert in bundle.alerts.values():
        for condition in (alert.condition, *alert.unless):
            condition.check_matching(known)
        for exception in alert.unless:
            _check_exception(alert, exception, known)
        for leaf in alert.leaves:
            leaf.check_values(known, alert.fields.at("duration_minutes"), alert.duration_seconds)
        generated = bundle.signals[alert.signals[0]].group  # those of objectives are sound
        if len(alert.leaves) > 1 and not generated:
            _check_truth(alert, known, analyses)
        _check_duration(alert, analyses)


def _check_exception(alert: Alert, exception: Condition, known: Known) -> None:
    labels, other = alert.condition.labels(known), exception.labels(known)
    if labels - NOT_FOR_MATCHING and other - NOT_FOR_MATCHING and not shared(labels, other):
        COMMON_LABEL.report(exception.fields.place, "the exception has no label in common with the condition")
    jobs = {known.scraped[leaf.signal]["job"] for leaf in (*alert.condition.leaves, *exception.leaves)}
    if len(jobs) > 1:
        check_start(alert.fields.at("duration_minutes"), alert.duration_seconds, known, "the exception is")


def _check_truth(alert: Alert, known: Known, analyses: Mapping[str, Analysis]) -> None:
    if any(not analyses[leaf.signal].names for leaf in alert.leaves):
        return  # a constant signal: a heartbeat is meant to fire always
    outcomes = {fires for _, fires in truth_table(alert, known.directions, with_absence=False)}
    place = alert.fields.at("rule_id")
    if outcomes == {False}:
        TRUTH.report(place, "the condition can never hold", hint="compare its parts with each other and with unless")
    elif outcomes == {True}:
        TRUTH.report(place, "the condition always holds", hint="one of its parts covers what the others exclude")


def _check_duration(alert: Alert, analyses: Mapping[str, Analysis]) -> None:
    if alert.duration_seconds > _LONGEST_SECONDS:
        DURATION.report(
            alert.fields.at("duration_minutes"),
            "duration_minutes is longer than a day",
            hint="use a signal over a longer window",
        )
    ratio = any(analyses[leaf.signal].is_ratio for leaf in alert.leaves if leaf.judges_single_samples)
    if ratio and not alert.duration_seconds:
        FRAGILE.report(
            alert.fields.at("rule_id"),
            "a ratio without duration_minutes fires on a single odd sample",
            hint="write duration_minutes: 5",
        )
    for leaf in alert.leaves:
        if fragile := analyses[leaf.signal].fragile:
            FRAGILE.report(
                leaf.fields.at("metric_path"),
                f"{fragile}() selects other series at every evaluation, which restarts the alert each time",
                hint="compare every series instead",
            )
