"""The page of a pipeline with its map, and the page of a stage."""

from typing import Any

from aiohttp import web

from jelmon_board.charts.pipeline_map import pipeline_map
from jelmon_board.collection import Collector
from jelmon_board.model import lines
from jelmon_board.model.lines import DAY, HOUR, Line
from jelmon_board.model.pipelines import Stage, flows, stages
from jelmon_board.pages.plots import Plot, histories, plot

CAUSES = {
    "utilisation": "its workers are busy nearly all the time: add workers, or make its runs shorter",
    "variability": "its workers are not always busy, but arrivals and run times vary: smooth arrivals, or add a worker",
    "batching": "cards arrive in batches: let them arrive one by one",
    "unavailability": "workers were free and started nothing: check whether they are alive",
    "contention": "workers that it shares with other stages were busy there: give it workers of its own",
}
_PIPELINE_LINES = (lines.IDLE_AGE, lines.VELOCITY, lines.PROCESSING, lines.FAILED, lines.SEVERITY, lines.HEALTH)
_STAGE_LINES = (
    *(lines.STAGE_QUEUE, lines.STAGE_BUSY, lines.STAGE_RUN, lines.STAGE_WAIT),
    *(lines.STAGE_RATE, lines.STAGE_FAILED, lines.STAGE_SEVERITY),
)
MOST_STAGES = 40


async def pipeline(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the page of a pipeline shows."""
    snapshot, name = collector.snapshot, request.query.get("name", "")
    row = snapshot.pipeline(name)
    if row is None:
        raise web.HTTPNotFound(text=_unknown("pipeline", name))
    own = stages(snapshot.samples, snapshot.latest, snapshot.alerts, name, snapshot.taken)[:MOST_STAGES]
    moving = flows(snapshot.latest, name)
    return {
        "title": name,
        "pipeline": row,
        "stages": own,
        "limit": next((stage for stage in own if row.limit and stage.name == row.limit.stage), None),
        "map": pipeline_map(own, moving) if own else "",
        "upright": pipeline_map(own, moving, upright=True) if own else "",
        "causes": CAUSES,
        "plots": await plots(collector, _PIPELINE_LINES, name),
        "budgets": snapshot.budgets_of(pipeline=name),
    }


async def stage(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the page of a stage shows."""
    snapshot = collector.snapshot
    name, stage_name = request.query.get("pipeline", ""), request.query.get("stage", "")
    row = snapshot.pipeline(name)
    own = stages(snapshot.samples, snapshot.latest, snapshot.alerts, name, snapshot.taken)
    found = next((stage for stage in own if stage.name == stage_name), None)
    if row is None or found is None:
        raise web.HTTPNotFound(text=_unknown("stage", f"{name} / {stage_name}"))
    place = own.index(found)
    return {
        "title": f"{stage_name} of {name}",
        "pipeline": row,
        "stage": found,
        "before": own[place - 1] if place else None,
        "after": own[place + 1] if place + 1 < len(own) else None,
        "causes": CAUSES,
        "changes": [change for change in row.changes if change.stage == stage_name],
        "alerts": [alert for alert in row.alerts if alert.stage == stage_name and not alert.is_quiet],
        "suggestions": [advice for advice in row.suggestions if advice.stage in (stage_name, "")],
        "facts": _facts(found),
        "actions": [
            episode
            for episode in snapshot.episodes
            if episode.pipeline == name and episode.stage in (stage_name, "") and episode.actions and not episode.level
        ][:20],
        "plots": await plots(collector, _STAGE_LINES, name, stage_name),
    }


async def plots(collector: Collector, shown: tuple[Line, ...], *key: str) -> list[Plot]:
    """Return the charts of lines for the last hour and the last day, side by side."""
    wishes = [(line, span) for line in shown for span in (HOUR, DAY)]
    found = await histories(collector, wishes, key[:1])
    return [plot(collector, wish, history, key) for wish, history in found.items()]


def _facts(row: Stage) -> list[tuple[str, float | None, str]]:
    """Return figures of a stage: name, value, unit."""
    return [
        ("cards waiting", row.queue, ""),
        ("workers busy", row.busy, ""),
        ("workers", row.workers, ""),
        ("runs per hour", row.per_hour, ""),
        ("run time", row.run_seconds, "s"),
        ("queue time", row.wait_seconds, "s"),
        ("runs that failed", row.failed, "%"),
        ("retries", row.retries, ""),
        ("utilization", row.utilisation, "%"),
        ("card-seconds lost", row.impact_seconds, ""),
        ("risk for other stages", row.cascade, "of 100"),
        ("longest open run", row.oldest_run, "s"),
        ("longest wait now", row.oldest_wait, "s"),
        ("time limit of a run", row.time_limit, "s"),
    ]


def _unknown(kind: str, name: str) -> str:
    return f"No service knows the {kind} “{name[:100]}” now. It may have been renamed, or be without events for a day."
