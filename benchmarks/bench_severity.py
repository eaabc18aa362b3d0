"""Does the highest severity name the right stage on lines of chance, and however little the events tell?

Each kind of line is drawn anew for each seed: 3 to 20 stages, 1 to 4 workers, other service laws, loads and places of
the bottleneck. Truth is found as in bench_bottleneck. Told in four ways: everything; not who is held up; bare events of
stages (no declaration, no next stage, no end, no names of workers, nobody held up); and with every seventh ``queued``
missing.

    python benchmarks/bench_severity.py [--seeds 1001,1002] [--only NAME] [--telling full,bare] [--every 2]
"""

import argparse
import math
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from bench_bottleneck import WARN, right_stages
from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from support.line_scenarios import MINUTE, Scenario
from support.lines import FULL, START, Line, Spell, Stage, Telling, events, simulate

PER_MINUTE = 12.0
SECONDS_A_CARD = 60 / PER_MINUTE
TELLINGS = {
    "full": FULL,
    "not held up": Telling(held_up=False),
    "bare": Telling(held_up=False, declared=False, ways=False, names=False),
    "missing": Telling(missing=1 / 7),
}
Range = tuple[float, float]


def draw(
    chance: random.Random,
    *,
    load: Range,
    others: Range = (0.3, 0.6),
    stages: int = 0,
    workers: tuple[int, ...] = (1,),
    capacity: int | None = None,
    spread: float | str | None = 0.5,
) -> tuple[tuple[Stage, ...], int]:
    """Stages, and which of them has the load of the bottleneck."""
    count = stages or chance.choice([3, 4, 5, 5, 8, 10])
    limiting = chance.randrange(count)
    made = []
    for number in range(count):
        busy = chance.uniform(*(load if number == limiting else others))
        served_by = chance.choice(workers)
        law = chance.choice([None, 0.3, 0.5, 0.8, 1.0]) if spread == "mixed" else spread
        made.append(
            Stage(
                mean=busy * served_by * SECONDS_A_CARD,
                workers=served_by,
                spread=law,  # type: ignore[arg-type]
                capacity=capacity if number else None,
            )
        )
    return tuple(made), limiting


def steady(**shape: object) -> Callable[[random.Random], Scenario]:
    """One bottleneck all the time."""
    return lambda chance: Scenario(line=Line(stages=draw(chance, **shape)[0], per_minute=PER_MINUTE))  # type: ignore[arg-type]


def none(**shape: object) -> Callable[[random.Random], Scenario]:
    """No bottleneck."""
    return lambda chance: replace(steady(**shape)(chance), limited=False)


def shifting(capacity: int | None) -> Callable[[random.Random], Scenario]:
    """Halfway through, another stage becomes slow."""

    def make(chance: random.Random) -> Scenario:
        stages, _ = draw(chance, load=(0.5, 0.6), others=(0.45, 0.6), capacity=capacity)
        middle, end = 90.0 * MINUTE, 180.0 * MINUTE
        slow = chance.sample(range(len(stages)), 2)
        spells = tuple(
            Spell(stage=stage, begin=begin, end=until, factor=0.97 * SECONDS_A_CARD / stages[stage].mean)
            for stage, begin, until in ((slow[0], 0.0, middle), (slow[1], middle, end))
        )
        return Scenario(line=Line(stages=stages, per_minute=PER_MINUTE, spells=spells), changes=(middle,))

    return make


def batches(capacity: int | None) -> Callable[[random.Random], Scenario]:
    def make(chance: random.Random) -> Scenario:
        stages, _ = draw(chance, load=(0.9, 0.97), others=(0.3, 0.5), capacity=capacity)
        return Scenario(line=Line(stages=stages, per_minute=PER_MINUTE, batch=chance.choice([5, 10])))

    return make


def outages(chance: random.Random) -> Scenario:
    stages, limiting = draw(chance, load=(0.55, 0.57), others=(0.4, 0.5))
    every = chance.choice([20.0, 24.0, 30.0]) * MINUTE
    spells = tuple(
        Spell(stage=limiting, begin=float(begin), end=float(begin) + 0.4 * every, factor=math.inf)
        for begin in np.arange(10 * MINUTE, 180 * MINUTE, every)
    )
    return Scenario(line=Line(stages=stages, per_minute=PER_MINUTE, spells=spells))


def shared(workers: int) -> Callable[[random.Random], Scenario]:
    def make(chance: random.Random) -> Scenario:
        drawn, _ = draw(chance, load=(0.4, 0.5), others=(0.3, 0.5))
        stages = list(drawn)
        whole = 0.95 * workers * SECONDS_A_CARD
        first, second = chance.sample(range(len(stages)), 2)
        part = chance.uniform(0.59, 0.65) * whole
        stages[first] = replace(stages[first], pool="p", workers=workers, mean=part)
        stages[second] = replace(stages[second], pool="p", workers=workers, mean=whole - part)
        return Scenario(line=Line(stages=tuple(stages), per_minute=PER_MINUTE))

    return make


def close(chance: random.Random) -> Scenario:
    drawn, limiting = draw(chance, load=(0.96, 0.96), others=(0.4, 0.6), stages=5)
    stages = list(drawn)
    second = chance.choice([number for number in range(5) if number != limiting])
    stages[second] = replace(stages[second], mean=0.87 * SECONDS_A_CARD)
    return Scenario(line=Line(stages=tuple(stages), per_minute=PER_MINUTE))


