"""Donuts: the parts of a whole."""

from collections.abc import Iterable, Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import OK, Json, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel


def donut(
    panel: Panel,
    description: str,
    queries: Sequence[tuple[str, str]],
    *,
    unit: str,
    no_value: str,
    overrides: Iterable[Json] = (),
) -> core.Panel:
    """Return a donut with a part for each series, largest first."""
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True),
        maxDataPoints=None,
        thresholds=steps(OK),
        extraJson={
            "type": "piechart",
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "palette-classic-by-name"},
                    "custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}},
                    "decimals": 0,
                    "noValue": no_value,
                    "unit": unit,
                },
                "overrides": list(overrides),
            },
            "options": {
                "pieType": "donut",
                "displayLabels": ["percent"],
                "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
                "legend": {
                    "showLegend": True,
                    "displayMode": "table",
                    "placement": "right",
                    "calcs": [],
                    "values": ["value", "percent"],
                },
                "sort": "desc",
                "tooltip": {"mode": "single", "sort": "none"},
            },
        },
    )
