"""What a faster stage would gain: the window run again as it was recorded, and with one stage 20 % faster.

The whole line is run again, as stages depend on each other (cards held up, shared workers, limits, outages). A line
too large for that is run stage by stage, which is near exact where they do not; where they do, nothing is said.
"""

import bisect
import heapq
import itertools
import random
from dataclasses import dataclass

from jelmon.analyzers.bottleneck.journeys import Phase
from jelmon.analyzers.bottleneck.line import Line
from jelmon.analyzers.bottleneck.replay import Plan, Trip, replay
from jelmon.analyzers.bottleneck.tally import HELD, MAX_RUNS, Run, Tally
from jelmon.analyzers.bottleneck.verdict import StageReport

FASTER = 0.8
MOST_VISITS = 200_000
"""Visits that may be run again in one answer: about a second."""
MINIMUM_RUNS = 20
_PAUSE_SECONDS = 2.0
_INSTANT = 1e-6
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
    begin = now - seconds
    for tally in line.tallies:  # the memory of runs may not reach back so far
        if len(tally.runs) == MAX_RUNS:
            begin = max(begin, tally.runs[0].finished)
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
    return any(report.mean_held_up > 0 or line.shares_workers(line.index[name]) for name, report in reports.items())


# --- percent of throughput ---


def _throughput_gains(line: Line, reports: dict[str, StageReport], now: float) -> dict[str, float]:
    """min(offered, least capacity) before and after: 0 unless the stage is what limits a saturated line."""
    seconds = next(iter(reports.values())).window_seconds if reports else 0.0
    offered = sum(1 for time in line.arrivals if time >= now - seconds) / max(seconds, 1e-9)
    cards = max(1, sum(1 for time in line.departures if time >= now - seconds))
    pools = _pools(line)
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


def _pools(line: Line) -> list[int]:
    """The group of workers of each stage: stages whose workers serve each other are one."""
    pools = list(range(len(line.tallies)))
    for stage in range(len(pools)):
        for other in line.shares_workers(stage):
            low, high = sorted((pools[stage], pools[other]))
            pools = [low if pool == high else pool for pool in pools]
    return pools


def _pauses(tally: Tally, begin: float) -> list[tuple[float, float]]:
    """When the stage took nothing although a worker was free and a card waited, for longer than it takes to notice.

    A pause may have begun before the first card felt it: it reaches back to the last start, which shows that there was
    none yet.
    """
    runs = tally.runs
    usual = sum(run.finished - run.started for run in runs) / len(runs) if runs else 0.0
    least = max(_PAUSE_SECONDS, usual)
    found = []
    starts: list[float] | None = None
    for since, until in tally.idle_spans:
        if until > begin and until - since > least:
            starts = sorted(run.started for run in runs) if starts is None else starts
            place = bisect.bisect_left(starts, since)
            found.append((starts[place - 1] + _INSTANT if place else since, until))
    return found


def _plan(line: Line, begin: float) -> Plan:
    named = _pools(line)
    numbers = {pool: number for number, pool in enumerate(dict.fromkeys(named))}
    pools = [numbers[pool] for pool in named]
    workers = [0] * len(numbers)
    for stage, tally in enumerate(line.tallies):
        # stages of one pool declare the same workers, each
        workers[pools[stage]] = max(workers[pools[stage]], tally.workers, 1)
    return Plan(
        workers=workers,
        pools=pools,
        capacities=[line.capacity(stage) for stage in range(len(line.tallies))],
        pauses=[_pauses(tally, begin) for tally in line.tallies],
        wip_limit=line.wip_limit(begin),
    )


def _whole_line(line: Line, begin: float, now: float, wanted: list[int]) -> dict[int, float]:
    plan = _plan(line, begin)
    trips = _trips(line, plan, begin, now)
    speeds = [1.0] * len(line.tallies)
    usual = replay(plan, trips, begin=begin, end=now, speeds=speeds).flow_time
    gained = {}
    for index in wanted:
        speeds[index] = FASTER
        gained[index] = usual - replay(plan, trips, begin=begin, end=now, speeds=speeds).flow_time
        speeds[index] = 1.0
    return gained


