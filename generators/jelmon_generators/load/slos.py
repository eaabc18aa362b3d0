"""``rules/slos.yaml`` to definitions."""

import re
from collections.abc import Mapping

from jelmon.config.strict_yaml import Fields
from jelmon_generators.checks import OBJECTIVE, SELECTOR
from jelmon_generators.model.conditions.comparison import Compare, Operator
from jelmon_generators.model.dashboards import DASHBOARD_UIDS
from jelmon_generators.model.definitions import Slo
from jelmon_generators.model.naming import IDENTIFIER, add
from jelmon_generators.model.settings import Settings
from jelmon_generators.promql.series import FOREIGN, Series

_SELECTOR = re.compile(r"([a-zA-Z_]\w*)(?:\{(.*)\})?")


def read_slos(fields: Fields, settings: Settings, series: Mapping[str, Series]) -> dict[str, Slo]:
    """Return every objective of the file that is valid."""
    slos: dict[str, Slo] = {}
    problems = fields.place.source.problems
    for name, entry in fields.entries("slos"):
        before = len(problems)
        slo = _slo(name, entry)
        entry.done("an objective")
        _check(slo, settings, series)
        if len(problems) == before:
            add(slos, name, slo, entry.place, "objective", IDENTIFIER)
    fields.done("slos.yaml")
    return slos


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
    """Return when a minute is bad; None for an objective over counters."""
    if not entry.has("metric_path"):
        return None
    for name in ("valid", "bad"):
        if entry.text(name, None) is not None:
            OBJECTIVE.report(
                entry.at(name),
                f"an objective has either metric_path or {name}",
                hint="it is over one signal or over two counters",
            )
    return Compare.read_plain(entry, entry.choice("operator", Operator))


def _check(slo: Slo, settings: Settings, series: Mapping[str, Series]) -> None:
    entry = slo.fields
    if not 0 < slo.objective < 1 and entry.has("objective"):
        OBJECTIVE.report(entry.at("objective"), "objective must be a ratio between 0 and 1", hint="99.5 % is 0.995")
    if slo.period_seconds > settings.retention_seconds:
        OBJECTIVE.report(
            entry.at("period"),
            "the period is longer than the retention",
            hint="raise retention in rules/bundle.yaml, and in Prometheus",
        )
    if not slo.by:
        OBJECTIVE.report(
            entry.at("by"), "an objective needs at least one label to group by", hint="for example by: [pipeline]"
        )
    if slo.absent_seconds and not 120 <= slo.absent_seconds <= 86400:
        OBJECTIVE.report(entry.at("absent_after"), "absent_after must be from 2 minutes to a day")
    elif slo.absent_seconds and slo.condition:
        OBJECTIVE.report(
            entry.at("absent_after"),
            "absent_after is for counters only",
            hint="write an alert on the signal with operator: absent",
        )
    elif slo.absent_seconds and not _exposed(slo.valid.split("{")[0], series):
        OBJECTIVE.report(
            entry.at("absent_after"),
            "absent_after needs the job that exposes these series, which is not known",
            hint="declare them in rules/metrics/, with job:",
        )
    if slo.condition is None:
        for field_name, text in (("valid", slo.valid), ("bad", slo.bad)):
            if text and not _SELECTOR.fullmatch(text):
                SELECTOR.report(
                    entry.at(field_name), f"{text!r} is not a counter", hint='write name or name{label="value"}'
                )


def _exposed(name: str, series: Mapping[str, Series]) -> bool:
    """Return whether it is known who exposes a series; one that does not exist is reported elsewhere."""
    return name not in series or (name not in FOREIGN and series[name].job is not None)
