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
    beside: bool = False,
) -> core.BarChart:
    """Return horizontal bars made of parts, from instant queries; ``row`` is the field that names a bar.

    ``beside`` puts the parts side by side instead of end to end.
    """
    return core.BarChart(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(*queries, instant=True, form="table"),
        transformations=transformations,
        maxDataPoints=None,
        orientation="horizontal",
        stacking="none" if beside else "normal",
        showValue="auto" if beside else "never",  # in stacks the value would be drawn over the next part
        tooltipMode="multi",
        tooltipSort="desc",
        thresholdSteps=steps(OK),
        overrides=list(overrides),
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "color": {"fixedColor": None, "mode": "palette-classic-by-name"},
                    "links": list(links),
                    "min": 0,
                    "noValue": no_value,
                    "unit": unit,
                }
            },
            "options": {"xField": row, "fullHighlight": False, "xTickLabelMaxLength": 32},
        },
    )


def grouped(row: str, column: str) -> Json:
    """Return the transformation of a query by two labels to a bar for each row with a part for each column."""
    return {"id": "groupingToMatrix", "options": {"columnField": column, "rowField": row, "valueField": "Value"}}


def merged(row: str, *parts: str, without: tuple[str, ...] = ()) -> list[Json]:
    """Return the transformations of one query per part to a bar for each value of the label ``row``."""
    letters = {f"Value #{chr(ord('A') + index)}": part for index, part in enumerate(parts)}
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(("Time", *without), True),
                "indexByName": {row: 0, **{letter: index for index, letter in enumerate(letters, start=1)}},
                "renameByName": letters,
            },
        },
    ]
