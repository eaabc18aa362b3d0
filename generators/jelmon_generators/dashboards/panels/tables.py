"""Tables with one row per combination of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafanalib import core

from jelmon_generators.dashboards.fields import TEXT, Json, override, steps
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, RawPanel, targets
from jelmon_generators.model.dashboards import Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: its name, its query or label, and how its values look."""

    name: str
    query: str = ""
    label: str = ""
    unit: str = "short"
    levels: list[Json] | None = None
    links: Sequence[Json] = ()
    mappings: Sequence[Json] = ()
    width: int | None = None


def table(
    panel: Panel,
    description: str,
    columns: Sequence[Column],
    *,
    no_value: str,
    sort_by: str,
    descending: bool = True,
) -> core.Panel:
    """Return a table with one row per label combination, joined from one instant query per value column."""
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
                "overrides": [override for column in columns if (override := _column_override(column))["properties"]],
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
