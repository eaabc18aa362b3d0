"""A dashboard file: panels, variables, links and annotations as JSON text."""

from collections.abc import Sequence
from typing import Any

from grafanalib import core

from jelmon.catalogue import (
    ACTIONS_REQUESTED,
    ANALYZER_SUCCESS,
    CARDS_IN_PROGRESS,
    EXPORTER_INFO,
    REGRESSION_CHANGE_POINT,
    STAGE_IN_PROGRESS,
    WORK_RECORDED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import CRITICAL, WARNING, Json
from jelmon_generators.dashboards.layout import Heading, Line, arrange
from jelmon_generators.dashboards.panels.grafana_json import DATASOURCE, lean
from jelmon_generators.model.dashboards import DASHBOARD_UIDS
from jelmon_generators.text import json_text

SCHEMA_VERSION = 41

TAG = "jelmore"

_NONE = {"selected": False, "text": "", "value": ""}
_DEFAULT = {"selected": False, "text": "default", "value": "default"}  # not the first by the alphabet


def dashboard_file(
    *, name: str, title: str, description: str, rows: Sequence[Heading | Line], stage_variable: bool = True
) -> tuple[str, str]:
    """Return path and text of a dashboard.

    ``name`` is the name of its package and of its file, and the end of its uid.
    """
    dashboard = core.Dashboard(
        title=title,
        uid=DASHBOARD_UIDS[name],
        description=f"{description} (generated from generators/jelmon_generators/dashboards/{name}/, do not edit)",
        tags=[TAG],
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        refresh="30s",
        schemaVersion=SCHEMA_VERSION,
        time=core.Time("now-3h", "now"),
        timezone="browser",
    )
    data: Json = {
        key: dashboard.to_json_data()[key]
        for key in (
            *("title", "uid", "id", "description", "tags", "editable", "graphTooltip", "refresh"),
            *("schemaVersion", "timezone"),
        )
    }
    data["time"] = dashboard.time.to_json_data()
    data["timepicker"] = {"refresh_intervals": ["10s", "30s", "1m", "5m", "15m", "1h"]}
    data["links"] = [_siblings()]
    data["annotations"] = {"list": _annotations()}
    data["templating"] = {"list": _variables(stage=stage_variable)}
    data["panels"] = [lean(panel) for panel in arrange(rows)]
    return f"grafana/dashboards/{name}.json", json_text(data, sort_keys=True)


def _variables(*, stage: bool) -> list[Json]:
    services = f'{{__name__=~"{EXPORTER_INFO.name}|{ANALYZER_SUCCESS.name}"'
    variables = [
        _choice("job", "Job", f"label_values({services}}}, job)", all_value=".+"),
        _choice("instance", "Instance", f'label_values({services}, job=~"$job"}}, instance)', all_value=".+"),
        # alerts that do not belong to a pipeline lack the label; "All" must match them too
        _choice(
            "pipeline",
            "Pipeline",
            f"label_values({_series(CARDS_IN_PROGRESS.name)}, pipeline)",
            all_value=".*",
        ),
    ]
    if stage:
        within = _series(STAGE_IN_PROGRESS.name, 'pipeline=~"$pipeline"')
        variables.append(_choice("stage", "Stage", f"label_values({within}, stage)", all_value=".*"))
    return [
        _source("prometheus", "Prometheus data source", current=_DEFAULT),
        _source("postgres", "Postgres data source", current=_NONE),  # the default one may be of another kind
        *variables,
    ]


def _source(kind: str, label: str, *, current: Json) -> Json:
    return {
        "current": current,
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": f"{kind}_datasource",
        "options": [],
        "query": kind,
        "refresh": 1,
        "regex": "",
        "type": "datasource",
    }


def _series(name: str, *matchers: str) -> str:
    joined = ", ".join((*matchers, 'job=~"$job"', 'instance=~"$instance"'))
    return f"{name}{{{joined}}}"


def _choice(name: str, label: str, query: str, *, all_value: str) -> Json:
    return {
        "allValue": all_value,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": query,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": query,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }


def _siblings() -> Json:
    siblings: Json = core.DashboardLink(
        title="Jelmore", tags=[TAG], type="dashboards", includeVars=True, keepTime=True, icon="external link"
    ).to_json_data()
    return siblings


def _annotations() -> list[Json]:
    builtin: dict[str, Any] = {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }
    critical = {
        "datasource": DATASOURCE,
        "enable": False,  # an alert that comes and goes hides the lines of a graph
        "expr": queries.alerts("firing", severity="critical"),
        "iconColor": CRITICAL,
        "name": "Critical alerts",
        "step": "30s",
        "tagKeys": "pipeline,stage",
        "titleFormat": "{{alertname}}",
    }
    changed = {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": f"{queries.announced(REGRESSION_CHANGE_POINT)} * 1000",  # Grafana wants milliseconds
        "iconColor": WARNING,
        "name": "Change points",
        "step": "60s",
        "tagKeys": "pipeline,stage",
        "titleFormat": "{{signal}} changed",
        "useValueForTime": True,
    }
    return [
        builtin,
        critical,
        changed,
        _event("Automated actions", _actions(), "blue", "{{action}} requested"),
        _event("Deployments", _deployments(), "purple", "{{tool}} {{kind}}: {{outcome}}"),
    ]


def _event(name: str, expression: str, colour: str, title: str) -> Json:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expression,
        "iconColor": colour,
        "name": name,
        "step": "60s",
        "tagKeys": "",
        "titleFormat": title,
    }


def _actions() -> str:
    """Return the actions of the last minute. The counter's series may appear with its first action."""
    return f"{queries.increase(ACTIONS_REQUESTED, '1m', by=('action',))} > 0"


def _deployments() -> str:
    """Return the recorded work whose kind begins with "deploy"."""
    by = ("tool", "kind", "outcome")
    return f"{queries.increase(WORK_RECORDED, '1m', by=by, kind='=~deploy.*')} > 0"
