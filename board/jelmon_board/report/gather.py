"""Reads what a report shows: lines of the span and of the one before it, episodes, budgets, suggestions."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from jelmon.errors import JelmonError
from jelmon_board.collection import Collector, Snapshot
from jelmon_board.model import lines
from jelmon_board.model.episodes import Episode
from jelmon_board.model.lines import History, Line, Span

SHOWN = (lines.VELOCITY, lines.PROCESSING, lines.FAILED, lines.SEVERITY, lines.HEALTH)
STAGES = (lines.STAGE_SEVERITY, lines.STAGE_RUN)
POINTS = 168


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a report is made of. ``problems`` say what is missing and why."""

    snapshot: Snapshot
    span: Span
    began: float
    ended: float
    histories: Mapping[str, History] = field(default_factory=dict)
    """By the key of the line."""
    before: Mapping[str, Mapping[tuple[str, ...], float]] = field(default_factory=dict)
    """Means of the span before this one."""
    episodes: tuple[Episode, ...] = ()
    problems: tuple[str, ...] = ()


def span_of(seconds: float) -> Span:
    """Return the grid of a report: about 170 points."""
    step = max(60.0, seconds / POINTS // 60 * 60)
    return Span("in this time", seconds, step, max(step, 900.0))


async def gather(collector: Collector, seconds: float) -> Material:
    """Read everything once; what does not answer becomes a problem that the report names."""
    await collector.start()
    try:
        await collector.collect()
        snapshot = collector.snapshot
        span, now = span_of(seconds), time.time()
        problems = [f"{state.problem}; {state.remedy}" for state in snapshot.sources.values() if not state.ok]
        histories: dict[str, History] = {}
        before: dict[str, Mapping[tuple[str, ...], float]] = {}
        if snapshot.sources["Prometheus"].ok:
            shown = (*SHOWN, *STAGES)
            for line, found in zip(
                shown, await asyncio.gather(*(_history(collector, line, span) for line in shown)), strict=True
            ):
                if isinstance(found, str):
                    problems.append(found)
                else:
                    histories[line.key] = found
            for line in (lines.VELOCITY, lines.PROCESSING, lines.FAILED, lines.STAGE_RUN):
                before[line.key] = await _before(collector, line, seconds)
        episodes: list[Episode] = []
        try:
            episodes = await collector.responder.episodes(since=f"{seconds:.0f}s")
        except JelmonError as error:
            if snapshot.sources["responder"].ok:
                problems.append(error.message)
        return Material(
            snapshot=snapshot,
            span=span,
            began=now - seconds,
            ended=now,
            histories=histories,
            before=before,
            episodes=tuple(episodes),
            problems=tuple(problems),
        )
    finally:
        await collector.stop()


async def _history(collector: Collector, line: Line, span: Span) -> History | str:
    try:
        return await collector.lines.history(line, span)
    except JelmonError as error:
        return error.message


async def _before(collector: Collector, line: Line, seconds: float) -> dict[tuple[str, ...], float]:
    """Return the value of a line over the whole span before this one; empty if Prometheus does not know."""
    assert collector.prometheus is not None
    expression = line.promql(window=seconds)
    try:
        values = await collector.prometheus.values(expression, time=f"{time.time() - seconds:.3f}")
    except JelmonError:
        return {}
    return {tuple(labels.get(name, "") for name in line.labels): value for labels, value in values}
