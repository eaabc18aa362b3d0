"""What other changes of one stage would gain: one more worker, more room, workers of its own, no pauses."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.replay.gains import FASTER, MINIMUM_RUNS, MOST_VISITS
from jelmon_analyzers.bottleneck.replay.replay import Plan, replay
from jelmon_analyzers.bottleneck.replay.traces import plan_of, reaches_back_to, trips_of


class Lever(StrEnum):
    """A change of a stage that can be played through."""

    FASTER = "faster"  # 20 % less work time
    ONE_MORE_WORKER = "one_more_worker"
    MORE_ROOM = "more_room"  # twice the queue capacity
    OWN_WORKERS = "own_workers"  # as many as it shares now, for itself alone
    NO_PAUSES = "no_pauses"


def _one_more_worker(plan: Plan, stage: int) -> Plan:
    pool = plan.pools[stage]
    return replace(plan, workers=[count + (number == pool) for number, count in enumerate(plan.workers)])


def _more_room(plan: Plan, stage: int) -> Plan:
    capacities = list(plan.capacities)
    room = capacities[stage]
    capacities[stage] = None if room is None else 2 * max(1, room)
    return replace(plan, capacities=capacities)


def _own_workers(plan: Plan, stage: int) -> Plan:
    pools = list(plan.pools)
    pools[stage] = len(plan.workers)
    return replace(plan, workers=[*plan.workers, plan.workers[plan.pools[stage]]], pools=pools)


def _no_pauses(plan: Plan, stage: int) -> Plan:
    pauses = list(plan.pauses)
    pauses[stage] = []
    return replace(plan, pauses=pauses)


_CHANGES: dict[Lever, Callable[[Plan, int], Plan]] = {
    Lever.FASTER: lambda plan, _: plan,
    Lever.ONE_MORE_WORKER: _one_more_worker,
    Lever.MORE_ROOM: _more_room,
    Lever.OWN_WORKERS: _own_workers,
    Lever.NO_PAUSES: _no_pauses,
}


def gain_of(line: Line, stage: str, lever: Lever, *, now: float, seconds: float) -> float | None:
    """Seconds that a card would have saved in the last ``seconds``; None if the recording is too thin or too large."""
    index = line.index.get(stage)
    if index is None:
        return None
    begin = reaches_back_to(line, now - seconds)
    visits = sum(1 for tally in line.tallies for run in tally.runs if run.finished >= begin)
    left = sum(1 for time in line.departures if time >= begin)
    if left < MINIMUM_RUNS or 2 * visits > MOST_VISITS:
        return None
    plan = plan_of(line, begin)
    trips = trips_of(line, plan, begin, now)
    speeds = [1.0] * len(line.tallies)
    usual = replay(plan, trips, begin=begin, end=now, speeds=speeds)
    if lever is Lever.FASTER:
        speeds[index] = FASTER
    changed = replay(_CHANGES[lever](plan, index), trips, begin=begin, end=now, speeds=speeds)
    return usual.flow_time - changed.flow_time
