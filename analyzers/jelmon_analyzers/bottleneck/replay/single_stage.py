"""Gains of a line too large to be replayed as a whole: each stage replayed as a queue by itself."""

import heapq

from jelmon_analyzers.bottleneck.line.buckets import BLOCKED, BUSY, WAITING
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import Stage
from jelmon_analyzers.bottleneck.replay.line_model import pauses_of
from jelmon_analyzers.bottleneck.replay.model import FASTER

_STRIDE = 7919  # a prime, so that recorded service times are reused in another order


def single_stage_gains(line: Line, begin: float, now: float, stages: list[int], departures: int) -> dict[int, float]:
    """Return the seconds that a card would save with each stage 20 % faster, by index.

    Counts what is saved at the stage and the cards that leave the line earlier because of it.
    """
    spent = sum(_card_seconds(stage, begin, now) for stage in line.stages)
    gained = {}
    for index in stages:
        stage = line.stages[index]
        usual, finished = _replay_stage(stage, begin, now, 1.0)
        faster, more_finished = _replay_stage(stage, begin, now, FASTER)
        visits = sum(1 for run in stage.runs if run.finished >= begin) / max(1, departures)
        more_departures = (more_finished - finished) / max(visits, 1e-9)
        gained[index] = spent / departures - (spent - usual + faster) / (departures + more_departures)
    return gained


def _card_seconds(stage: Stage, begin: float, now: float) -> float:
    """Return the card-seconds spent in the stage: waiting, in service and blocked."""
    sums = stage.window(now, now - begin).sums
    return float(sums[WAITING] + sums[BUSY] + sums[BLOCKED])


def _replay_stage(stage: Stage, begin: float, now: float, speed: float) -> tuple[float, int]:
    """Return card-seconds in the stage between begin and now, and how many cards it finished."""
    free_at = [begin] * max(1, stage.workers)
    pauses = pauses_of(stage, begin)
    runs = sorted((run for run in stage.runs if run.finished >= begin), key=lambda run: run.queued or run.started)
    heapq.heapify(free_at)
    spent, finished = 0.0, 0
    for run in runs:
        queued = run.queued if run.queued is not None else run.started
        work = run.finished - max(run.started, begin)
        start = max(heapq.heappop(free_at), queued)
        if run.started >= begin:
            start = next((until for since, until in pauses if since <= start < until), start)
        end = start + max(0.0, work) * speed
        heapq.heappush(free_at, end)
        spent += min(end, now) - max(min(queued, now), begin)
        finished += end <= now
    service_times = [run.finished - run.started for run in runs]
    for number in range(stage.waiting + stage.in_service):  # cards still there at the end
        seconds = service_times[number * _STRIDE % len(service_times)]
        end = max(heapq.heappop(free_at), begin) + seconds * speed
        heapq.heappush(free_at, end)
        finished += end <= now
        spent -= max(0.0, now - end)
    return spent, finished
