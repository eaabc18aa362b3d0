"""All dashboards as files."""

from collections.abc import Sequence

import jelmon_generators.dashboards.bottlenecks.dashboard as bottlenecks
import jelmon_generators.dashboards.pipeline.dashboard as pipeline
import jelmon_generators.dashboards.quality.dashboard as quality
from jelmon_generators.dashboards import lint
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.model.objectives import Objective


def render(limits: Limits, objectives: Sequence[Objective] = ()) -> dict[str, str]:
    """Return the JSON text of each dashboard by path, relative to the repository's root."""
    dashboards = dict((bottlenecks.render(limits), pipeline.render(limits), quality.render(limits, objectives)))
    return {**dashboards, lint.PATH: lint.exceptions(dashboards)}
