"""Alerts on the dashboard ``pipeline``: now and over time."""

from grafanalib import core

from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    NO_RULES,
    WARNING,
    go_to,
    value_map,
)
from jelmon_generators.dashboards.panels.graphs import timeline
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import PipelinePanel

_ROW = "by (alertname, pipeline, stage, to_pipeline, to_stage)"
_RANKS = {"critical": 3, "warning": 2, "info": 1}
_PIPELINE, _STAGE = "${__data.fields.to_pipeline}", "${__data.fields.to_stage}"


def alerts_over_time() -> core.Panel:
    """Return the timeline of alerts: pending and firing."""
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


def alerts_now() -> core.Panel:
    """Return the table of firing alerts, critical ones first."""
    since = f"{queries.alerts_since()} and ignoring (alertstate) {queries.alerts('firing')}"
    return table(
        PipelinePanel.ALERTS_FIRING,
        "Firing alerts, critical first, with the time since they started. An empty table means that nothing fires or "
        "that no rules are evaluated; in the latter case the tile of firing alerts shows "
        f'"{NO_RULES}". An alert that does not belong to a pipeline or stage links to all of them.',
        [
            Column(
                name="severity",
                query=" or ".join(
                    f"max {_ROW} ({_linked(queries.alerts('firing', severity=severity))}) * {rank}"
                    for severity, rank in _RANKS.items()
                ),
                unit="none",
                mappings=value_map(
                    {"3": ("critical", CRITICAL), "2": ("warning", WARNING), "1": ("info", "light-blue")}
                ),
                width=75,
            ),
            Column(
                name="alert",
                label="alertname",
                width=190,
                links=[
                    go_to("pipeline", "Show its pipeline", pipeline=_PIPELINE, stage=_STAGE),
                    go_to("bottlenecks", "Show its bottlenecks", pipeline=_PIPELINE, stage=_STAGE),
                ],
            ),
            Column(name="pipeline", label="pipeline", width=85),
            Column(name="stage", label="stage", width=110),
            Column(
                name="since",
                query=f"min {_ROW} ({_linked(since)}) * 1000",  # Grafana wants milliseconds
                unit="dateTimeFromNow",
                width=125,
            ),
            Column(name="to_pipeline", label="to_pipeline", hidden=True),
            Column(name="to_stage", label="to_stage", hidden=True),
        ],
        no_value="no alert is firing",
        sort_by="severity",
    )


def _linked(alerts: str) -> str:
    """Add what a link selects: the alert's own pipeline and stage, or all of them."""
    for label in ("pipeline", "stage"):
        own = f'label_replace({alerts}, "to_{label}", "$1", "{label}", "(.+)")'
        alerts = f'label_replace({own}, "to_{label}", "$$__all", "{label}", "")'
    return alerts
