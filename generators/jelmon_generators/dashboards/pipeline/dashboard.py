"""The dashboard ``pipeline``: health, regressions, cards, stages, alerts, services, host, data completeness."""

from jelmon_generators.dashboards.dashboard import dashboard_file
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.overview import overview
from jelmon_generators.dashboards.pipeline import (
    alerts,
    cards,
    events,
    health,
    host,
    monitoring,
    regressions,
    services,
    stages,
)


def render(limits: Limits) -> tuple[str, str]:
    """Return path and text of the dashboard."""
    return dashboard_file(
        name="pipeline",
        title="Jelmore / Pipeline",
        description="Is the pipeline moving, how fast, how long do cards take, which alerts fire, is the host healthy?",
        rows=[
            overview(limits),
            *health.rows(),
            *regressions.rows(limits),
            *cards.rows(limits),
            *stages.rows(),
            *alerts.rows(),
            *services.rows(limits),
            *host.rows(limits),
            *events.rows(limits),
            *monitoring.rows(limits),
        ],
    )