def retries(chance: random.Random) -> Scenario:
    drawn, limiting = draw(chance, load=(0.72, 0.74), others=(0.4, 0.6))
    stages = list(drawn)
    stages[limiting] = replace(stages[limiting], retry=0.25)
    return Scenario(line=Line(stages=tuple(stages), per_minute=PER_MINUTE))


def limited_work(chance: random.Random) -> Scenario:
    stages, _ = draw(chance, load=(0.93, 0.97), others=(0.4, 0.6))
    return Scenario(line=Line(stages=stages, per_minute=PER_MINUTE, wip_limit=chance.choice([3, 4]) * len(stages)))


LINES: dict[str, Callable[[random.Random], Scenario]] = {
    "steady, any law": steady(load=(0.9, 0.97), spread="mixed"),
    "steady, 1 to 4 workers": steady(load=(0.92, 0.99), workers=(1, 2, 3, 4), spread="mixed"),
    "steady, 20 stages": steady(load=(0.92, 0.97), stages=20),
    "exponential": steady(load=(0.88, 0.95), spread=None),
    "constant": steady(load=(0.93, 0.98), spread=0.0),
    "overload": steady(load=(1.03, 1.2), workers=(1, 2), spread="mixed"),
    "close second": close,
    "shifting": shifting(None),
    "no room": steady(load=(0.95, 1.05), capacity=0, spread="mixed"),
    "no room, lighter": steady(load=(0.8, 0.9), capacity=0, spread="mixed"),
    "no room, 1 to 3 workers": steady(load=(0.95, 1.05), capacity=0, workers=(1, 2, 3), spread="mixed"),
    "room for 1": steady(load=(0.95, 1.05), capacity=1, spread="mixed"),
    "room for 2, 1 to 3 workers": steady(load=(0.95, 1.05), capacity=2, workers=(1, 2, 3), spread="mixed"),
    "room for 5": steady(load=(0.95, 1.05), capacity=5, spread="mixed"),
    "room for 3, shifting": shifting(3),
    "batches": batches(None),
    "batches, room for 4": batches(4),
    "outages": outages,
    "shared worker": shared(1),
    "three shared workers": shared(3),
    "retries": retries,
    "work-in-progress limit": limited_work,
    "none": none(load=(0.5, 0.5), others=(0.3, 0.5), workers=(1, 2, 4), spread="mixed"),
    "none, room for 3": none(load=(0.5, 0.5), others=(0.3, 0.5), capacity=3),
    "none, no room": none(load=(0.4, 0.4), others=(0.2, 0.4), capacity=0),
}
Phase = tuple[float, float, set[str], str]


def looks(
    scenario: Scenario, seed: int, telling: Telling, phases: list[Phase], *, every: float
) -> tuple[list[bool], list[bool]]:
    """Whether the highest severity was of the right stage, and whether it was an alarm, look by look."""
    seconds, window = scenario.minutes * MINUTE, 15 * MINUTE
    run = simulate(scenario.line, seconds=seconds, seed=seed, log=True)
    analyzer = BottleneckAnalyzer(window_seconds=window)
    log = events(scenario.line, run, telling)
    pending = next(log, None)
    right, alarms = [], []
    for tick in np.arange(window, seconds + 1, every):
        while pending is not None and pending[0] <= tick:
            analyzer.observe(pending[1])
            pending = next(log, None)
        severity = analyzer.severity(START + timedelta(seconds=float(tick)))
        begin, _, stages, _ = next(phase for phase in phases if phase[0] <= tick - 1e-9 <= phase[1])
        if begin and tick - begin <= window:
            continue  # right after a shift
        alarms.append(max(severity.values(), default=0.0) >= WARN)
        right.append(max(severity, key=severity.__getitem__, default="") in stages)
    return right, alarms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1001,1002")
    parser.add_argument("--only", default="")
    parser.add_argument("--telling", default=",".join(TELLINGS))
    parser.add_argument("--every", type=float, default=2.0, help="minutes between two looks")
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    tellings = args.telling.split(",")
    shares: dict[str, list[float]] = {telling: [] for telling in tellings}
    alarmed: dict[str, list[bool]] = {telling: [] for telling in tellings}
    quiet: dict[str, list[float]] = {telling: [] for telling in tellings}
    print(f"{'line':30}" + "".join(f"{telling + ': right, alarm':>27}" for telling in tellings))
    for name, make in LINES.items():
        if args.only not in name:
            continue
        drawn = [(make(random.Random(f"{name} {seed}")), seed) for seed in seeds]
        phases = [right_stages(scenario, seed) for scenario, seed in drawn]
        row = f"{name:30}"
        for telling in tellings:
            right: list[bool] = []
            alarms: list[bool] = []
            for (scenario, seed), known in zip(drawn, phases, strict=True):
                seen = looks(scenario, seed, TELLINGS[telling], known, every=args.every * MINUTE)
                right += seen[0]
                alarms += seen[1]
            if drawn[0][0].limited:
                shares[telling].append(float(np.mean(right)))
                alarmed[telling] += alarms
                row += f"{np.mean(right):20.3f}{np.mean(alarms):7.2f}"
            else:
                quiet[telling] += [not alarm for alarm in alarms]
                row += f"{'':20}{np.mean(alarms):7.2f}"
        print(row, flush=True)
    for telling in tellings:
        if shares[telling]:
            print(
                f"{telling}: right {np.mean(shares[telling]):.3f} (goal .98), worst line {min(shares[telling]):.3f} "
                f"(goal .85), alarm {np.mean(alarmed[telling]):.3f}, quiet {np.mean(quiet[telling] or [math.nan]):.3f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
