"""XY charts: bubbles and radars, in the form of Grafana 11.1 and later."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grafanalib import core

from jelmon_generators.dashboards.fields import OK, Json, fixed, override, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series of an XY chart, by the names of its fields."""

    name: str
    x: str
    y: str
    size: str = ""
    colour: str = ""  # fixed; empty: by the palette


def xy_chart(
    panel: Panel,
    description: str,
    queries: Sequence[str],
    series: Sequence[Series],
    *,
    fields: Mapping[str, str],
    transformations: Sequence[Json] = (),
    show: str,
    no_value: str,
    custom: Json | None = None,
    low: float | None = None,
    high: float | None = None,
    overrides: Iterable[Json] = (),
    legend: bool = True,
) -> core.Panel:
    """Return an XY chart over instant queries joined by their labels.

    ``fields`` names the fields, by label or by letter of the query (``Value #A``); ``show`` is points, lines or both.
    """
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: index for index, name in enumerate(fields)},
        "renameByName": dict(fields),
    }
    colours = [override(one.y, color=fixed(one.colour)) for one in series if one.colour]
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*(("", query) for query in queries), instant=True, form="table"),
        maxDataPoints=None,
        thresholds=steps(OK),
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "organize", "options": organize},
            *transformations,
        ],
        extraJson={
            "type": "xychart",
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "palette-classic"},
                    "custom": {
                        "show": show,
                        "pointSize": {"fixed": 8, "min": 8, "max": 50},
                        "pointShape": "circle",
                        "fillOpacity": 50,
                        "axisPlacement": "auto",
                        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
                        **(custom or {}),
                    },
                    "max": high,
                    "min": low,
                    "noValue": no_value,
                    "unit": "none",
                },
                "overrides": [*colours, *overrides],
            },
            "options": {
                "mapping": "manual",
                "series": [_series(one) for one in series],
                "legend": {"showLegend": legend, "displayMode": "list", "placement": "bottom", "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            },
        },
    )


def _series(one: Series) -> Json:
    def field(name: str) -> Json:
        return {"matcher": {"id": "byName", "options": name}}

    return {
        "name": {"fixed": one.name},
        "frame": {"matcher": {"id": "byIndex", "options": 0}},
        "x": field(one.x),
        "y": field(one.y),
        **({"size": field(one.size)} if one.size else {}),
    }
