"""The dashboard ``bottlenecks``: where cards wait, who is busy, which stage limits the pipeline, what would help."""

from jelmon_generators.dashboards.bottlenecks import (
    actions,
    analyzer,
    queues,
    severity,
    suggestions,
    utilization,
    workers,
)
from jelmon_generators.dashboards.dashboard import dashboard_file
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.overview import overview


def render(limits: Limits) -> tuple[str, str]:
    """Return path and text of the dashboard. Queues and workers need the exporter only, the rest the analyzer."""
    tiles = [
        queues.longest_queue(),
        queues.longest_wait(),
        workers.busiest_stage(),
        workers.blocked_cards(),
        analyzer.severity_now(limits),
        analyzer.limiting_stage(limits),
    ]
    return dashboard_file(
        name="bottlenecks",
        title="Jelmore / Bottlenecks",
        description="Where do cards wait, which workers are busy, which stage limits the pipeline, what would help?",
        rows=[
            overview(limits),
            Line(4, tiles),
            *severity.rows(limits),
            *queues.rows(),
            *workers.rows(limits),
            utilization.line(),
            *analyzer.rows(limits),
            *suggestions.rows(limits, actions.actions()),
            *actions.rows(),
        ],
    )
