"""Bar charts."""

from collections.abc import Iterable, Sequence

from grafanalib import core

from jelmon_generators.dashboards.fields import OK, Json, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, targets
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
