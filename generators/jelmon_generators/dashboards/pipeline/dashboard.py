"""The dashboard ``pipeline``: who is stuck and where; then health, trends, cards and stages; the rest is collapsed."""

from jelmon_generators.dashboards.dashboard import dashboard_file
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.overview import overview
from jelmon_generators.dashboards.pipeline import (
    cards,
    database,
    events,
    first_screen,
    health,
    host,
    monitoring,
    performance,
    regressions,
    services,
    stages,
    trends,
)


def render(limits: Limits) -> tuple[str, str]:
    """Return path and text of the dashboard."""
    return dashboard_file(
        name="pipeline",
        title="Jelmore / Pipeline",
        description="Is the pipeline moving, how fast, how long do cards take, which alerts fire, is the host healthy?",
        rows=[
            *first_screen.lines(limits),
            overview(limits),
            *health.rows(),
            *performance.rows(limits),
            *trends.rows(),
            *regressions.rows(limits),
            *cards.rows(limits),
            *stages.rows(),
            *database.rows(),
            *services.rows(limits),
            *host.rows(limits),
            *events.rows(limits),
            *monitoring.rows(limits),
        ],
    )
