"""The Grafana dashboards, rendered from code: queries from the catalogue, panels over grafanalib."""

from jelmon_generators.dashboards import bottlenecks, pipeline, quality
from jelmon_generators.dashboards.limits import Limits


def render(limits: Limits) -> dict[str, str]:
    """Path (relative to the repository's root) and JSON text of each dashboard; the same bytes at every call."""
    return dict(module.render(limits) for module in (bottlenecks, pipeline, quality))
