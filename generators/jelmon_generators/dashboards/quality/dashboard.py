"""The dashboard ``quality``: gate verdicts, failing tests, security findings, failing stages."""

from jelmon_generators.dashboards.dashboard import dashboard_file
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.overview import overview
from jelmon_generators.dashboards.quality import gates, security, stages, tests


def render(limits: Limits) -> tuple[str, str]:
    """Return path and text of the dashboard."""
    tiles = [gates.failed_gates(limits), tests.failed_tests(), security.serious_findings(), security.failed_scans()]
    return dashboard_file(
        name="quality",
        title="Jelmore / Quality",
        description="Which gates, tests and stages fail, and what do the security scans find?",
        rows=[
            overview(limits),
            Line(4, tiles),
            *gates.rows(limits),
            *tests.rows(),
            *security.rows(),
            *stages.rows(),
        ],
    )
