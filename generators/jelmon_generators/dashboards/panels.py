"""The panels our dashboards are made of: grafanalib's where its form is right, our own where it is that of Grafana 6.

grafanalib 0.7.1 writes the JSON of an old Grafana (schema version 12). What it lacks is given by ``extraJson``; what it
writes too much is dropped by ``lean``. Core panels only, so that nothing needs a plugin.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib import core

from jelmon_generators.dashboards.fields import GREY, OK, TEXT, Json, override, steps, value_map

PLUGIN_VERSION = "11.6.0"  # without it Grafana migrates panels from forms that ours no longer have
DATASOURCE = {"type": "prometheus", "uid": "${prometheus_datasource}"}

# --- targets ---


def targets(
    *queries: tuple[str, str], instant: bool = False, form: str = "time_series", exemplars: bool = False
) -> list[Json]:
    """Prometheus queries A, B, ... of pairs of a legend and an expression: ranges for graphs, instants for the rest.

    Not grafanalib's, which adds a step of 10 and an interval factor of 2.
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


# --- panels ---


def tile(
    number: int,
    title: str,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    unit: str,
    levels: list[Json],
    no_value: str,
    links: Sequence[Json] = (),
    overrides: Iterable[Json] = (),
    mappings: Iterable[Json] = (),
    named: bool = False,
    filled: bool = False,
    decimals: int | None = None,
) -> core.Stat:
    """A number to read first. Instant, so that it never shows a value of before the data stopped.

    ``named`` shows the series' name beside its value, ``filled`` colours the whole tile.
    """
    return core.Stat(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True),
        maxDataPoints=None,
        format=unit,
        decimals=decimals,
        color={"mode": "thresholds"},
        colorMode="background_solid" if filled else "value",
        graphMode="none",
        reduceCalc="lastNotNull",
        textMode="value_and_name" if named else "auto",
        noValue=no_value,
        mappings=list(mappings),
        overrides=list(overrides),
        thresholds=levels,
        extraJson={
            "fieldConfig": {"defaults": {"links": list(links)}},
            "options": {"wideLayout": False, "showPercentChange": False, "percentChangeColorMode": "standard"},
        },
    )


def graph(
    number: int,
    title: str,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    unit: str,
    no_value: str = "no data",
    links: Sequence[Json] = (),
    overrides: Iterable[Json] = (),
    levels: list[Json] | None = None,
    bars: bool = False,
    maximum: int | None = None,
    exemplars: bool = False,
    axis: str = "",
) -> core.TimeSeries:
    """Values over time: lines, or stacked ``bars`` for parts of a whole. ``levels`` are drawn as dashed lines."""
    return core.TimeSeries(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, exemplars=exemplars),
        maxDataPoints=None,
        unit=unit,
        axisLabel=axis,
        axisSoftMin=0,
        valueMax=maximum,
        drawStyle="bars" if bars else "line",
        fillOpacity=70 if bars else 8,
        lineWidth=0 if bars else 1,
        showPoints="never" if bars else "auto",
        stacking={"mode": "normal" if bars else "none", "group": "A"},
        legendDisplayMode="table",
        legendPlacement="bottom",
        legendCalcs=["mean", "max", "lastNotNull"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=levels or steps(OK),
        thresholdsStyleMode="dashed" if levels else "off",
        overrides=list(overrides),
        extraJson={
            "fieldConfig": {"defaults": {"links": list(links), "noValue": no_value, "custom": {"insertNulls": False}}},
            "options": {"legend": {"showLegend": True}},
        },
    )


def timeline(
    number: int,
    title: str,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    words: Mapping[str, tuple[str, str]],
    no_value: str,
    links: Sequence[Json] = (),
) -> core.StateTimeline:
    """States over time, as words and colours."""
    return core.StateTimeline(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries),
        maxDataPoints=None,
        colorMode="palette-classic",  # thresholds would make Grafana ignore the words when it merges equal values
        mappings=value_map(words),
        rowHeight=0.8,
        tooltipMode="multi",
        thresholds=steps(GREY),
        extraJson={
            "fieldConfig": {"defaults": {"links": list(links), "noValue": no_value, "unit": "none"}},
            "options": {"legend": {"showLegend": True, "calcs": []}, "tooltip": {"sort": "none"}},
        },
    )


