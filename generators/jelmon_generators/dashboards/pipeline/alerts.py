"""Alerts on the dashboard ``pipeline``: now and over time."""

from grafanalib import core

from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    NO_RULES,
    WARNING,
    go_to,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import timeline
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import PipelinePanel


def rows() -> list[Heading | Line]:
    """Return the row of the alerts."""
    return [
        Heading(102, "Alerts"),
        Line(9, [_alerts_over_time(), _alerts_now()], (14, 10)),
    ]


def _alerts_over_time() -> core.Panel:
    names = "by (alertname, severity)"
    return timeline(
        PipelinePanel.ALERTS_OVER_TIME,
        "Alerts that were pending or firing. Alerts that do not belong to a pipeline are shown for every selection.",
        [
            (
                "{{alertname}} ({{severity}})",
                f"max {names} ({queries.alerts('firing')}) * 2 or max {names} ({queries.alerts('pending')})",
            )
        ],
        words={"1": ("pending", WARNING), "2": ("firing", CRITICAL)},
        no_value="no alerts in this time range",
    )


def _alerts_now() -> core.Panel:
    kept = "by (alertname, severity, pipeline, stage)"
    since = f"{queries.alerts_since()} and ignoring (alertstate) {queries.alerts('firing')}"
    return table(
        PipelinePanel.ALERTS_FIRING,
        "Firing alerts by pipeline and stage, with the time they started. An empty table means that nothing fires or "
        "that no rules are evaluated; in the latter case the tile at the top shows "
        f'"{NO_RULES}".',
        [
            Column(name="alert", label="alertname"),
            Column(name="severity", label="severity", width=90),
            Column(name="pipeline", label="pipeline", width=110),
            Column(
                name="stage",
                label="stage",
                width=110,
                links=[go_to("bottlenecks", "Show this stage", stage="${__data.fields.stage}")],
            ),
            Column(
                name="since",
                query=f"min {kept} ({since}) * 1000",  # Grafana wants milliseconds
                unit="dateTimeFromNow",
                width=130,
            ),
        ],
        no_value="no alert is firing",
        sort_by="since",
    )
