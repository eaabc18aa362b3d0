"""``rules/alerts/*.yaml`` to definitions."""

from jelmon.config.strict_yaml import Fields
from jelmon_generators.model.conditions.kinds import read_condition
from jelmon_generators.model.dashboards import DASHBOARD_UIDS
from jelmon_generators.model.definitions import SEVERITIES, Alert
from jelmon_generators.model.naming import IDENTIFIER, add
from jelmon_generators.model.settings import Settings


def read_alerts(fields: Fields, settings: Settings, alerts: dict[str, Alert]) -> None:
    """Add every alert of the file to ``alerts``, under its ``rule_id``."""
    team = fields.text("team", settings.team)
    dashboard = fields.choice("dashboard", DASHBOARD_UIDS, None)
    for entry in fields.items("alerts"):
        alert = _alert(entry, team=team, dashboard=dashboard)
        if alert is not None:
            add(alerts, alert.rule_id, alert, entry.at("rule_id"), "rule_id", IDENTIFIER)
    fields.done("a file of alerts")


def _alert(entry: Fields, *, team: str, dashboard: str | None) -> Alert | None:
    rule_id = entry.text("rule_id")
    condition = read_condition(entry, top=True)
    limit = entry.number("limit", None)
    alert = None
    if condition is not None:
        alert = Alert(
            rule_id=rule_id,
            summary=entry.text("summary"),
            description=entry.text("description"),
            condition=condition,
            unless=tuple(part for item in entry.items("unless") if (part := read_condition(item)) is not None),
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
