"""What is drawn must be true: each test reads the rendered JSON and fails if a panel could mislead again."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from grafanalib import core

from jelmon_generators.dashboards.layout import Line, arrange
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel, panels_of
from jelmon_generators.model.definitions import Alert, Bundle

Json = dict[str, Any]

_MEANINGS = {"passed": "green", "success": "green", "failed": "light-red", "failure": "light-red"}
_COLUMN_PIXELS = 56  # of the grid's 24 columns in a window of 1,440 pixels with the menu at its side
_PADDING_PIXELS = 24


def _defaults(panel: Json) -> Json:
    return dict(panel["fieldConfig"]["defaults"])


def _overrides(panel: Json, key: str) -> Iterator[tuple[Json, Any]]:
    for entry in panel["fieldConfig"]["overrides"]:
        for item in entry["properties"]:
            if item["id"] == key:
                yield entry["matcher"], item["value"]


def _windows(expression: str, metric: str) -> set[str]:
    return set(re.findall(rf"{metric}(?:_bucket|_sum|_count)?{{[^}}]*}}\[([^\]]+)\]", expression))


def _dashed(panel: Json) -> bool:
    return bool(_defaults(panel).get("custom", {}).get("thresholdsStyle", {}).get("mode") == "dashed")


def _links(panel: Json) -> list[str]:
    return re.findall(r'"url": "([^"]+)"', json.dumps(panel))


# --- 1: activity against the pipeline's own limit ---


def test_inactivity_is_measured_by_each_pipelines_own_limit(panels: dict[str, Json]) -> None:
    """Green at 2 minutes while ``PipelineStalled`` fires at 30 seconds, and red for an idle pipeline: never again."""
    for name in ("pipeline", "quality", "bottlenecks"):
        tile = panels[f"{name}: Inactivity"]
        (target,) = tile["targets"]

        assert "jelmore_pipeline_stall_limit_seconds" in target["expr"]
        assert (
            "and on (pipeline) (sum by (pipeline) (max without (instance, pod) (jelmore_cards_in_progress"
            in (target["expr"])
        )
        assert [(step["value"], step["color"]) for step in _defaults(tile)["thresholds"]["steps"]][-1] == (
            1,
            "light-red",
        )
        assert _defaults(tile)["mappings"][0]["options"]["-1"] == {"text": "idle", "color": "#8e8e8e", "index": 0}


# --- 2: windows ---


def test_only_rates_per_second_use_a_window_that_shrinks_with_the_time_range(panels: dict[str, Json]) -> None:
    """A ratio, a percentile, a count or a pace over a minute of a slow counter is noise."""
    faults = [
        f"{title}: {target['expr']}"
        for title, panel in panels.items()
        for target in panel["targets"]
        if re.search(r"rate\(", target["expr"]) and _defaults(panel)["unit"] not in ("ops", "Bps")
    ]

    assert faults == []


def _compared(bundle: Bundle, panels: dict[str, Json]) -> Iterator[tuple[Alert, str, Json]]:
    for alert in bundle.alerts.values():
        title = f"{alert.dashboard}: {alert.panel}"
        if title in panels:
            yield alert, title, panels[title]


def test_a_panel_uses_the_windows_of_the_alerts_that_lead_to_it(bundle: Bundle, panels: dict[str, Json]) -> None:
    """Otherwise its dashed line is not where the alert fires."""
    faults, compared = [], 0
    for alert, title, panel in _compared(bundle, panels):
        expression = bundle.signals[alert.condition.leaves[0].signal].expr
        drawn = " ".join(target["expr"] for target in panel["targets"])
        for metric in set(re.findall(r"\b(jelmore_\w+?)(?:_bucket|_sum|_count)?\b(?={[^}]*}\[|\[)", expression)):
            wanted = set(re.findall(rf"{metric}\w*(?:{{[^}}]*}})?\[(\w+)\]", expression))
            shown = _windows(drawn, metric)
            compared += bool(shown)
            if shown and not wanted <= shown:
                faults.append(f"{title}: {metric} over {shown}, {alert.rule_id} over {wanted}")

    assert faults == []
    assert compared >= 10


def test_windows_come_from_the_signals(bundle: Bundle) -> None:
    """Another window in ``rules/signals.yaml`` is another window in the panel."""
    limits = Limits.of(bundle)

    assert limits.window("gate_failure_rate_high", "1m") == "30m"
    assert limits.window("velocity_drop", "1m", index=1) == "6h"
    assert limits.window("unknown", "7m") == "7m"


def test_panels_over_time_do_not_step_finer_than_their_interval(panels: dict[str, Json]) -> None:
    """Without one, Grafana steps by seconds at short ranges and every line turns into dots."""
    graphs = {
        title: panel for title, panel in panels.items() if any(not target["instant"] for target in panel["targets"])
    }
    assert len(graphs) > 40

    assert [title for title, panel in graphs.items() if not panel.get("interval")] == []


# --- 3: texts for missing values ---


def test_a_missing_cell_is_a_dash_and_the_sentence_is_for_the_whole_panel(panels: dict[str, Json]) -> None:
    """Grafana puts ``noValue`` into every empty cell, legend and tooltip, and links carry it on."""
    for title, panel in panels.items():
        if panel["type"] == "stat":
            continue
        matcher, text = next(_overrides(panel, "noValue"))

        assert (matcher, text) == ({"id": "byRegexp", "options": ".*"}, "–"), title  # noqa: RUF001


def test_a_missing_figure_is_not_red(panels: dict[str, Json]) -> None:
    """The colour below the first bound is also that of an empty cell."""
    for title, panel in panels.items():
        if panel["type"] == "table":
            bases = {value["steps"][0]["color"] for _, value in _overrides(panel, "thresholds")}

            assert bases <= {"text", "#8e8e8e"}, title


def test_states_map_gaps_to_a_dash(panels: dict[str, Json]) -> None:
    """A state timeline lists every text in its legend, also that of a gap."""
    timelines = [panel for panel in panels.values() if panel["type"] in ("state-timeline", "status-history")]
    assert len(timelines) >= 4

    for panel in timelines:
        assert {"type", "options"} <= set(_defaults(panel)["mappings"][-1])
        assert _defaults(panel)["mappings"][-1]["options"]["match"] == "null+nan"


# --- 4: widths ---


def test_tables_show_all_columns_at_1440_pixels(panels: dict[str, Json]) -> None:
    """What is cut off is the figure that the table is there for."""
    tables = {title: panel for title, panel in panels.items() if panel["type"] == "table"}
    assert len(tables) >= 10

    for title, panel in tables.items():
        hidden = {matcher["options"] for matcher, _ in _overrides(panel, "custom.hidden")}
        widths = {
            matcher["options"]: value
            for key in ("custom.width", "custom.minWidth")
            for matcher, value in _overrides(panel, key)
            if matcher["id"] == "byName"
        }
        columns = set(panel["transformations"][-1]["options"].get("renameByName", {}).values()) - hidden
        room = panel["gridPos"]["w"] * _COLUMN_PIXELS - _PADDING_PIXELS

        assert columns <= set(widths), title
        assert sum(widths[column] for column in columns) <= room, title
        assert _defaults(panel)["custom"]["filterable"] is False, title


# --- 5: links ---


def test_every_link_keeps_every_variable(boards: dict[str, Json], panels: dict[str, Json]) -> None:
    """A link that loses the data source, the job or the pipeline leads to other data."""
    variables = {variable["name"] for board in boards.values() for variable in board["templating"]["list"]}
    urls = [url for panel in panels.values() for url in _links(panel)]
    assert len(urls) > 40

    for url in urls:
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", url)) | set(re.findall(r"[?&]var-(\w+)=", url))

        assert kept == variables, url


def test_rows_of_alerts_pass_their_own_pipeline_and_stage(panels: dict[str, Json]) -> None:
    """An alert without a stage passes "all", not the text of its empty cell."""
    panel = panels["pipeline: Alerts firing now"]

    assert {matcher["options"] for matcher, _ in _overrides(panel, "custom.hidden")} == {"to_pipeline", "to_stage"}
    for url in _links(panel):
        assert "var-pipeline=${__data.fields.to_pipeline}&var-stage=${__data.fields.to_stage}" in url
    assert all('"to_stage", "$$__all", "stage", "")' in target["expr"] for target in panel["targets"])


# --- 6: legends and colours ---


def test_legends_begin_with_the_highest_last_value(panels: dict[str, Json]) -> None:
    """Sorted by name, the guilty series is below the edge."""
    for title, panel in panels.items():
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]

            assert (legend["sortBy"], legend["sortDesc"]) == ("Last *", True), title
            assert "lastNotNull" in legend["calcs"], title


def test_a_name_has_one_colour_everywhere(panels: dict[str, Json]) -> None:
    """By name, not by the order in which the series arrive; and a stage has one name in all graphs."""
    for title, panel in panels.items():
        if panel["type"] != "timeseries":
            continue
        assert _defaults(panel)["color"]["mode"] == "palette-classic-by-name", title
        for target in panel["targets"]:
            if "{{stage}}" in target["legendFormat"] and "{{signal}}" not in target["legendFormat"]:
                assert target["legendFormat"].startswith("{{pipeline}} / {{stage}}"), title


# --- 7: repeated panels ---


def test_a_repeated_panel_has_a_line_of_its_own(panels: dict[str, Json]) -> None:
    """Beside others, each repetition leaves a hole."""
    repeated = [panel for panel in panels.values() if panel.get("repeat")]
    assert repeated

    for panel in repeated:
        assert (panel["gridPos"]["x"], panel["gridPos"]["w"]) == (0, 24)

    one, other = (graph(PipelinePanel.VELOCITY, "One.", [("", "up")], unit="short") for _ in range(2))
    one.repeat = core.Repeat(variable="pipeline", direction="h")
    with pytest.raises(ValueError, match="'Velocity' is repeated"):
        arrange([Line(8, [one, other])])


# --- 8: names ---


def test_stages_are_named_with_their_pipeline(panels: dict[str, Json]) -> None:
    """Two pipelines may have a stage of the same name."""
    faults = [
        title
        for title, panel in panels.items()
        for target in panel["targets"]
        if "{{stage}}" in target.get("legendFormat", "") and "{{pipeline}}" not in target["legendFormat"]
    ]

    assert faults == []


def test_the_name_of_the_limiting_stage_is_what_is_big(panels: dict[str, Json]) -> None:
    """Not the word "limiting"."""
    panel = panels["bottlenecks: Limiting stage"]

    assert panel["options"]["textMode"] == "name"
    assert "label_join(" in panel["targets"][0]["expr"]


# --- 9: heat maps ---


def test_heat_maps_tell_calm_from_unknown(panels: dict[str, Json]) -> None:
    """Every declared stage has a row, 0 is drawn, and only a missing analyzer leaves a gap."""
    maps = {title: panel for title, panel in panels.items() if panel["type"] == "heatmap"}
    by_stage = {title: panel for title, panel in maps.items() if panel["targets"][0]["format"] == "time_series"}
    assert len(by_stage) >= 3

    for title, panel in maps.items():
        assert panel["options"]["color"]["steps"] >= 12, title
    for title, panel in by_stage.items():
        expression = panel["targets"][0]["expr"]

        assert "or 0 * max by (pipeline, stage) (max without (instance, pod) (max_over_time(jelmore_stage_position" in (
            expression
        ), title
        assert "and on () max(max without (instance, pod) (max_over_time(jelmore_analyzer_last_success" in expression
        assert panel["options"]["filterValues"]["le"] < 0, title
        assert panel["options"]["yAxis"]["axisWidth"] >= 150, title
        assert f"offset -{panel['interval']}" in expression, "the current cell is drawn, not only finished ones"


# --- 10: scores ---


def test_scores_are_not_percentages(panels: dict[str, Json]) -> None:
    """ "success 31.3 %" beside a success rate of 97.9 %."""
    panel = panels["pipeline: Health components"]
    units = {matcher["options"]: value for matcher, value in _overrides(panel, "unit")}

    assert units == {"score": "none", "weight": "none", "points lost": "none"}
    assert "1 is healthy" in panel["description"]


# --- 11: reasons ---


@pytest.mark.parametrize(
    "title", ["pipeline: Health score", "bottlenecks: Bottleneck severity", "bottlenecks: Limiting stage"]
)
def test_a_withheld_verdict_says_why(title: str, panels: dict[str, Json]) -> None:
    """The analyzer counts its reasons; "not running" is only for one that does not."""
    (target,) = panels[title]["targets"]

    assert "jelmore_analyzer_skipped_total" in target["expr"]
    assert re.search(r'label_replace\(topk\(1, .*"\$1", "reason"', target["expr"])


def test_all_withheld_verdicts_are_listed(panels: dict[str, Json]) -> None:
    """By analyzer and reason, for the gains and regressions that no tile can explain."""
    panel = panels["bottlenecks: Verdicts withheld, last hour"]

    assert "jelmore_analyzer_skipped_total" in panel["targets"][0]["expr"]


# --- 12: data source ---


def test_the_data_source_is_the_default_one(boards: dict[str, Json]) -> None:
    """Not the first by the alphabet, which may hold something else."""
    for board in boards.values():
        for variable in board["templating"]["list"]:
            if variable["name"] == "prometheus_datasource":
                assert variable["current"]["value"] == "default"


# --- 13: alerts and panels ---


def test_every_alert_opens_a_panel_that_shows_why_it_fires(bundle: Bundle, panels: dict[str, Json]) -> None:
    """The panel draws the alert's recorded signal, or a metric that the signal reads."""
    faults = []
    for alert in bundle.alerts.values():
        title = f"{alert.dashboard}: {alert.panel}"
        if title not in panels:
            faults.append(f"{alert.name} has no panel")
            continue
        drawn = " ".join(target["expr"] for target in panels[title]["targets"])
        signals = [bundle.signals[leaf.signal] for leaf in alert.condition.leaves]
        read = {metric for signal in signals for metric in re.findall(r"\bjelmore_\w+", signal.expr)}
        shown = {f"jelmore_{name}" for name in re.findall(r"\bjelmore_(\w+)", drawn)}
        if not read & shown and not any(signal.record in drawn for signal in signals):
            faults.append(f"{alert.name}: {title} draws none of {sorted(read)}")

    assert faults == []


