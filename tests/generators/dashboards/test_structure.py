"""The JSON has the form that Grafana reads, everything has its place, and nothing points nowhere."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from jelmon_generators.dashboards.layout import Heading, Line, arrange
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel, panels_of
from jelmon_generators.model.definitions import Bundle

Json = dict[str, Any]

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
CORE_PANELS = {
    *("stat", "timeseries", "table", "state-timeline", "barchart", "heatmap", "row"),
    *("gauge", "bargauge", "piechart", "status-history", "xychart"),
}


def _faults(value: Json, schema: str, definition: str) -> list[str]:
    if definition not in SCHEMAS[schema]["definitions"]:
        return []
    validator = jsonschema.Draft7Validator({**SCHEMAS[schema], "$ref": f"#/definitions/{definition}"})
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]


def _panel_faults(panel: Json) -> list[str]:
    if panel["type"] == "row":
        return _faults(panel, "dashboard", "RowPanel")
    schema = panel["type"].replace("-", "")
    faults = _faults(panel, "dashboard", "Panel")
    if schema in SCHEMAS:
        faults += _faults(panel["options"], schema, "Options")
        faults += _faults(panel["fieldConfig"]["defaults"].get("custom", {}), schema, "FieldConfig")
    for target in panel["targets"]:
        faults += _faults(target, "prometheus", "Dataquery") if "expr" in target else []
    return faults


def test_dashboards_match_the_schema_of_grafana(boards: dict[str, Json]) -> None:
    """Unknown keys, wrong types and values outside an enumeration are found."""
    faults = {
        name: _faults({key: value for key, value in board.items() if key != "panels"}, "dashboard", "Dashboard")
        for name, board in boards.items()
    }

    assert faults == {name: [] for name in boards}


def test_panels_match_the_schemas_of_their_kinds(boards: dict[str, Json]) -> None:
    """The options, the field settings and the queries of each panel have the form of its plugin."""
    faults = {
        f"{name}: {panel['title']}": found
        for name, board in boards.items()
        for panel in board["panels"]
        if (found := _panel_faults(panel))
    }

    assert faults == {}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"span": 4}, id="key of an old Grafana"),
        pytest.param({"options": {"legend": {}, "tooltip": {}}}, id="legend without showLegend"),
        pytest.param({"targets": [{"expr": "up", "step": 10}]}, id="target of an old Grafana"),
    ],
)
def test_the_schemas_find_forms_of_old_grafanas(broken: Json, panels: dict[str, Json]) -> None:
    """What raw grafanalib writes would be found."""
    assert _panel_faults({**panels["pipeline: Velocity"], **broken}) != []


def test_schema_version_is_of_a_form_that_current_grafanas_read_without_migration(boards: dict[str, Json]) -> None:
    """Grafana 11 writes 39 to 41; 12 and 13 refuse what is much older."""
    assert {board["schemaVersion"] for board in boards.values()} == {41}


def test_only_core_panels_are_used(boards: dict[str, Json]) -> None:
    """No plugin to install; and no Angular panel (graph, singlestat, table-old), which Grafana 12 no longer draws."""
    assert {panel["type"] for board in boards.values() for panel in board["panels"]} <= CORE_PANELS


def test_ids_and_letters_of_queries_are_unique(boards: dict[str, Json]) -> None:
    """Links to panels go by id, transformations by the letter of a query."""
    for board in boards.values():
        ids = Counter(panel["id"] for panel in board["panels"])

        assert [number for number, count in ids.items() if count > 1] == []
        for panel in board["panels"]:
            letters = [target["refId"] for target in panel.get("targets", [])]

            assert sorted(set(letters)) == letters


def test_panels_are_those_that_alerts_can_link_to(boards: dict[str, Json], bundle: Bundle) -> None:
    """Ids and titles in the rendered files are the declared ones, each drawn once."""
    for name, board in boards.items():
        drawn = [(panel["title"], panel["id"]) for panel in board["panels"] if panel["type"] != "row"]

        assert sorted(drawn) == sorted(panels_of(name, tuple(bundle.slos)).items())


def test_the_tiles_at_the_top_have_the_same_ids_everywhere(boards: dict[str, Json]) -> None:
    """The first line is the same on all three, so that a hand finds it half asleep."""
    lines = [
        [(panel["id"], panel["title"]) for panel in board["panels"] if panel["id"] <= 7] for board in boards.values()
    ]

    assert lines[0] == lines[1] == lines[2]
    assert [number for number, _ in lines[0]] == [1, 2, 3, 4, 5, 6, 7]


def test_panels_neither_overlap_nor_leave_holes(rendered: dict[str, Json]) -> None:
    """Every cell of the grid, down to the lowest, belongs to exactly one panel; inside a collapsed row as well."""
    for board in rendered.values():
        grids = [board["panels"], *(panel["panels"] for panel in board["panels"] if panel.get("collapsed"))]
        for grid in grids:
            places = [panel["gridPos"] for panel in grid]
            cells = Counter(
                (x, y)
                for place in places
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            )
            top, bottom = min(place["y"] for place in places), max(place["y"] + place["h"] for place in places)

            assert cells == {(x, y): 1 for x in range(24) for y in range(top, bottom)}


def test_rows_that_are_seldom_needed_ask_for_nothing(rendered: dict[str, Json]) -> None:
    """A page asked 73 queries every 30 seconds; what a collapsed row holds is asked when it is opened."""
    collapsed = {panel["title"] for panel in rendered["pipeline"]["panels"] if panel.get("collapsed")}

    assert {"Exporter host", "Services and sessions", "Data completeness", "Monitoring of the monitoring"} <= collapsed
    assert any(title.startswith("Alert history (PostgreSQL: ${postgres_datasource:text})") for title in collapsed)


def test_a_line_that_does_not_fill_the_width_is_refused() -> None:
    """A hole beside a panel is a mistake of the author."""
    panel = graph(PipelinePanel.VELOCITY, "One.", [("", "up")], unit="short")

    with pytest.raises(ValueError, match="'Velocity' does not fill 24 columns"):
        arrange([Heading(100, "Row"), Line(8, [panel], (20,))])


def test_every_variable_is_used(boards: dict[str, Json]) -> None:
    """A choice that changes nothing misleads."""
    for name, board in boards.items():
        text = json.dumps([board["panels"], board["templating"], board["annotations"]])
        unused = [
            variable["name"]
            for variable in board["templating"]["list"]
            if not re.search(rf"\$\{{?{variable['name']}\b", text)
        ]

        assert (name, unused) == (name, [])


def test_links_lead_to_dashboards_and_panels_that_exist(boards: dict[str, Json]) -> None:
    """The links between the dashboards name uids and panel ids that are there, and keep time and data source."""
    ids = {board["uid"]: {panel["id"] for panel in board["panels"]} for board in boards.values()}
    urls = re.findall(r'"url": "([^"]+)"', json.dumps(boards))
    assert len(urls) > 40

    for url in urls:
        parts = urlsplit(url)
        uid = parts.path.removeprefix("/d/")
        shown = re.search(r"viewPanel=(\d+)", parts.query)

        assert uid in ids, url
        assert shown is None or int(shown[1]) in ids[uid], url
        assert "${__url_time_range}" in parts.query, url
    for board in boards.values():
        assert [(link["type"], link["tags"]) for link in board["links"]] == [("dashboards", board["tags"])]


def _named_fields(panel: Json) -> set[str]:
    """The fields that overrides name in full."""
    matchers = [entry["matcher"] for entry in panel["fieldConfig"]["overrides"]]
    return {matcher["options"] for matcher in matchers if matcher["id"] == "byName"}


def test_columns_of_tables_are_labels_or_values_of_their_queries(panels: dict[str, Json]) -> None:
    """A column renamed from something that no query yields would stay empty."""
    for title, panel in panels.items():
        if panel["type"] != "table" or panel["transformations"][-1]["id"] != "organize":
            continue
        organize = panel["transformations"][-1]["options"]
        letters = [target["refId"] for target in panel["targets"]]
        values = {f"Value #{letter}" for letter in letters} if len(letters) > 1 else {"Value"}
        grouped = [set(re.findall(r"\w+", labels)) for labels in re.findall(r" by \(([^)]*)\)", json.dumps(panel))]

        assert values <= set(organize["renameByName"]), title
        added = set(re.findall(r'"(\w+)\\", \\"', json.dumps([target["expr"] for target in panel["targets"]])))
        assert set(organize["renameByName"]) - values <= set().union(*grouped) | added, title
        shown = set(organize["renameByName"].values())
        assert {sort["displayName"] for sort in panel["options"]["sortBy"]} <= shown, title
        assert _named_fields(panel) <= shown, title


def test_overrides_by_name_name_a_series_of_the_panel(panels: dict[str, Json]) -> None:
    """A colour for a series that does not exist is a typing error, or dead."""
    for title, panel in panels.items():
        legends = [target.get("legendFormat", "") for target in panel.get("targets", [])]
        if panel["type"] in ("table", "barchart", "xychart") or any(legend.startswith("{{") for legend in legends):
            continue
        named = {
            entry["matcher"]["options"]
            for entry in panel["fieldConfig"]["overrides"]
            if entry["matcher"]["id"] == "byName"
        }

        assert named <= set(legends), title


def test_no_tile_is_green_without_data(panels: dict[str, Json]) -> None:
    """The text for no data takes the colour below the first bound: grey, or red, never green."""
    tiles = {title: panel for title, panel in panels.items() if panel["type"] == "stat"}
    assert len(tiles) > 25

    for title, panel in tiles.items():
        defaults = panel["fieldConfig"]["defaults"]

        assert defaults["noValue"], title
        assert defaults["thresholds"]["steps"][0]["color"] not in ("green", "semi-dark-green"), title
        assert all(target["instant"] for target in panel["targets"]), title


def test_every_panel_says_what_its_emptiness_means(panels: dict[str, Json]) -> None:
    """ "No data" alone leaves open whether all is well."""
    assert [title for title, panel in panels.items() if not panel["fieldConfig"]["defaults"].get("noValue")] == []
