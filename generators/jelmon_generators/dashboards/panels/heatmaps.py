"""Heat maps: stage by time, and observations by bucket and time."""

from grafanalib import core

from jelmon_generators.dashboards.fields import OK, Json, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel

STEP = "15m"
"""Width of a cell. Queries look forward (``offset -15m``), so that a cell shows the time that begins at its edge and
the current one is not left out."""

_COLOUR_STEPS = 16
_NAMES_WIDTH = 190  # pixels; fits "checkout / test_execution"


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
    reverse: bool = False,
) -> core.Panel:
    """Return a heat map with one row per series over its own time range.

    Colours run from 0 to ``maximum``, or to the maximum of the data; ``reverse`` turns the scheme round.
    """
    return _heatmap(
        panel,
        description,
        targets(query),
        no_value=no_value,
        cell_unit=unit,
        interval=STEP,
        since=since,
        color={"min": 0, "max": maximum, "scheme": scheme, "reverse": reverse},
        axis={"unit": "none", "reverse": True, "axisWidth": _NAMES_WIDTH},
        below=-1,  # the default turns 0 into a gap
    )


def buckets(panel: Panel, description: str, query: str, *, unit: str, no_value: str, interval: str) -> core.Panel:
    """Return a heat map of a histogram: how many observations fell into each bucket."""
    series = targets(("{{le}}", query), form="heatmap")
    return _heatmap(
        panel,
        description,
        series,
        no_value=no_value,
        cell_unit="short",
        interval=interval,
        since=None,
        color={"scheme": "Blues", "reverse": False},
        axis={"unit": unit, "reverse": False},
        below=1e-9,  # empty buckets are gaps
    )


def _heatmap(
    panel: Panel,
    description: str,
    series: list[Json],
    *,
    no_value: str,
    cell_unit: str,
    interval: str,
    since: str | None,
    color: Json,
    axis: Json,
    below: float,
) -> core.Panel:
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=series,
        maxDataPoints=None,
        interval=interval,
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
                    "unit": cell_unit,
                },
                "overrides": [],
            },
            "options": {
                "calculate": False,
                "cellGap": 1,
                "cellValues": {"unit": cell_unit},
                "color": {
                    "exponent": 0.5,
                    "fill": "dark-orange",
                    "mode": "scheme",
                    "scale": "exponential",
                    "steps": _COLOUR_STEPS,
                    **color,
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": below},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
                "yAxis": {"axisPlacement": "left", **axis},
            },
        },
    )