def _trips(line: Line, plan: Plan, begin: float, now: float) -> list[Trip]:
    """What every card did since ``begin``, did not yet do, and will probably do."""
    visits: dict[str, list[tuple[int, Run]]] = {}
    for stage, tally in enumerate(line.tallies):
        for run in tally.runs:
            if run.finished >= begin or run.held:
                visits.setdefault(run.card, []).append((stage, run))
    chance = random.Random(1)
    works = [[max(0.0, run.finished - run.started) for run in tally.runs] or [0.0] for tally in line.tallies]
    trips = []
    present = {
        card
        for card, journey in line.journeys.items()
        if journey.open or (journey.arrived is not None and not journey.entered and journey.ended is None)
    }
    for card in sorted(visits.keys() | present):
        trip = _trip(
            line, plan, card, sorted(visits.get(card, []), key=lambda part: part[1].started), begin, now, works, chance
        )
        if trip is not None:
            trips.append(trip)
    trips.sort(key=lambda trip: trip.comes)
    return trips


def _trip(
    line: Line,
    plan: Plan,
    card: str,
    visits: list[tuple[int, Run]],
    begin: float,
    now: float,
    works: list[list[float]],
    chance: random.Random,
) -> Trip | None:
    journey = line.journeys.get(card)
    steps: list[tuple[int, float, float, float, float, bool]] = [  # stage, queued, started, finished, work, held
        (
            stage,
            run.queued if run.queued is not None else run.started,
            run.started,
            run.finished,
            max(0.0, run.finished - run.started),
            run.held,
        )
        for stage, run in visits
    ]
    last: int | None = steps[-1][0] if steps else None
    if journey is not None:
        for stage, visit in journey.open.items():
            if visit.phase is Phase.HELD:
                continue
            queued = visit.queued if visit.queued is not None else visit.since
            if visit.phase is Phase.SERVED:
                started = visit.started if visit.started is not None else visit.since
                longer = [work for work in works[stage] if work > now - started]
                work = chance.choice(longer) if longer else now - started + chance.choice(works[stage])
                steps.append((stage, queued, started, started + work, work, False))
            else:
                steps.append((stage, queued, now, now, chance.choice(works[stage]), False))
            last = stage
    # what is over before the beginning is no part, but for the last one if it was held up into it
    while len(steps) > 1 and steps[0][3] < begin and not (steps[0][5] and steps[1][1] > begin):
        steps.pop(0)
    if not steps and journey is not None and journey.arrived is not None and line.entries and not journey.open:
        entry = max(line.entries, key=lambda stage: line.entries[stage])
        stages = [entry, *_ahead(line, entry, chance)]
        return Trip(journey.arrived, stages, [chance.choice(works[stage]) for stage in stages], [0.0] * len(stages))
    if not steps or (len(steps) == 1 and steps[0][3] < begin and not (journey is not None and journey.open)):
        return None
    stages = [step[0] for step in steps]
    ahead = _ahead(line, last, chance) if journey is not None and journey.ended is None and last is not None else []
    first = steps[0]
    place, comes = "outside", first[1]
    stands_outside = plan.wip_limit is not None or plan.capacities[first[0]] is not None
    if stands_outside and journey is not None and journey.arrived is not None and stages[0] in line.entries:
        comes = min(journey.arrived, comes)
    total = [step[4] for step in steps]
    if first[3] < begin:
        place = "held"
    elif first[2] < begin:
        place, total[0] = "served", first[3] - begin
    elif first[1] < begin:
        place, comes = "waiting", first[1]
    ways = [0.0]
    for before, after in itertools.pairwise(steps):
        ways.append(0.0 if before[5] else max(0.0, after[1] - before[3]))
    for stage in ahead:
        stages.append(stage)
        total.append(chance.choice(works[stage]))
        ways.append(0.0)
    if place == "held" and len(stages) < 2:
        return None
    return Trip(comes, stages, total, ways, place)


def _ahead(line: Line, stage: int, chance: random.Random) -> list[int]:
    """Where a card that is at ``stage`` will go from there, as others did."""
    way: list[int] = []
    while len(way) < len(line.tallies):
        choices = dict(line.ways.get(stage, {}))
        ends = line.ends.get(stage, 0)
        total = sum(choices.values()) + ends
        if not total or chance.random() * total < ends:
            break
        stage = chance.choices(list(choices), list(choices.values()))[0]
        way.append(stage)
    return way


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
    return float(sums[1] + sums[2] + sums[HELD])


def _queue(line: Line, index: int, begin: float, now: float, speed: float) -> tuple[float, int]:
    """The stage run again: card-seconds in it between begin and now, and how many it finished."""
    tally = line.tallies[index]
    free = [begin] * max(1, tally.workers)
    pauses = _pauses(tally, begin)
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
