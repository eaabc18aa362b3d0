"""All dashboards as files."""

import json
from collections.abc import Sequence

import jelmon_generators.dashboards.bottlenecks.dashboard as bottlenecks
import jelmon_generators.dashboards.pipeline.dashboard as pipeline
import jelmon_generators.dashboards.quality.dashboard as quality
from jelmon_generators.dashboards import lint
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.variants import PLAIN, Variant
from jelmon_generators.model.objectives import Objective
from jelmon_generators.text import json_text


def render(limits: Limits, objectives: Sequence[Objective] = (), variant: Variant = PLAIN) -> dict[str, str]:
    """Return the JSON text of each dashboard by path, relative to the repository's root."""
    dashboards = dict((bottlenecks.render(limits), pipeline.render(limits), quality.render(limits, objectives)))
    if variant != PLAIN:
        dashboards = {path: _in_form(text, variant) for path, text in dashboards.items()}
    return {**dashboards, lint.PATH: lint.exceptions(dashboards)}


def _in_form(text: str, variant: Variant) -> str:
    board = json.loads(text)
    return json_text(variant.of(board, board["uid"]), sort_keys=True)
