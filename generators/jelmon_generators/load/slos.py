"""``rules/slos.yaml`` to definitions."""

import re

from jelmon.config.strict_yaml import Fields
from jelmon_generators.load.alerts import read_comparison
from jelmon_generators.model.dashboards import DASHBOARD_UIDS
from jelmon_generators.model.definitions import Bundle, Compare, Operator, Slo
from jelmon_generators.model.naming import IDENTIFIER, add
from jelmon_generators.promql.series import FOREIGN

_SELECTOR = re.compile(r"([a-zA-Z_]\w*)(?:\{(.*)\})?")


def read_slos(bundle: Bundle, fields: Fields) -> None:
    """Every objective of the file."""
    for name, entry in fields.entries("slos"):
        faults = len(bundle.problems)
        slo = _slo(name, entry)
        entry.done("an objective")
        _check(slo, bundle)
        if len(bundle.problems) == faults:
            add(bundle.slos, name, slo, entry.place, "objective", IDENTIFIER)
    fields.done("slos.yaml")


def _slo(name: str, entry: Fields) -> Slo:
    condition = _condition(entry)
    return Slo(
        name=name,
        title=entry.text("title"),
        objective=entry.number("objective"),
        period_seconds=entry.duration("period"),
        valid="" if condition else entry.text("valid").strip(),
        bad="" if condition else entry.text("bad").strip(),
        condition=condition,
        by=tuple(label for label, _ in entry.texts("by")),
        minimum_events=entry.number("minimum_events", 20.0),
        absent_seconds=entry.duration("absent_after", 0.0),
        escalation=entry.text("escalation", None),
        team=entry.text("team", None),
        dashboard=entry.choice("dashboard", DASHBOARD_UIDS, None),
        fields=entry,
    )


def _condition(entry: Fields) -> Compare | None:
    """When a minute is bad, if the objective is over a signal."""
    if not entry.has("metric_path"):
        return None
    for name in ("valid", "bad"):
        if entry.text(name, None) is not None:
            entry.at(name).refuse(
                f"an objective has either metric_path or {name}", hint="by a signal, or by two counters"
            )
    return read_comparison(entry, Operator(entry.choice("operator", Operator)))


def _check(slo: Slo, bundle: Bundle) -> None:
    entry = slo.fields
    if not 0 < slo.objective < 1 and entry.has("objective"):
        entry.at("objective").refuse("an objective is a ratio between 0 and 1", hint="99.5 % is 0.995")
    if slo.period_seconds > bundle.settings.retention_seconds:
        entry.at("period").refuse(
            "the period is longer than what is kept", hint="raise retention in rules/bundle.yaml, and in Prometheus"
        )
    if not slo.by:
        entry.at("by").refuse(
            "an objective counts by at least one label", hint="by: [pipeline], or another label of what is counted"
        )
    if slo.absent_seconds and not 120 <= slo.absent_seconds <= 86400:
        entry.at("absent_after").refuse("absent_after must be from 2 minutes to a day")
    elif slo.absent_seconds and slo.condition:
        entry.at("absent_after").refuse(
            "absent_after is for counters", hint="write an alert on the signal with operator: absent"
        )
    elif slo.absent_seconds and slo.valid.split("{")[0] in FOREIGN:
        entry.at("absent_after").refuse(
            "nobody knows which job should give these series", hint="absent_after is for metrics of the catalogue"
        )
    if slo.condition is None:
        for field_name, text in (("valid", slo.valid), ("bad", slo.bad)):
            if text and not _SELECTOR.fullmatch(text):
                entry.at(field_name).refuse(f"{text!r} is no counter", hint='write name or name{label="value"}')
