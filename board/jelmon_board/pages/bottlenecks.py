"""The bottleneck page: where cards waited, what a faster stage would gain, what was advised and whether it helped."""

import math
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from jelmon import catalogue as c
from jelmon_board.charts.heat_map import heat_map
from jelmon_board.collection import Collector, Snapshot
from jelmon_board.model import lines
from jelmon_board.model.lines import DAY
from jelmon_board.model.pipelines import Stage, stages
from jelmon_board.pages.pipeline import CAUSES
from jelmon_board.pages.plots import histories

CELLS = 48
MOST_STAGES = 40
_DETAILED = 12
"""Pipelines whose stages are compared, unless one is chosen."""


async def bottlenecks(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the template shows, of all pipelines or of one."""
    snapshot = collector.snapshot
    wanted = request.query.get("pipeline", "")
    chosen = [row for row in snapshot.pipelines if wanted in ("", row.name)][:_DETAILED]
    own = [
        stage
        for row in chosen
        for stage in stages(snapshot.samples, snapshot.latest, snapshot.alerts, row.name, snapshot.taken)
    ]
    heat, problem = await _heat(collector, own, [row.name for row in chosen])
    return {
        "wanted": wanted,
        "names": [row.name for row in snapshot.pipelines][:200],
        "chosen": chosen,
        "heat": heat,
        "problem": problem,
        "causes": CAUSES,
        "gains": sorted(
            (stage for stage in own if stage.gain_seconds is not None),
            key=lambda stage: -(stage.gain_seconds or 0),
        )[:MOST_STAGES],
        "limits": [row for row in chosen if row.limit],
        "suggestions": [(row.name, advice) for row in chosen for advice in row.suggestions][:40],
        "results": [row for row in _results(snapshot) if wanted in ("", row[0])],
        "actions": [
            episode
            for episode in snapshot.episodes
            if episode.actions and not episode.level and wanted in ("", episode.pipeline)
        ][:30],
    }


async def _heat(collector: Collector, own: Sequence[Stage], names: Sequence[str]) -> tuple[str, str]:
    """Return the heat map, or the problem that prevents it."""
    wish = (lines.STAGE_SEVERITY, DAY)
    found = (await histories(collector, [wish], names))[wish] if names else ""
    if isinstance(found, str):
        return "", found
    cells = {}
    for stage in own[:MOST_STAGES]:
        values = found.of(stage.pipeline, stage.name)
        if any(value == value for value in values):
            cells[stage.pipeline, stage.name] = _coarse(values)
    return heat_map(cells, seconds=DAY.seconds, with_pipeline=len(names) > 1) if cells else "", ""


def _results(snapshot: Snapshot) -> list[tuple[str, str, dict[str, float], float | None]]:
    """Return pipeline, strategy, number of results by kind, and the time saved, of what was applied."""
    applied = snapshot.samples.by(c.SUGGESTIONS_APPLIED, "pipeline", "strategy", "result")
    saved = snapshot.samples.by(c.SUGGESTIONS_SAVED, "pipeline", "strategy")
    return [
        (
            pipeline,
            strategy,
            {result: applied.get((pipeline, strategy, result), 0.0) for result in ("better", "same", "worse")},
            saved.get((pipeline, strategy)),
        )
        for pipeline, strategy in sorted({(key[0], key[1]) for key, count in applied.items() if count})
    ]


def _coarse(values: Sequence[float]) -> list[float]:
    """Return the highest value in each of the cells."""
    size = max(1, math.ceil(len(values) / CELLS))
    cells = []
    for start in range(0, len(values), size):
        known = [value for value in values[start : start + size] if value == value]
        cells.append(max(known) if known else math.nan)
    return cells
