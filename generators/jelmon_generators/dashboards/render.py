"""All dashboards as files."""

import jelmon_generators.dashboards.bottlenecks.dashboard as bottlenecks
import jelmon_generators.dashboards.pipeline.dashboard as pipeline
import jelmon_generators.dashboards.quality.dashboard as quality
from jelmon_generators.dashboards.limits import Limits


def render(limits: Limits) -> dict[str, str]:
    """Return the JSON text of each dashboard by path, relative to the repository's root."""
    return dict(dashboard.render(limits) for dashboard in (bottlenecks, pipeline, quality))
