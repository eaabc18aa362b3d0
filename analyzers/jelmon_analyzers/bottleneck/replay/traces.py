"""What was recorded of a line, put in the form that `replay` runs: the plan of the line, and the trips of its cards."""

import bisect
import itertools
import random

from jelmon_analyzers.bottleneck.line.cards import Phase
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import MAX_RUNS, Run, Tally
from jelmon_analyzers.bottleneck.replay.replay import Plan, Trip

_PAUSE_SECONDS = 2.0
_INSTANT = 1e-6


def reaches_back_to(line: Line, begin: float) -> float:
    """The earliest time from ``begin`` on since when every run is remembered."""
    full = [tally.runs[0].finished for tally in line.tallies if len(tally.runs) == MAX_RUNS]
    return max([begin, *full])


def pools_of(line: Line) -> list[int]:
    """The group of workers of each stage: stages whose workers serve each other are one."""
    pools = list(range(len(line.tallies)))
    for stage in range(len(pools)):
        for other in line.sharing.with_whom(stage, line.clock):
            low, high = sorted((pools[stage], pools[other]))
            pools = [low if pool == high else pool for pool in pools]
    return pools


def pauses_of(tally: Tally, begin: float) -> list[tuple[float, float]]:
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


def plan_of(line: Line, begin: float) -> Plan:
    named = pools_of(line)
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
        pauses=[
            [] if stage in line.sharing.unnamed else pauses_of(tally, begin) for stage, tally in enumerate(line.tallies)
        ],
        wip_limit=line.wip_limit(begin),
    )


def trips_of(line: Line, plan: Plan, begin: float, now: float) -> list[Trip]:
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
