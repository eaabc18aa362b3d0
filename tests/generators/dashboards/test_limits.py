"""An alert's threshold and its line on a panel are one number, written in ``rules/`` only."""

import json
from collections.abc import Iterator
from typing import Any

from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.render import render
from jelmon_generators.model.definitions import Bundle

Json = dict[str, Any]


def _lines(panel: Json) -> set[float]:
    """The thresholds that a panel draws as dashed lines."""
    defaults = panel["fieldConfig"]["defaults"]
    if defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode") != "dashed":
        return set()
    return {step["value"] for step in defaults["thresholds"]["steps"] if step["value"] is not None}


def _drawn(bundle: Bundle, panels: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Alerts whose panel draws lines."""
    for alert in bundle.alerts.values():
        title = f"{alert.dashboard}: {alert.panel}"
        if title in panels and _lines(panels[title]):
            yield alert.rule_id, title


def test_a_panel_that_an_alert_leads_to_draws_the_alerts_threshold(
    bundle: Bundle, limits: Limits, panels: dict[str, Json]
) -> None:
    """Where it draws lines at all: not every panel shows what the alert compares."""
    drawn = dict(_drawn(bundle, panels))

    assert {"bottleneck_forming", "cascade_risk_high", "gate_failure_rate_high", "host_memory_high"} <= set(drawn)
    assert [
        rule
        for rule, title in drawn.items()
        if (1.0 if "share of" in title else limits[rule]) not in _lines(panels[title])
    ] == []


def test_every_threshold_that_a_panel_shows_comes_from_the_definitions(limits: Limits) -> None:
    """Other definitions, other lines, colours and words; without any there is no line."""
    usual = render(limits)
    for rule_id in ("pipeline_stalled", "exporter_frozen", "gate_failure_rate_high", "bottleneck_severe"):
        other = render(Limits({**limits, rule_id: 1.2345}))

        assert other != usual, rule_id
        assert any("1.2345" in text for text in other.values()), rule_id

    bare = json.loads(render(Limits({}))["grafana/dashboards/bottlenecks.json"])
    severity = next(panel for panel in bare["panels"] if panel["title"] == "Severity by stage")

    assert severity["fieldConfig"]["defaults"]["thresholds"]["steps"] == [{"color": "transparent", "value": None}]


def test_names_of_alerts_in_the_panels_exist(limits: Limits) -> None:
    """A line for an alert that was renamed would quietly vanish."""
    asked: set[str] = set()

    class Noting(Limits):
        def __contains__(self, rule_id: object) -> bool:
            asked.add(str(rule_id))
            return super().__contains__(rule_id)

        def __getitem__(self, rule_id: str) -> float:
            asked.add(rule_id)
            return super().__getitem__(rule_id)

    render(Noting(limits))

    assert len(asked) > 10
    assert asked <= set(limits)
