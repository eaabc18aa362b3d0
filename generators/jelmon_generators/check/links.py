"""Where an alert leads: its runbook and its panel exist."""

import os
from pathlib import Path

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.checks import PANEL, RUNBOOK
from jelmon_generators.model.dashboards import panels_of
from jelmon_generators.model.definitions import Alert, Bundle


def check(bundle: Bundle, root: Path) -> None:
    """Report alerts without a runbook, and panels that no dashboard has."""
    runbooks = _files(root / "docs" / "runbooks")
    for alert in bundle.alerts.values():
        if f"{alert.name}.md" not in runbooks:
            RUNBOOK.report(
                alert.fields.at("rule_id"),
                f"alert {alert.name} has no runbook",
                hint=f"write docs/runbooks/{alert.name}.md",
            )
        if alert.panel is not None:
            _check_panel(alert, alert.panel)


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:  # each alert that misses its runbook is reported
        return set()


def _check_panel(alert: Alert, panel: str) -> None:
    place = alert.fields.at("panel")
    if alert.dashboard is None:
        PANEL.report(place, "a panel needs a dashboard", hint="dashboard: pipeline")
    elif panel not in (titles := panels_of(alert.dashboard, alert.objectives)):
        PANEL.report(
            place,
            f"the dashboard {alert.dashboard} has no panel {panel!r}",
            hint=did_you_mean(panel, titles, otherwise="a panel is named by its title"),
        )
