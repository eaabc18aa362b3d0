"""What grafanalib 0.7.1 gets wrong: it writes the JSON of an old Grafana (schema version 12).

Missing keys are added with ``extraJson``; obsolete ones are removed by ``lean``.
"""

from typing import Any

from grafanalib import core

from jelmon_generators.dashboards.fields import EMPTY, Json, override_pattern

PLUGIN_VERSION = "11.6.0"  # without it Grafana migrates the panels from older formats

DATASOURCE = {"type": "prometheus", "uid": "${prometheus_datasource}"}
POSTGRES = {"type": "postgres", "uid": "${postgres_datasource}"}

_DEAD_PANEL_KEYS = ("cacheTimeout", "editable", "error", "height", "hideTimeOverride", "maxPerRow", "minSpan", "span")

_KEPT_EVEN_IF_EMPTY = ("overrides", "calcs", "steps", "panels", "defaults", "templating", "options", "current")


def targets(
    *queries: tuple[str, str], instant: bool = False, form: str = "time_series", exemplars: bool = False
) -> list[Json]:
    """Return Prometheus queries A, B, ... for pairs of a legend and an expression.

    Graphs use range queries, other panels instant queries. grafanalib's class adds a step of 10 and an interval factor
    of 2.
    """
    return [
        {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "exemplar": exemplars or None,
            "expr": expression,
            "format": form,
            "instant": instant,
            "legendFormat": legend,
            "range": not instant,
            "refId": chr(ord("A") + index),
        }
        for index, (legend, expression) in enumerate(queries)
    ]


class RawPanel(core.Panel):
    """A panel whose class in grafanalib has the form of an old Grafana: ``extraJson`` provides everything."""

    def to_json_data(self) -> Json:
        data: Json = self.panel_json({})
        return data


def lean(panel: core.Panel) -> Json:
    """Return the panel's JSON without empty keys and keys that Grafana no longer knows."""
    data: Json = _without_nothing(panel.to_json_data())
    data = {key: value for key, value in data.items() if key not in _DEAD_PANEL_KEYS}
    if data["type"] == "row":
        row = {key: data.get(key, []) for key in ("collapsed", "gridPos", "id", "title", "type")}
        return {**row, "panels": [lean(inner) for inner in panel.panels]}
    if not data.get("transparent"):
        data.pop("transparent", None)
    _mark_gaps(data)
    return data | {"pluginVersion": PLUGIN_VERSION}


def _mark_gaps(panel: Json) -> None:
    """Show a dash for a single missing value: Grafana would put the sentence for an empty panel into each empty cell.

    A tile has no cells; its sentence is shown when there is nothing at all.
    """
    config = panel.get("fieldConfig", {})
    if panel["type"] != "stat" and config.get("defaults", {}).get("noValue"):
        config["overrides"] = [override_pattern(".*", noValue=EMPTY), *config.get("overrides", [])]


def _without_nothing(value: Any, *, key: str = "") -> Any:
    if hasattr(value, "to_json_data"):
        return _without_nothing(value.to_json_data(), key=key)
    if isinstance(value, dict):
        if key == "steps":
            return value
        pairs = ((name, _without_nothing(item, key=name)) for name, item in value.items())
        return {name: item for name, item in pairs if name in _KEPT_EVEN_IF_EMPTY or item not in (None, "", [], {})}
    if isinstance(value, list):
        # the bound of the first threshold is null and must stay
        return value if key == "steps" else [_without_nothing(item) for item in value]
    return value