class _OwnPanel(core.Panel):
    """A panel whose class in grafanalib has the form of an old Grafana: everything comes by ``extraJson``."""

    def to_json_data(self) -> Json:
        data: Json = self.panel_json({})
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its name, its query (none for a label) and how its values look."""

    name: str
    query: str = ""
    label: str = ""
    unit: str = "short"
    levels: list[Json] | None = None
    links: Sequence[Json] = ()
    mappings: Sequence[Json] = ()
    width: int | None = None


def table(
    number: int,
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    no_value: str,
    sort_by: str,
    descending: bool = True,
) -> core.Panel:
    """One row for each combination of the label columns, joined from an instant query per value column."""
    values = [column for column in columns if column.query]
    series = targets(*(("", column.query) for column in values), instant=True, form="table")
    source = {column.name: column.label for column in columns if not column.query}
    for target, column in zip(series, values, strict=True):
        source[column.name] = f"Value #{target['refId']}" if len(series) > 1 else "Value"
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {source[column.name]: index for index, column in enumerate(columns)},
        "renameByName": {source[column.name]: column.name for column in columns},
    }
    merge = [{"id": "merge", "options": {}}] if len(series) > 1 else []
    return _OwnPanel(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=series,
        maxDataPoints=None,
        thresholds=steps(TEXT),
        transformations=[*merge, {"id": "organize", "options": organize}],
        extraJson={
            "type": "table",
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "thresholds"},
                    "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
                    "noValue": no_value,
                    "unit": "short",
                },
                "overrides": [found for column in columns if (found := _column_override(column))["properties"]],
            },
            "options": {
                "showHeader": True,
                "cellHeight": "sm",
                "frameIndex": 0,
                "sortBy": [{"displayName": sort_by, "desc": descending}],
            },
        },
    )


def _column_override(column: Column) -> Json:
    properties: Json = {"links": list(column.links)} if column.links else {}
    if column.query:
        properties["unit"] = column.unit
    if column.mappings:
        properties["mappings"] = list(column.mappings)
    if column.width:
        properties["custom__width"] = column.width
    if column.levels:
        properties |= {
            "thresholds": {"mode": "absolute", "steps": column.levels},
            "custom__cellOptions": {"type": "color-text"},
        }
    return override(column.name, **properties)


def stacked_bars(
    number: int,
    title: str,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    row: str,
    transformations: list[Json],
    unit: str,
    no_value: str,
    overrides: Iterable[Json] = (),
    links: Sequence[Json] = (),
) -> core.BarChart:
    """Horizontal bars made of parts, from instant queries; ``row`` is the field that names a bar."""
    return core.BarChart(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True, form="table"),
        transformations=transformations,
        maxDataPoints=None,
        orientation="horizontal",
        stacking="normal",
        showValue="never",  # in stacks the value would stand in the next part
        tooltipMode="multi",
        tooltipSort="desc",
        thresholdSteps=steps(OK),
        overrides=list(overrides),
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "color": {"fixedColor": None},
                    "links": list(links),
                    "min": 0,
                    "noValue": no_value,
                    "unit": unit,
                }
            },
            "options": {"xField": row, "fullHighlight": False, "xTickLabelMaxLength": 32},
        },
    )


def heatmap(
    number: int,
    title: str,
    description: str,
    query: tuple[str, str],
    *,
    no_value: str,
    since: str,
    maximum: float | None = None,
    unit: str = "none",
    scheme: str = "RdYlGn",
) -> core.Panel:
    """One row for each series, coloured from 0 to the maximum (else that of the data), over a time of its own."""
    return _OwnPanel(
        id=number,
        title=title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(query),
        maxDataPoints=None,
        interval="30m",
        timeFrom=since,
        thresholds=steps(OK),
        extraJson={
            "type": "heatmap",
            "fieldConfig": {
                "defaults": {
                    "custom": {
                        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
                        "scaleDistribution": {"type": "linear"},
                    },
                    "noValue": no_value,
                    "unit": unit,
                },
                "overrides": [],
            },
            "options": {
                "calculate": False,
                "cellGap": 2,
                "cellValues": {"unit": unit},
                "color": {
                    "exponent": 0.5,
                    "fill": "dark-orange",
                    "max": maximum,
                    "min": 0,
                    "mode": "scheme",
                    "reverse": False,
                    "scale": "linear",
                    "scheme": scheme,
                    "steps": 4,
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": -1},  # the default makes a gap of 0
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", "reverse": True, "unit": "none"},
            },
        },
    )


# --- what grafanalib writes too much ---

_DEAD_PANEL_KEYS = ("cacheTimeout", "editable", "error", "height", "hideTimeOverride", "maxPerRow", "minSpan", "span")
_KEPT_EVEN_IF_EMPTY = ("overrides", "calcs", "steps", "panels", "defaults", "templating", "options", "current")


def lean(panel: core.Panel) -> Json:
    """The panel's JSON without the keys that Grafana no longer knows and without those that say nothing."""
    data: Json = _without_nothing(panel.to_json_data())
    data = {key: value for key, value in data.items() if key not in _DEAD_PANEL_KEYS}
    if data["type"] == "row":
        return {key: data.get(key, []) for key in ("collapsed", "gridPos", "id", "panels", "title", "type")}
    if not data.get("transparent"):
        data.pop("transparent", None)
    return data | {"pluginVersion": PLUGIN_VERSION}


def _without_nothing(value: Any, *, key: str = "") -> Any:
    if hasattr(value, "to_json_data"):
        return _without_nothing(value.to_json_data(), key=key)
    if isinstance(value, dict):
        if key == "steps":
            return value
        pairs = ((name, _without_nothing(item, key=name)) for name, item in value.items())
        return {name: item for name, item in pairs if name in _KEPT_EVEN_IF_EMPTY or item not in (None, "", [], {})}
    if isinstance(value, list):
        # the first threshold's bound is null: that is a value
        return value if key == "steps" else [_without_nothing(item) for item in value]
    return value
