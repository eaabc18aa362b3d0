"""Tables with one row per combination of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafanalib import core

from jelmon_generators.dashboards.fields import TEXT, Json, override, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel

COUNT = "locale"
"""The unit of whole numbers."""

_DIGIT, _MARGIN = 8, 24  # pixels of a character of the header, and of what surrounds it
_VALUE_WIDTHS = {"s": 85, "percentunit": 70, COUNT: 60, "dateTimeFromNow": 125}
_VALUE_WIDTH = 60
_TEXT_WIDTH = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: its name, its query or label, and how its values look.

    Figures get the width that they need, and the columns of labels share what is left but never shrink below
    ``width``: otherwise Grafana gives every column 150 pixels and cuts off the last ones.
    """

    name: str
    query: str = ""
    label: str = ""
    unit: str = "short"
    levels: list[Json] | None = None
    links: Sequence[Json] = ()
    mappings: Sequence[Json] = ()
    width: int = 0
    decimals: int | None = None
    filled: bool = False  # colour the cell, not the text
    hidden: bool = False  # there for links only
    gauge: bool = False  # a bar beside the figure

    @property
    def pixels(self) -> int:
        """The least width at which the header and the values can be read."""
        header = _DIGIT * len(self.name) + _MARGIN
        return self.width or max(header, _VALUE_WIDTHS.get(self.unit, _VALUE_WIDTH) if self.query else _TEXT_WIDTH)


def table(
    panel: Panel,
    description: str,
    columns: Sequence[Column],
    *,
    no_value: str,
    sort_by: str,
    descending: bool = True,
    group: Sequence[Json] = (),
) -> core.Panel:
    """Return a table with one row per label combination, joined from one instant query per value column.

    ``group`` are transformations between the join and the choice of columns.
    """
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
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=series,
        maxDataPoints=None,
        thresholds=steps(TEXT),
        transformations=[*merge, *group, {"id": "organize", "options": organize}],
        extraJson=table_body(columns, no_value=no_value, sort_by=sort_by, descending=descending),
    )


def table_body(columns: Sequence[Column], *, no_value: str, sort_by: str, descending: bool) -> Json:
    """Return what makes a panel a table of these columns."""
    return {
        "type": "table",
        "fieldConfig": {
            "defaults": {
                "color": {"mode": "thresholds"},
                "custom": {
                    "align": "auto",
                    "cellOptions": {"type": "auto"},
                    "filterable": False,  # its button takes the place of the header
                    "inspect": False,
                    "minWidth": _VALUE_WIDTH,
                },
                "noValue": no_value,
                "unit": "short",
            },
            "overrides": [_column_override(column) for column in columns],
        },
        "options": {
            "showHeader": True,
            "cellHeight": "sm",
            "frameIndex": 0,
            "sortBy": [{"displayName": sort_by, "desc": descending}],
        },
    }


def matrix(
    panel: Panel,
    description: str,
    query: str,
    *,
    row: str,
    column: str,
    unit: str,
    levels: list[Json],
    mappings: Sequence[Json],
    no_value: str,
) -> core.Panel:
    """Return a table with a row and a column for each value of two labels."""
    corner = f"{row}\\{column}"
    grouping = {"columnField": column, "rowField": row, "valueField": "Value", "emptyValue": "null"}
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=DATASOURCE,
        targets=targets(("", query), instant=True, form="table"),
        maxDataPoints=None,
        thresholds=levels,
        transformations=[{"id": "groupingToMatrix", "options": grouping}],
        extraJson={
            "type": "table",
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "thresholds"},
                    "custom": {
                        "align": "center",
                        "cellOptions": {"type": "color-background", "mode": "basic"},
                        "filterable": False,
                        "inspect": False,
                        "minWidth": _VALUE_WIDTH,
                    },
                    "decimals": 0,
                    "mappings": list(mappings),
                    "noValue": no_value,
                    "unit": unit,
                },
                "overrides": [
                    override(
                        corner,
                        displayName=row,
                        custom__align="left",
                        custom__cellOptions={"type": "auto"},
                        custom__minWidth=140,
                    )
                ],
            },
            "options": {"showHeader": True, "cellHeight": "sm", "frameIndex": 0, "sortBy": []},
        },
    )


def _column_override(column: Column) -> Json:
    if column.hidden:
        return override(column.name, custom__hidden=True)
    properties: Json = {"custom__width" if column.query else "custom__minWidth": column.pixels}
    if column.links:
        properties["links"] = list(column.links)
    if column.query:
        properties["unit"] = column.unit
    if column.unit == COUNT or column.decimals is not None:
        properties["decimals"] = column.decimals or 0
    if column.mappings:
        properties["mappings"] = list(column.mappings)
    if column.levels:
        properties["thresholds"] = {"mode": "absolute", "steps": column.levels}
    if column.gauge:
        properties["custom__cellOptions"] = {"type": "gauge", "mode": "basic"}
    elif column.levels or column.mappings:
        how = {"type": "color-background", "mode": "basic"} if column.filled else {"type": "color-text"}
        properties["custom__cellOptions"] = how
    return override(column.name, **properties)
