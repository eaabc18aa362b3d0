"""What a faster stage would gain: the window run again as it was recorded, and with one stage 20 % faster.

The whole line is run again, as stages depend on each other (cards held up, shared workers, limits, outages). A line
too large for that is run stage by stage, which is near exact where they do not; where they do, nothing is said.
"""

import heapq
from dataclasses import dataclass

from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import BUSY, HELD, WAITING, Tally
from jelmon_analyzers.bottleneck.replay.replay import replay
from jelmon_analyzers.bottleneck.replay.traces import pauses_of, plan_of, pools_of, reaches_back_to, trips_of
from jelmon_analyzers.bottleneck.verdict.judge import StageReport

FASTER = 0.8
MOST_VISITS = 200_000
"""Visits that may be run again in one answer: about a second."""
MINIMUM_RUNS = 20
_SPREAD = 7919  # a prime, to take recorded works in another order than that in which they came


@dataclass(frozen=True, slots=True)
class Gain:
    """What 20 % less work time at one stage would bring. ``None``: withheld, and ``reason`` says why."""

    stage: str
    seconds_per_card: float | None
    throughput_ratio: float | None
    reason: str = ""


def gains(line: Line, reports: dict[str, StageReport], now: float) -> dict[str, Gain]:
    """The gain of each stage that was seen in the window."""
    seconds = next(iter(reports.values())).window_seconds if reports else 0.0
    begin = reaches_back_to(line, now - seconds)
    left = sum(1 for time in line.departures if time >= begin)
    throughput = _throughput_gains(line, reports, now)
    coupled = _is_coupled(line, reports)
    answer: dict[str, Gain] = {}
    wanted = []
    for index, tally in enumerate(line.tallies):
        known = sum(1 for run in tally.runs if run.finished >= begin)
        if known < MINIMUM_RUNS or left < MINIMUM_RUNS:
            answer[tally.name] = Gain(tally.name, None, None, "too few runs ended in the window")
        else:
            wanted.append(index)
    if not wanted:
        return answer
    visits = sum(1 for tally in line.tallies for run in tally.runs if run.finished >= begin)
    if visits * (len(wanted) + 1) <= MOST_VISITS:
        found = _whole_line(line, begin, now, wanted)
    elif coupled:
        reason = "stages depend on each other, and the line is too large to run again"
        return answer | {
            line.tallies[index].name: Gain(line.tallies[index].name, None, None, reason) for index in wanted
        }
    else:
        found = _one_by_one(line, begin, now, wanted, left)
    for index, gained in found.items():
        name = line.tallies[index].name
        answer[name] = Gain(name, gained, throughput[name])
    return answer


def _is_coupled(line: Line, reports: dict[str, StageReport]) -> bool:
    return any(
        report.mean_held_up > 0 or line.sharing.with_whom(line.index[name], line.clock)
        for name, report in reports.items()
    )


# --- percent of throughput ---


def _throughput_gains(line: Line, reports: dict[str, StageReport], now: float) -> dict[str, float]:
    """min(offered, least capacity) before and after: 0 unless the stage is what limits a saturated line."""
    seconds = next(iter(reports.values())).window_seconds if reports else 0.0
    offered = sum(1 for time in line.arrivals if time >= now - seconds) / max(seconds, 1e-9)
    cards = max(1, sum(1 for time in line.departures if time >= now - seconds))
    pools = pools_of(line)
    load: dict[int, float] = {}  # work of one card in a pool, over its workers
    share: dict[str, float] = {}
    for name, report in reports.items():
        index = line.index[name]
        if not report.workers or report.run_seconds is None:
            continue
        visits = report.finishes / cards
        share[name] = visits * report.run_seconds / report.workers
        load[pools[index]] = load.get(pools[index], 0.0) + share[name]
    gained = {}
    for name in reports:
        pool = pools[line.index[name]]
        before = min([offered, *(1 / one for one in load.values() if one > 0)])
        changed = {**load, pool: load.get(pool, 0.0) - (1 - FASTER) * share.get(name, 0.0)}
        after = min([offered, *(1 / one for one in changed.values() if one > 0)])
        gained[name] = after / before - 1 if before > 0 else 0.0
    return gained


# --- the whole line ---


def _whole_line(line: Line, begin: float, now: float, wanted: list[int]) -> dict[int, float]:
    plan = plan_of(line, begin)
    trips = trips_of(line, plan, begin, now)
    speeds = [1.0] * len(line.tallies)
    usual = replay(plan, trips, begin=begin, end=now, speeds=speeds).flow_time
    gained = {}
    for index in wanted:
        speeds[index] = FASTER
        gained[index] = usual - replay(plan, trips, begin=begin, end=now, speeds=speeds).flow_time
        speeds[index] = 1.0
    return gained


# --- one stage by itself ---


def _one_by_one(line: Line, begin: float, now: float, wanted: list[int], left: int) -> dict[int, float]:
    """Each stage as a queue of its own: what is saved there, with the cards that leave earlier for it."""
    spent = sum(_card_seconds(tally, begin, now) for tally in line.tallies)
    gained = {}
    for index in wanted:
        tally = line.tallies[index]
        usual, done = _queue(line, index, begin, now, 1.0)
        quicker, more = _queue(line, index, begin, now, FASTER)
        visits = sum(1 for run in tally.runs if run.finished >= begin) / max(1, left)
        gained[index] = spent / left - (spent - usual + quicker) / (left + (more - done) / max(visits, 1e-9))
    return gained


def _card_seconds(tally: Tally, begin: float, now: float) -> float:
    """Time that cards spent in the stage, waiting and served and held up."""
    sums = tally.window(now, now - begin).sums
    return float(sums[WAITING] + sums[BUSY] + sums[HELD])


def _queue(line: Line, index: int, begin: float, now: float, speed: float) -> tuple[float, int]:
    """The stage run again: card-seconds in it between begin and now, and how many it finished."""
    tally = line.tallies[index]
    free = [begin] * max(1, tally.workers)
    pauses = pauses_of(tally, begin)
    runs = sorted((run for run in tally.runs if run.finished >= begin), key=lambda run: run.queued or run.started)
    heapq.heapify(free)
    spent, done = 0.0, 0
    for run in runs:
        queued = run.queued if run.queued is not None else run.started
        work = run.finished - max(run.started, begin)
        start = max(heapq.heappop(free), queued)
        if run.started >= begin:
            start = next((until for since, until in pauses if since <= start < until), start)
        end = start + max(0.0, work) * speed
        heapq.heappush(free, end)
        spent += min(end, now) - max(min(queued, now), begin)
        done += end <= now
    works = [run.finished - run.started for run in runs]
    for number in range(tally.q + tally.v):  # they were there at the end: they wait, or are served
        end = max(heapq.heappop(free), begin) + works[number * _SPREAD % len(works)] * speed
        heapq.heappush(free, end)
        done += end <= now
        spent -= max(0.0, now - end)
    return spent, done
