"""Advice on the dashboard ``quality``: with its text from PostgreSQL, and without it from Prometheus."""

from grafanalib import core

from jelmon.catalogue import SUGGESTION_GAIN
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import DATABASE_ROW, NO_DATABASE, stage_of_row
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.sql import chosen, sql_table
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_QUERY = f"""
SELECT pipeline, stage, strategy, advice, expected_seconds AS "expected saving",
  before_seconds - after_seconds AS "real saving", opened_at AS opened,
  CASE WHEN applied_at IS NOT NULL THEN 'applied' WHEN closed_at IS NOT NULL THEN 'closed' ELSE 'open' END AS state
FROM jelmore.recommendations
WHERE (closed_at IS NULL OR $__timeFilter(opened_at) OR $__timeFilter(closed_at))
  AND {chosen("pipeline", "pipeline")} AND {chosen("stage", "stage")}
ORDER BY (closed_at IS NULL) DESC, expected_seconds DESC NULLS LAST LIMIT 200
""".strip()


def rows() -> list[Heading | Line]:
    """Return the row."""
    return [Heading(106, f"Recommendations with their advice {DATABASE_ROW}", collapsed=True), Line(9, [_advice()])]


def savings() -> core.Panel:
    """Return the open suggestions, for which no database is needed."""
    return table(
        QualityPanel.SAVINGS,
        "Open suggestions and the time per card that they would save. Their advice is in the recommendations "
        "(PostgreSQL).",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage", links=[stage_of_row("bottlenecks", "Show only this stage")]),
            Column(name="strategy", label="strategy", width=130),
            Column(
                name="saved per card",
                query=queries.gauge(SUGGESTION_GAIN, by=("pipeline", "stage", "strategy"), how="max"),
                unit="s",
            ),
        ],
        no_value="no suggestions with a known gain",
        sort_by="saved per card",
    )


def _advice() -> core.Panel:
    return sql_table(
        QualityPanel.RECOMMENDATIONS,
        "What would help, most promising first: the advice, the expected and the real saving per card, and whether it "
        "was applied. Open ones, and those of the selected time range.",
        _QUERY,
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(name="strategy", label="strategy", width=120),
            Column(name="advice", label="advice", width=420),
            Column(name="expected saving", label="expected saving", unit="s"),
            Column(name="real saving", label="real saving", unit="s"),
            Column(name="opened", label="opened", width=160),
            Column(name="state", label="state", width=80),
        ],
        no_value=NO_DATABASE,
        sort_by="expected saving",
    )