def test_ids_of_objectives_do_not_collide_with_others(bundle: Bundle) -> None:
    """They are made from the name, so that another objective does not move them."""
    ids = list(panels_of("quality", tuple(bundle.slos)).values())

    assert len(ids) == len(set(ids))


# --- 14: figures ---


def test_counts_are_whole_numbers(panels: dict[str, Json]) -> None:
    """An increase is extrapolated: 197.054 verdicts."""
    faults = []
    for title, panel in panels.items():
        if panel["type"] in ("stat", "timeseries") and _defaults(panel).get("unit") == "locale":
            faults += [
                title
                for target in panel["targets"]
                if target["legendFormat"] != "change"
                if "increase(" in target["expr"] and "round(" not in target["expr"]
            ]
        decimals = {matcher["options"]: value for matcher, value in _overrides(panel, "decimals")}
        if panel["type"] == "table":
            faults += [
                f"{title} {matcher['options']}"
                for matcher, value in _overrides(panel, "unit")
                if value == "locale" and decimals.get(matcher["options"]) != 0
            ]

    assert faults == []


def test_meanings_keep_their_colour(panels: dict[str, Json]) -> None:
    """Passed is never red: where outcomes are drawn, each has its fixed colour."""
    drawn = 0
    for title, panel in panels.items():
        legends = {target.get("legendFormat", "") for target in panel["targets"]}
        if panel["type"] != "timeseries" or not any(re.search(r"{{(outcome|verdict)}}$", legend) for legend in legends):
            continue
        colours = {matcher["options"]: value["fixedColor"] for matcher, value in _overrides(panel, "color")}
        meant = {name.removeprefix(".* "): colour for name, colour in colours.items()}
        drawn += 1

        assert {name: meant[name] for name in _MEANINGS if name in meant} == {
            name: colour for name, colour in _MEANINGS.items() if name in meant
        }, title
        assert meant, title
    assert drawn >= 5


def test_critical_alerts_come_first(panels: dict[str, Json]) -> None:
    """Not the oldest ones."""
    panel = panels["pipeline: Alerts firing now"]
    ranks = next(value for matcher, value in _overrides(panel, "mappings") if matcher["options"] == "severity")

    assert panel["options"]["sortBy"] == [{"displayName": "severity", "desc": True}]
    assert [ranks[0]["options"][rank]["text"] for rank in ("3", "2", "1")] == ["critical", "warning", "info"]


def test_a_pace_says_over_what_it_is_taken(panels: dict[str, Json]) -> None:
    """ "52 per hour" in a first hour that runs at 2,000."""
    faults = [
        title
        for title, panel in panels.items()
        if "per hour" in (text := json.dumps([panel["title"], _defaults(panel)], ensure_ascii=False))
        and not re.search(r"per hour, over \d+[mh]", text)
    ]

    assert faults == []
