"""Values and states over time."""

from collections.abc import Iterable, Mapping, Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import EMPTY, GREY, OK, Json, steps, value_map
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel


def graph(
    panel: Panel,
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
    interval: str = "",
    since: str = "",
    stacked: bool = False,
    legend: bool = True,
) -> core.TimeSeries:
    """Return values over time: lines, or stacked ``bars``; ``stacked`` fills the areas between lines.

    ``levels`` are drawn as dashed lines. ``interval`` is the least distance of two points; the windows of the queries
    are fixed, so that a point means the same at every time range. ``since`` fixes the time range. The series with the
    highest last value comes first in the legend, and a name has the same colour in every graph.
    """
    return core.TimeSeries(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, exemplars=exemplars),
        maxDataPoints=None,
        interval=interval or ("5m" if bars else "1m"),
        timeFrom=since or None,
        colorMode="palette-classic-by-name",
        unit=unit,
        axisLabel=axis,
        axisSoftMin=0,
        valueMax=maximum,
        drawStyle="bars" if bars else "line",
        fillOpacity=70 if bars else 40 if stacked else 8,
        lineWidth=0 if bars else 1,
        showPoints="never" if bars or stacked else "auto",
        stacking={"mode": "normal" if bars or stacked else "none", "group": "A"},
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
            "options": {"legend": {"showLegend": legend, "sortBy": "Last *", "sortDesc": True}},
        },
    )


_GAP = {
    "type": "special",
    "options": {"match": "null+nan", "result": {"text": EMPTY, "color": "transparent", "index": 99}},
}


def timeline(
    panel: Panel,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    words: Mapping[str, tuple[str, str]],
    no_value: str,
    links: Sequence[Json] = (),
    interval: str = "1m",
) -> core.StateTimeline:
    """Return states over time, as words and colours."""
    return core.StateTimeline(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries),
        maxDataPoints=None,
        interval=interval,
        colorMode="palette-classic",  # with thresholds Grafana ignores the words when it merges equal values
        mappings=[*value_map(words), _GAP],
        rowHeight=0.8,
        tooltipMode="multi",
        thresholds=steps(GREY),
        extraJson={
            "fieldConfig": {"defaults": {"links": list(links), "noValue": no_value, "unit": "none"}},
            "options": {"legend": {"showLegend": True, "calcs": []}, "tooltip": {"sort": "none"}},
        },
    )


def status_history(
    panel: Panel,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    words: Mapping[str, tuple[str, str]],
    no_value: str,
) -> core.Panel:
    """Return states over time as a grid: a row for each series, a cell for each of 48 moments."""
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries),
        maxDataPoints=48,
        interval="5m",
        thresholds=steps(GREY),
        extraJson={
            "type": "status-history",
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "palette-classic"},
                    "custom": {
                        "fillOpacity": 80,
                        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
                        "lineWidth": 1,
                    },
                    "mappings": [*value_map(words), _GAP],
                    "noValue": no_value,
                    "unit": "none",
                },
                "overrides": [],
            },
            "options": {
                "showValue": "never",
                "rowHeight": 0.9,
                "colWidth": 0.9,
                "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            },
        },
    )
