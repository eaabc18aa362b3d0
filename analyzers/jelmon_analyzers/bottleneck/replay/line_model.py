"""The model of a recorded line: pools of workers, queue capacities, pauses, limit on work in process."""

import bisect

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import MAX_RUNS, Stage
from jelmon_analyzers.bottleneck.replay.model import LineModel

_LEAST_PAUSE_SECONDS = 2.0
_INSTANT = 1e-6


def recorded_since(line: Line, begin: float) -> float:
    """Return the earliest time at or after ``begin`` since when every run is remembered."""
    full = [stage.runs[0].finished for stage in line.stages if len(stage.runs) == MAX_RUNS]
    return max([begin, *full])


def pools_of(line: Line) -> list[int]:
    """Return the pool of each stage: stages that share workers belong to one pool, numbered by its first stage."""
    pools = list(range(len(line.stages)))
    for stage in range(len(pools)):
        for other in line.sharing.partners(stage, line.clock):
            low, high = sorted((pools[stage], pools[other]))
            pools = [low if pool == high else pool for pool in pools]
    return pools


def pauses_of(stage: Stage, begin: float) -> list[tuple[float, float]]:
    """Return begin and end of the spans in which cards waited for much longer than usual despite a free worker.

    A pause may begin before a card waits for it: it reaches back to the last start, which shows when it had not begun.
    """
    runs = stage.runs
    usual = sum(run.finished - run.started for run in runs) / len(runs) if runs else 0.0
    least = max(_LEAST_PAUSE_SECONDS, usual)
    long_spans = [(since, until) for since, until in stage.idle_spans if until > begin and until - since > least]
    if not long_spans:
        return []
    starts = sorted(run.started for run in runs)
    pauses = []
    for since, until in long_spans:
        position = bisect.bisect_left(starts, since)
        pauses.append((starts[position - 1] + _INSTANT if position else since, until))
    return pauses


def model_of(line: Line, begin: float) -> LineModel:
    """Return the model of the line as it was from ``begin`` until now."""
    pools_by_first_stage = pools_of(line)
    numbers = {pool: number for number, pool in enumerate(dict.fromkeys(pools_by_first_stage))}
    pools = [numbers[pool] for pool in pools_by_first_stage]
    workers = [0] * len(numbers)
    for index, stage in enumerate(line.stages):
        # the stages of a pool declare the same workers, each
        workers[pools[index]] = max(workers[pools[index]], stage.workers, 1)
    return LineModel(
        workers=workers,
        pools=pools,
        capacities=[line.capacity(index) for index in range(len(line.stages))],
        # idle spans of unnamed shared workers are no pauses: the worker served another stage
        pauses=[
            [] if index in line.sharing.inferred else pauses_of(stage, begin) for index, stage in enumerate(line.stages)
        ],
        wip_limit=line.wip_limit(begin),
    )
