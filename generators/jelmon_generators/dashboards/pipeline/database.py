"""What only PostgreSQL knows, on the dashboard ``pipeline``: alerts that ended."""

from grafanalib import core

from jelmon_generators.dashboards.fields import CRITICAL, DATABASE_ROW, NO_DATABASE, TEXT, WARNING, value_map
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.sql import chosen, sql_table
from jelmon_generators.dashboards.panels.tables import Column
from jelmon_generators.model.dashboards import PipelinePanel

_QUERY = f"""
SELECT starts_at AS started, severity, alertname AS alert, pipeline, stage,
  EXTRACT(EPOCH FROM COALESCE(ends_at, now()) - starts_at) AS lasted,
  COALESCE(closed_by, status) AS ended, notifications
FROM jelmore.alert_history
WHERE $__timeFilter(starts_at) AND {chosen("pipeline", "pipeline")} AND {chosen("stage", "stage")}
  AND escalation_level = 0
ORDER BY starts_at DESC LIMIT 500
""".strip()


def rows() -> list[Heading | Line]:
    """Return the row."""
    return [Heading(131, f"Alert history {DATABASE_ROW}", collapsed=True), Line(9, [_history()])]


def _history() -> core.Panel:
    severities = {"critical": ("critical", CRITICAL), "warning": ("warning", WARNING), "info": ("info", TEXT)}
    return sql_table(
        PipelinePanel.ALERT_HISTORY,
        "Alerts that started in the selected time range, newest first: how long they lasted, and how the end became "
        "known (firing: it has not ended).",
        _QUERY,
        [
            Column(name="started", label="started", width=170),
            Column(name="severity", label="severity", width=90, mappings=value_map(severities)),
            Column(name="alert", label="alert", width=240),
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(name="lasted", label="lasted", unit="s"),
            Column(name="ended", label="ended"),
            Column(name="notifications", label="notifications", unit="locale"),
        ],
        no_value=NO_DATABASE,
        sort_by="started",
    )
