"""The dashboard ``quality``: gate verdicts, failing tests, security findings, failing stages."""

from collections.abc import Sequence

from jelmon_generators.dashboards.dashboard import dashboard_file
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.overview import overview
from jelmon_generators.dashboards.quality import gates, recommendations, security, stages, tests, trends, waterfall
from jelmon_generators.dashboards.quality import objectives as objective_rows
from jelmon_generators.model.objectives import Objective


def render(limits: Limits, objectives: Sequence[Objective] = ()) -> tuple[str, str]:
    """Return path and text of the dashboard."""
    tiles = [
        trends.score(),
        gates.failed_gates(limits),
        tests.failed_tests(),
        tests.flaky_tests(),
        security.serious_findings(),
        security.failed_scans(),
    ]
    return dashboard_file(
        name="quality",
        title="Jelmore / Quality",
        description="Which gates, tests and stages fail, what do the security scans find, are objectives kept?",
        rows=[
            overview(limits),
            Line(4, tiles),
            *gates.rows(limits),
            *trends.rows(limits, objectives),
            *objective_rows.rows(objectives),
            *tests.rows(limits),
            *waterfall.rows(),
            *stages.rows(recommendations.savings()),
            *recommendations.rows(),
            *security.rows(limits),
        ],
    )
