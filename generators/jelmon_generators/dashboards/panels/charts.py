"""Bar charts and heatmaps."""

from collections.abc import Iterable, Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import OK, Json, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel


def stacked_bars(
    panel: Panel,
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
    """Return horizontal bars made of parts, from instant queries; ``row`` is the field that names a bar."""
    return core.BarChart(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True, form="table"),
        transformations=transformations,
        maxDataPoints=None,
        orientation="horizontal",
        stacking="normal",
        showValue="never",  # in stacks the value would be drawn over the next part
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
    panel: Panel,
    description: str,
    query: tuple[str, str],
    *,
    no_value: str,
    since: str,
    maximum: float | None = None,
    unit: str = "none",
    scheme: str = "RdYlGn",
) -> core.Panel:
    """Return a heatmap with one row per series over its own time range.

    Colours run from 0 to ``maximum``, or to the maximum of the data.
    """
    return RawPanel(
        id=panel.number,
        title=panel.title,
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
                "filterValues": {"le": -1},  # the default turns 0 into a gap
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", "reverse": True, "unit": "none"},
            },
        },
    )
