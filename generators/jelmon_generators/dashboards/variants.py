"""Other forms of the same dashboards: for an old Grafana, and with panel plugins.

The builders write the form of Grafana 11.1 and later. An old Grafana ignores newer options without a word: cells and
tiles lose their colour and XY charts draw every column.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jelmon_generators.dashboards.fields import Json
from jelmon_generators.model.dashboards import BottlenecksPanel, QualityPanel
from jelmon_generators.targets import NEWEST_GRAFANA_FORM, Version

OLD_SCHEMA_VERSION = 37

_BY_NAME = "palette-classic-by-name"
_BY_ORDER = "palette-classic"
_SOLID = "background_solid"
_CELLS = {
    "auto": "auto",
    "color-text": "color-text",
    "color-background": "color-background-solid",
    "gauge": "basic",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """What the dashboards are for."""

    grafana: Version = NEWEST_GRAFANA_FORM
    plugins: bool = False

    def of(self, dashboard: Json, uid: str) -> Json:
        """Return the dashboard in this form."""
        if self.plugins:
            known = {one["id"]: one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", ()))}
            dashboard = _with_panels(dashboard, lambda panel: _with_plugin(panel, uid, known))
        if self.grafana < NEWEST_GRAFANA_FORM:
            dashboard = _with_panels(dashboard, self._older) | {"schemaVersion": OLD_SCHEMA_VERSION}
        return dashboard

    def _older(self, panel: Json) -> Json:
        if panel["type"] == "row":
            return panel
        older: Json = _replaced(panel)
        if older["type"] == "xychart":
            older = _older_xy_chart(older)
        return older | {"pluginVersion": f"{self.grafana[0]}.{self.grafana[1]}.0"}


PLAIN = Variant()


def _with_panels(dashboard: Json, change: Callable[[Json], Json]) -> Json:
    def changed(panel: Json) -> Json:
        inner = {"panels": [change(one) for one in panel["panels"]]} if panel.get("panels") else {}
        return change(panel) | inner

    return dashboard | {"panels": [changed(panel) for panel in dashboard["panels"]]}


def _replaced(value: Any) -> Any:
    """Return a part of a panel with the names that old Grafanas use."""
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("id") == "custom.cellOptions":
        return {"id": "custom.displayMode", "value": _CELLS[value["value"]["type"]]}
    changed = {name: _replaced(item) for name, item in value.items() if name != "cellOptions"}
    if "cellOptions" in value:
        changed["displayMode"] = _CELLS[value["cellOptions"]["type"]]
    if value.get("mode") == _BY_NAME:
        changed["mode"] = _BY_ORDER
    if value.get("colorMode") == _SOLID:
        changed["colorMode"] = "background"
    return changed


def _older_xy_chart(panel: Json) -> Json:
    colours = {
        entry["matcher"]["options"]: item["value"]["fixedColor"]
        for entry in panel["fieldConfig"]["overrides"]
        for item in entry["properties"]
        if item["id"] == "color"
    }

    def series(one: Json) -> Json:
        x, y = (one[axis]["matcher"]["options"] for axis in ("x", "y"))
        old: Json = {"name": one["name"]["fixed"], "x": x, "y": y}
        if y in colours:
            old["pointColor"] = {"fixed": colours[y]}
        if "size" in one:
            old["pointSize"] = {"field": one["size"]["matcher"]["options"], "fixed": 8, "min": 8, "max": 50}
        return old

    options = {name: item for name, item in panel["options"].items() if name not in ("mapping", "series")}
    options |= {
        "seriesMapping": "manual",
        "dims": {"frame": 0},
        "series": [series(one) for one in panel["options"]["series"]],
    }
    return panel | {"options": options}


# --- plugins ---


def _with_plugin(panel: Json, uid: str, known: dict[int, Json]) -> Json:
    match uid, panel["id"]:
        case "jelmore-quality", QualityPanel.TEST_FAILURES.number:
            return _treemap(panel)
        case "jelmore-bottlenecks", BottlenecksPanel.RADAR.number:
            return _radar(panel, known[BottlenecksPanel.UTILIZATION_NOW.number])
    return panel


def _treemap(panel: Json) -> Json:
    """Return the failures as a treemap: an area for each reason, grouped by category."""
    failures = dict(panel["targets"][0])
    failures["expr"] = failures["expr"].partition(" or topk(30, ")[2].removesuffix("))")
    return {
        **panel,
        "type": "marcusolsson-treemap-panel",
        "targets": [failures],
        "transformations": [],
        "options": {
            "tiling": "treemapSquarify",
            "textField": "reason",
            "sizeField": "Value",
            "colorByField": "reason",
            "groupByField": "category",
            "labelFields": [],
        },
    }


_RADAR = """
const shares = context.panel.data.series.map((one) => ({
  name: one.name || one.refId,
  value: one.fields.find((field) => field.type === "number")?.values.at(-1) ?? 0,
}));
return {
  radar: { indicator: shares.map(({ name }) => ({ name, max: 1 })) },
  series: [{ type: "radar", data: [{ name: "now", value: shares.map(({ value }) => value) }] }],
};
""".strip()


def _radar(panel: Json, bars: Json) -> Json:
    return {
        **panel,
        "type": "volkovlabs-echarts-panel",
        "targets": bars["targets"],
        "transformations": [],
        "options": {"renderer": "canvas", "getOption": _RADAR, "map": "none", "themeEditor": {"name": "default"}},
    }
