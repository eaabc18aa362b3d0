"""Gauges and bars: a value within its range."""

from collections.abc import Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import Json
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel

_LAST = {"values": False, "calcs": ["lastNotNull"], "fields": ""}


def gauge(
    panel: Panel, description: str, queries: Sequence[tuple[str, str]], *, levels: list[Json], no_value: str
) -> core.Panel:
    """Return round gauges of shares from 0 to 100 %."""
    options = {
        "orientation": "auto",
        "reduceOptions": _LAST,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "sizing": "auto",
        "minVizWidth": 75,
        "minVizHeight": 75,
    }
    return _share(panel, description, queries, kind="gauge", levels=levels, no_value=no_value, options=options)


def bar_gauge(
    panel: Panel, description: str, queries: Sequence[tuple[str, str]], *, levels: list[Json], no_value: str
) -> core.Panel:
    """Return horizontal bars of shares from 0 to 100 %, one under the other."""
    options = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "reduceOptions": _LAST,
    }
    return _share(panel, description, queries, kind="bargauge", levels=levels, no_value=no_value, options=options)


def _share(
    panel: Panel,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    kind: str,
    levels: list[Json],
    no_value: str,
    options: Json,
) -> core.Panel:
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True),
        maxDataPoints=None,
        thresholds=levels,
        extraJson={
            "type": kind,
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "thresholds"},
                    "decimals": 0,
                    "max": 1,
                    "min": 0,
                    "noValue": no_value,
                    "unit": "percentunit",
                },
                "overrides": [],
            },
            "options": options,
        },
    )
