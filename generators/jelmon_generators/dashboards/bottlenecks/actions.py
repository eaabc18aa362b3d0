"""What was done, on the dashboard ``bottlenecks``: automated actions, and whether the alert ended."""

from grafanalib import core

from jelmon.catalogue import ACTIONS_FINISHED, ACTIONS_REQUESTED
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import DATABASE_ROW, NO_DATABASE, OK, TEXT, WARNING, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.sql import chosen, sql_table
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_RANGE = "$__range"
_QUERY = f"""
SELECT a.requested_at AS requested, a.action, a.requested_by AS "requested by", a.pipeline, a.stage,
  COALESCE(a.outcome, 'pending') AS outcome,
  EXTRACT(EPOCH FROM h.ends_at - a.requested_at) AS "alert ended after", a.detail
FROM jelmore.action_log a LEFT JOIN jelmore.alert_history h USING (fingerprint, starts_at)
WHERE $__timeFilter(a.requested_at) AND {chosen("a.pipeline", "pipeline")} AND {chosen("a.stage", "stage")}
ORDER BY a.requested_at DESC LIMIT 500
""".strip()


def rows() -> list[Heading | Line]:
    """Return the row."""
    return [Heading(105, f"Action log {DATABASE_ROW}", collapsed=True), Line(9, [_log()])]


def actions() -> core.Panel:
    """Return the counts of automated actions, for which no database is needed."""
    by = ("action",)
    finished = queries.increase(ACTIONS_FINISHED, _RANGE, by=by)
    return table(
        BottlenecksPanel.ACTIONS,
        "Automated actions in the selected time range, by what they do: how many were requested and finished, and the "
        "share that succeeded. The action log (PostgreSQL) says which alert asked, and how soon it ended.",
        [
            Column(name="action", label="action", width=150),
            Column(name="requested", query=queries.count(ACTIONS_REQUESTED, _RANGE, by=by), unit="locale"),
            Column(name="finished", query=queries.count(ACTIONS_FINISHED, _RANGE, by=by), unit="locale"),
            Column(
                name="succeeded",
                query=queries.ratio(queries.increase(ACTIONS_FINISHED, _RANGE, by=by, outcome="success"), finished),
                unit="percentunit",
                decimals=0,
                levels=steps(TEXT, (0, WARNING), (0.8, OK)),
            ),
        ],
        no_value="no actions were requested",
        sort_by="requested",
    )


def _log() -> core.Panel:
    return sql_table(
        BottlenecksPanel.ACTION_LOG,
        "Automated actions, newest first: the alert that asked, how the action ended, and how long after it the alert "
        "ended (empty: it has not). An alert that ends need not have ended because of the action.",
        _QUERY,
        [
            Column(name="requested", label="requested", width=170),
            Column(name="action", label="action", width=150),
            Column(name="requested by", label="requested by", width=180),
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(name="outcome", label="outcome"),
            Column(name="alert ended after", label="alert ended after", unit="s"),
            Column(name="detail", label="detail", width=240),
        ],
        no_value=NO_DATABASE,
        sort_by="requested",
    )
