"""Links from an alert to its runbook and dashboard, and the labels that every alert carries."""

from jelmon_generators.model.dashboards import DASHBOARD_UIDS, panels_of
from jelmon_generators.model.definitions import Alert
from jelmon_generators.model.settings import Settings


def common_labels(alert: Alert) -> dict[str, str]:
    """Return the labels of every alert. Changing one makes it another alert, so what may change is an annotation."""
    labels = {"rule_id": alert.rule_id, "severity": alert.severity, "team": alert.team}
    if alert.escalation:
        labels["escalation"] = alert.escalation
    return labels


def annotations(alert: Alert, settings: Settings, labels: frozenset[str]) -> dict[str, str]:
    """Return the annotations, for people and the responder."""
    notes = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{settings.runbook_url}/{alert.name}.md",
    }
    if alert.auto_actions:
        notes["auto_actions"] = ",".join(alert.auto_actions)
    if alert.dashboard:
        uid = DASHBOARD_UIDS[alert.dashboard]
        variables = "".join(
            f"&var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in ("pipeline", "stage") if name in labels
        )
        notes["__dashboardUid__"] = uid
        view = ""
        if alert.panel:
            panel = panels_of(alert.dashboard, alert.objectives)[alert.panel]
            notes["__panelId__"] = str(panel)
            view = f"&viewPanel={panel}"
        notes["dashboard_url"] = f"{settings.grafana_url}/d/{uid}?from=now-6h&to=now{variables}{view}"
    return notes
