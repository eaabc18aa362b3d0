"""``rules/alerts/*.yaml`` to definitions."""

from dataclasses import replace

from jelmon.config.strict_yaml import Fields
from jelmon_generators.model.dashboards import DASHBOARD_UIDS
from jelmon_generators.model.definitions import (
    SEVERITIES,
    Absent,
    Alert,
    Bundle,
    Combined,
    Compare,
    Condition,
    Operator,
    Outside,
    Override,
    Regression,
)
from jelmon_generators.model.naming import IDENTIFIER, add

_OPERATORS = (*Operator, "outside", "absent", "regression")
_COMBINATIONS = ("all", "any", "n_of_m")


def read_alerts(bundle: Bundle, fields: Fields) -> None:
    """Every alert of the file."""
    team = fields.text("team", bundle.settings.team)
    dashboard = fields.choice("dashboard", DASHBOARD_UIDS, None)
    for entry in fields.items("alerts"):
        alert = _alert(entry, team=team, dashboard=dashboard)
        if alert is not None:
            add(bundle.alerts, alert.rule_id, alert, entry.at("rule_id"), "rule_id", IDENTIFIER)
    fields.done("a file of alerts")


def _alert(entry: Fields, *, team: str, dashboard: str | None) -> Alert | None:
    rule_id = entry.text("rule_id")
    condition = _condition(entry, top=True)
    limit = entry.number("limit", None)
    alert = None
    if condition is not None:
        alert = Alert(
            rule_id=rule_id,
            summary=entry.text("summary"),
            description=entry.text("description"),
            condition=condition,
            unless=tuple(part for item in entry.items("unless") if (part := _condition(item)) is not None),
            duration_seconds=entry.number("duration_minutes", 0.0) * 60,
            keep_firing_seconds=entry.duration("keep_firing_for", 0.0),
            severity=entry.choice("severity", SEVERITIES),
            team=entry.text("team", team),
            auto_actions=tuple(name for name, _ in entry.texts("auto_actions")),
            channels=tuple(entry.texts("channels")),
            escalation=entry.text("escalation", None),
            inhibited_by=tuple(entry.texts("inhibited_by")),
            limit=None if limit is None else int(limit),
            dashboard=entry.choice("dashboard", DASHBOARD_UIDS, dashboard),
            panel=entry.text("panel", None),
            source=entry.place.source.path,
            windows=tuple(entry.texts("windows")) if entry.has("windows") else None,
            fields=entry,
        )
        entry.done("an alert")
    return alert


def _condition(fields: Fields, *, top: bool = False) -> Condition | None:
    """The condition written in these fields; ``top``: they are an alert's, which has other fields besides."""
    written = [name for name in ("metric_path", *_COMBINATIONS) if fields.has(name)]
    if len(written) != 1:
        fields.place.refuse(
            f"a condition has exactly one of metric_path, {', '.join(_COMBINATIONS)}; here are {len(written)}",
            hint="write metric_path (a signal), operator and threshold",
        )
        return None
    condition = _simple(fields) if written[0] == "metric_path" else _combined(fields, written[0])
    if not top:
        fields.done("a condition")
    return condition


def _combined(fields: Fields, kind: str) -> Condition | None:
    parts = tuple(part for item in fields.items(kind) if (part := _condition(item)) is not None)
    if len(parts) < 2:
        fields.at(kind).refuse(f"{kind}: needs at least two conditions")
        return None
    least = {"all": len(parts), "any": 1}.get(kind)
    if least is None:
        least = int(fields.number("n"))
        if not 1 <= least <= len(parts):
            fields.at("n").refuse(f"n must be between 1 and {len(parts)}, the number of conditions")
    return Combined(kind=kind, least=least, parts=parts, fields=fields)


def _simple(fields: Fields) -> Condition:
    signal = fields.text("metric_path")
    operator = fields.choice("operator", _OPERATORS)
    match operator:
        case "absent":
            return Absent(signal=signal, fields=fields)
        case "outside":
            low, high = fields.number("low"), fields.number("high")
            if low >= high:
                fields.at("high").refuse("high must be greater than low")
            return Outside(signal=signal, low=low, high=high, fields=fields)
        case "regression":
            baseline = fields.mapping("baseline") or Fields(fields.place, {}, {})
            condition = Regression(
                signal=signal,
                threshold=fields.number("threshold"),
                lower_bound=baseline.number("lower_bound", 0.0),
                q_value=baseline.number("q_value", 0.05),
                window_seconds=baseline.duration("window", 86400.0),
                minimum_samples=int(baseline.number("minimum_samples", 120)),
                floor=baseline.number("floor", 0.0),
                fields=fields,
            )
            baseline.done("a baseline")
            return condition
        case _:
            return replace(
                read_comparison(fields, Operator(operator)),
                threshold_from=fields.text("threshold_from", None),
                overrides=tuple(_override(item) for item in fields.items("overrides")),
            )


def read_comparison(fields: Fields, operator: Operator) -> Compare:
    """``metric_path`` and ``threshold``."""
    return Compare(
        signal=fields.text("metric_path"),
        operator=operator,
        threshold=fields.number("threshold"),
        fields=fields,
    )


def _override(fields: Fields) -> Override:
    labels = tuple(sorted((name, value) for name, value, _ in fields.plain("labels")))
    if not labels:
        fields.place.refuse("an override needs labels", hint="labels: {pipeline: nightly}")
    override = Override(labels=labels, threshold=fields.number("threshold"), place=fields.place)
    fields.done("an override")
    return override
