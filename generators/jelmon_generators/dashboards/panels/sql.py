"""Tables from PostgreSQL: what Prometheus cannot hold, such as texts and single events."""

from collections.abc import Sequence
from dataclasses import replace

from grafanalib import core

from jelmon_generators.dashboards.fields import TEXT, Json, steps
from jelmon_generators.dashboards.panels.grafana_json import POSTGRES, RawPanel
from jelmon_generators.dashboards.panels.tables import Column, table_body
from jelmon_generators.model.dashboards import Panel


def chosen(column: str, variable: str) -> str:
    """Return a condition on the variable's choice. ``All`` arrives as a regular expression, never as a list.

    What belongs to no pipeline or stage is shown for every choice.
    """
    return f"({column} ~ '^(${{{variable}:regex}})$' OR {column} = '')"


def sql_table(
    panel: Panel, description: str, query: str, columns: Sequence[Column], *, no_value: str, sort_by: str
) -> core.Panel:
    """Return a table of a query whose columns have the names of ``columns``."""
    target = {
        "datasource": POSTGRES,
        "editorMode": "code",
        "format": "table",
        "rawQuery": True,
        "rawSql": query,
        "refId": "A",
    }
    named: Json = {column.name: column.name for column in columns}
    shown = [replace(column, query=column.query or "-") if column.unit != "short" else column for column in columns]
    return RawPanel(
        id=panel.number,
        title=panel.title,
        description=description,
        dataSource=POSTGRES,
        targets=[target],
        maxDataPoints=None,
        thresholds=steps(TEXT),
        transformations=[{"id": "organize", "options": {"renameByName": named}}],
        extraJson=table_body(shown, no_value=no_value, sort_by=sort_by, descending=True),
    )
