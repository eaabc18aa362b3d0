"""What other changes of one stage would gain: one more worker, a larger queue, workers of its own, no pauses."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.replay.gains import MINIMUM_RUNS, MOST_VISITS
from jelmon_analyzers.bottleneck.replay.line_model import model_of, recorded_since
from jelmon_analyzers.bottleneck.replay.model import FASTER, LineModel
from jelmon_analyzers.bottleneck.replay.replay import replay
from jelmon_analyzers.bottleneck.replay.traces import traces_of


class Lever(StrEnum):
    """A change of a stage that can be replayed."""

    FASTER = "faster"  # 20 % less work time
    ONE_MORE_WORKER = "one_more_worker"
    MORE_ROOM = "more_room"  # twice the queue capacity
    OWN_WORKERS = "own_workers"  # as many as it shares now, for itself alone
    NO_PAUSES = "no_pauses"


def _one_more_worker(model: LineModel, stage: int) -> LineModel:
    pool = model.pools[stage]
    return replace(model, workers=[count + (number == pool) for number, count in enumerate(model.workers)])


def _larger_queue(model: LineModel, stage: int) -> LineModel:
    capacities = list(model.capacities)
    capacity = capacities[stage]
    capacities[stage] = None if capacity is None else 2 * max(1, capacity)
    return replace(model, capacities=capacities)


def _dedicated_workers(model: LineModel, stage: int) -> LineModel:
    pools = list(model.pools)
    pools[stage] = len(model.workers)
    return replace(model, workers=[*model.workers, model.workers[model.pools[stage]]], pools=pools)


def _no_pauses(model: LineModel, stage: int) -> LineModel:
    pauses = list(model.pauses)
    pauses[stage] = []
    return replace(model, pauses=pauses)


_CHANGES: dict[Lever, Callable[[LineModel, int], LineModel]] = {
    Lever.FASTER: lambda model, _: model,
    Lever.ONE_MORE_WORKER: _one_more_worker,
    Lever.MORE_ROOM: _larger_queue,
    Lever.OWN_WORKERS: _dedicated_workers,
    Lever.NO_PAUSES: _no_pauses,
}


def gain_of(line: Line, stage: str, lever: Lever, *, now: float, seconds: float) -> float | None:
    """Return the seconds that a card would have saved in the last ``seconds``.

    None: the stage is unknown, too few cards left, or there are too many visits to replay.
    """
    index = line.index.get(stage)
    if index is None:
        return None
    begin = recorded_since(line, now - seconds)
    visits = sum(1 for other in line.stages for run in other.runs if run.finished >= begin)
    if line.work_in_process.departures_since(begin) < MINIMUM_RUNS or 2 * visits > MOST_VISITS:
        return None
    model = model_of(line, begin)
    traces = traces_of(line, model, begin, now)
    speeds = [1.0] * len(line.stages)
    usual = replay(model, traces, begin=begin, end=now, speeds=speeds)
    if lever is Lever.FASTER:
        speeds[index] = FASTER
    changed = replay(_CHANGES[lever](model, index), traces, begin=begin, end=now, speeds=speeds)
    return usual.flow_time - changed.flow_time
