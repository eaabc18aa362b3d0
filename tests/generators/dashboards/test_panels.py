"""The panels that engineers ask for first, one by one: each is there, in its form, over what it is about."""

from typing import Any

import pytest

Json = dict[str, Any]

_WANTED = [
    # dashboard and title, type, what one of its queries asks for
    ("pipeline: Pipelines", "table", "jelmore_pipeline_stall_limit_seconds"),
    ("pipeline: Alerts firing now", "table", "ALERTS{"),
    ("pipeline: Success rate", "stat", "offset 1h"),
    ("pipeline: Cards per hour, 24 hours", "timeseries", "offset 7d"),
    ("pipeline: Success rate, 24 hours", "timeseries", "offset 7d"),
    ("pipeline: Mean processing time, 24 hours", "timeseries", "jelmore_regression_baseline_upper"),
    ("pipeline: CPU, memory, disk now", "gauge", "jelmore_system_disk_usage_ratio"),
    ("pipeline: Run time by stage, last hour: p50, p95, p99 and limit", "barchart", "jelmore_stage_time_limit_seconds"),
    ("pipeline: Active bottlenecks", "table", "jelmore_bottleneck_info"),
    ("pipeline: Quality, last 24 hours", "table", "jelmore_gate_evaluations_total"),
    ("pipeline: Card processing time", "timeseries", "histogram_quantile(0.99"),
    ("pipeline: Cards by processing time", "heatmap", "jelmore_card_processing_seconds_bucket"),
    ("pipeline: Alerts over time", "state-timeline", 'alertstate="pending"'),
    ("quality: Quality score, 24 hours", "stat", "100 * avg("),
    ("quality: Flaky tests, 24 hours", "stat", 'reason=~"flaky.*"'),
    ("quality: Pass rates and targets, 7 days", "timeseries", "[6h]"),
    ("quality: Tests by category", "piechart", "by (category)"),
    ("quality: Gate status", "stat", "* 0 + 9"),
    ("quality: Gate status over time", "status-history", "* 0 + 9"),
    ("quality: Execution waterfall of a mean card, last hour", "barchart", "jelmore_stage_position"),
    ("quality: Test failures by category and reason", "barchart", '"reason", "total"'),
    ("quality: Open suggestions by expected saving", "table", "jelmore_suggestions_gain_seconds"),
    ("quality: Objective card_success", "table", "jelmore:slo_card_success_budget_exhausted_in_seconds"),
    ("bottlenecks: Stages by severity", "stat", "count("),
    ("bottlenecks: Severity, last 24 hours", "heatmap", "jelmore_stage_position"),
    ("bottlenecks: Bottlenecks now", "table", "ALERTS_FOR_STATE"),
    ("bottlenecks: Time lost by stage, 7 days", "timeseries", "avg_over_time(jelmore_bottleneck_impact_seconds"),
    ("bottlenecks: Impact and frequency, 7 days", "xychart", "jelmore_bottleneck_episodes_total"),
    ("bottlenecks: Success rate of strategies by pipeline", "table", ">= 5"),
    ("bottlenecks: Utilization, now and a week ago", "xychart", "offset 7d"),
    ("bottlenecks: Utilization by resource", "bargauge", "jelmore_stage_workers"),
    ("bottlenecks: Automated actions", "table", "jelmore_actions_requested_total"),
]


@pytest.mark.parametrize(("title", "kind", "asked"), _WANTED, ids=[title for title, _, _ in _WANTED])
def test_the_panel_is_there(title: str, kind: str, asked: str, panels: dict[str, Json]) -> None:
    """In its form, over what it is about, with a text for when it is empty."""
    panel = panels[title]

    assert panel["type"] == kind
    assert any(asked in target["expr"] for target in panel["targets"])
    assert panel["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("pipeline: Alert history", "jelmore.alert_history"),
        ("quality: Recommendations", "jelmore.recommendations"),
        ("bottlenecks: Action log", "jelmore.action_log"),
    ],
)
def test_what_only_the_database_knows_is_in_a_collapsed_row(
    title: str, table: str, rendered: dict[str, Json], sql_panels: dict[str, Json]
) -> None:
    """Without a database nothing is asked, and the title of the row says so."""
    board, _, name = title.partition(": ")
    inside = {
        inner["title"]: row for row in rendered[board]["panels"] for inner in row.get("panels", ()) if row["collapsed"]
    }

    assert table in sql_panels[title]["targets"][0]["rawSql"]
    assert "${postgres_datasource:text}" in inside[name]["title"]


def test_trends_have_their_own_time_range(panels: dict[str, Json]) -> None:
    """A day, or a week, whatever is selected at the top."""
    fixed = {title: panel["timeFrom"] for title, panel in panels.items() if panel.get("timeFrom")}

    assert {title for title, since in fixed.items() if since == "24h"} >= {
        "pipeline: Cards per hour, 24 hours",
        "bottlenecks: Severity, last 24 hours",
    }
    assert {title for title, since in fixed.items() if since == "7d"} == {
        "quality: Pass rates and targets, 7 days",
        "quality: Failed cards, tests and gates per hour, 7 days",
        "bottlenecks: Time lost by stage, 7 days",
    }


def test_the_first_screen_names_pipeline_stage_cause_and_alert(rendered: dict[str, Json]) -> None:
    """Above everything else, in one table, worst first; then the alerts."""
    first, second, *_ = rendered["pipeline"]["panels"]
    shown = list(first["transformations"][-1]["options"]["renameByName"].values())

    assert (first["title"], first["gridPos"]["y"], second["title"]) == ("Pipelines", 0, "Alerts firing now")
    assert {"state", "pipeline", "limited by stage", "cause", "inactivity", "limit", "alert", "alerts"} <= set(shown)
    assert first["options"]["sortBy"] == [{"displayName": "state", "desc": True}]


def test_actions_and_deployments_are_marked(rendered: dict[str, Json]) -> None:
    """On every dashboard, from Prometheus: without PostgreSQL they are there as well."""
    for board in rendered.values():
        marks = {mark["name"]: mark for mark in board["annotations"]["list"]}

        assert "jelmore_actions_requested_total" in marks["Automated actions"]["expr"]
        assert 'kind=~"deploy.*"' in marks["Deployments"]["expr"]


def test_small_samples_show_their_size(panels: dict[str, Json]) -> None:
    """A change of three cards is no change."""
    for title in ("pipeline: Success rate", "pipeline: Processing time, p95"):
        assert [target["legendFormat"] for target in panels[title]["targets"]] == ["last hour", "change", "n"]


def test_a_single_bubble_is_drawn(panels: dict[str, Json]) -> None:
    """Grafana divides by the range of sizes: if all are equal it draws nothing, so there is an unseen one of size 0."""
    panel = panels["bottlenecks: Impact and frequency, 7 days"]

    assert all('"name", " ", "", "")' in target["expr"] for target in panel["targets"])
