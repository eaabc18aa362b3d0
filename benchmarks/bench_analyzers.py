"""Figures of the regression analyzers: what they find, how often they are wrong, what they cost.

    python benchmarks/bench_analyzers.py tcpd --data FOLDER     F1 and covering of `detect`
    python benchmarks/bench_analyzers.py nab --data FOLDER      NAB, standard profile, of `OnlineDetector`
    python benchmarks/bench_analyzers.py loo --data FOLDER      `tcpd`, each series with constants chosen without it
    python benchmarks/bench_analyzers.py online --seed 7        false alarms, delays, levels, severe, on synthetic kinds
    python benchmarks/bench_analyzers.py online --held          the same on kinds that no limit was tuned on
    python benchmarks/bench_analyzers.py runs                   run histories
    python benchmarks/bench_analyzers.py cost                   time and memory

FOLDER holds `tcpd/` (a JSON file per series and annotations.json, as github.com/alan-turing-institute/TCPD makes them)
and `nab/` (files as in github.com/numenta/NAB's `data`, windows.json beside them). Times are CPU seconds.
"""

import argparse
import copy
import csv
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers import OnlineDetector, detect, detect_many
from jelmon_analyzers.timeseries import changepoints
from support import scoring, synthetic, synthetic_held

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]
DAY = synthetic.DAY


def tcpd(arguments: argparse.Namespace) -> None:
    """Every univariate series with annotations; several dimensions are not part of the mean."""
    rows = []
    for name, values, truth in _annotated(arguments.data / "tcpd"):
        found = detect(values)
        rows.append(
            (
                scoring.f1(truth, found),
                scoring.cover(truth, found, len(values)),
                scoring.f1(truth, []),
                scoring.cover(truth, [], len(values)),
            )
        )
        print(f"{name:24} F1 {rows[-1][0]:.3f}  cover {rows[-1][1]:.3f}  {found}")
    ours_f1, ours_cover, zero_f1, zero_cover = np.mean(rows, axis=0)
    print(
        f"mean of {len(rows)}: F1 {ours_f1:.3f} cover {ours_cover:.3f}; never a change: {zero_f1:.3f} {zero_cover:.3f}"
    )


def _annotated(folder: Path) -> Iterator[tuple[str, Floats, dict[str, list[int]]]]:
    annotations = json.loads((folder / "annotations.json").read_text())
    for path in sorted(folder.glob("*.json")):
        series = json.loads(path.read_text())
        if series.get("n_dim") == 1 and series["name"] in annotations:
            raw = [np.nan if value is None else value for value in series["series"][0]["raw"]]
            yield series["name"], np.array(raw, dtype=float), annotations[series["name"]]


def loo(arguments: argparse.Namespace) -> None:
    """How much the choice of constants on these very series flatters: for each, the choice that the others make."""
    series = list(_annotated(arguments.data / "tcpd"))
    grid = {
        "PENALTY": (1.6, 2.3, 3.2),
        "SLOPE_PENALTY": (0.6, 0.9, 1.4),
        "LONG_RUN_SHARE": (0.5, 0.75, 1.0),
        "SPREAD_SHARE": (0.7, 0.85, 1.0),
    }
    scores = []
    for values in itertools.product(*grid.values()):
        for name, value in zip(grid, values, strict=True):
            setattr(changepoints, name, value)
        rows = []
        for _, each, truth in series:
            found = detect(each)
            rows.append((scoring.f1(truth, found), scoring.cover(truth, found, len(each))))
        scores.append(rows)
    table = np.array(scores)  # choice by series by measure
    held = []
    for number, (name, _, _) in enumerate(series):
        others = np.delete(table, number, axis=1).sum(axis=(1, 2))
        best = table[others >= others.max() - 1e-9, number].mean(axis=0)  # of equally good choices the mean
        held.append(best)
        print(f"{name:24} F1 {best[0]:.3f}  cover {best[1]:.3f}")
    print("each with the choice of the others: F1 {:.3f} cover {:.3f}".format(*np.mean(held, axis=0)))
    print("mean, least and most over all choices:", table.mean(axis=(0, 1)).round(3), end=" ")
    print(table.mean(axis=1).min(axis=0).round(3), table.mean(axis=1).max(axis=0).round(3))


def nab(arguments: argparse.Namespace) -> None:
    """A row is flagged if the score reaches the detector's own threshold."""
    folder = arguments.data / "nab"
    scores = []
    for name, windows in json.loads((folder / "windows.json").read_text()).items():
        with (folder / name).open() as file:
            rows = [(_timestamp(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
        times = np.array([moment for moment, _ in rows])
        detector = OnlineDetector(1, float(np.median(np.diff(times))), times[0])
        flags = [detector.update(value).score >= detector.threshold for _, value in rows]
        spans = [
            (
                int(np.searchsorted(times, _timestamp(first))),
                int(np.searchsorted(times, _timestamp(last), side="right")) - 1,
            )
            for first, last in windows
        ]
        scores.append(scoring.nab_raw(flags, spans))
        print(f"{name:50} raw {scores[-1][0]:6.2f} of {len(spans)}, {sum(flags)} flags")
    print(f"NAB, standard profile, {len(scores)} files: {scoring.nab(scores):.1f}")


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def online(arguments: argparse.Namespace) -> None:
    """All kinds of synthetic series: four weeks without a step, then steps of three sizes in the second week."""
    family = synthetic_held.KINDS if arguments.held else synthetic.KINDS
    kinds, each = list(family), arguments.series
    usual = _draw(arguments.seed, family, each, 28 * DAY)
    detector = OnlineDetector(usual.shape[1], 60, synthetic.START)
    began = time.process_time()
    alarms: Counter[str] = Counter()
    severe: Counter[str] = Counter()
    last_alarm, last_severe = np.full(usual.shape[1], -1e9), np.full(usual.shape[1], -1e9)
    highest = np.zeros((3, usual.shape[1]))
    for minute, row in enumerate(usual):
        verdicts = detector.update_many(row)
        for flags, last, counter in ((verdicts.score >= 1, last_alarm, alarms), (verdicts.severe, last_severe, severe)):
            for series in np.flatnonzero(flags):
                if minute >= 7 * DAY and minute - last[series] > 60:  # events an hour apart count once
                    counter[kinds[series // each]] += 1
                last[series] = minute
        if minute >= 7 * DAY:
            week = minute // (7 * DAY) - 1
            highest[week] = np.maximum(highest[week], detector.evidence)
    weeks = 3 * each
    print(
        f"false alarms per series-week: mean {sum(alarms.values()) / weeks / len(kinds):.3f}",
        _shown(alarms, weeks, kinds),
    )
    print(
        f"false severe per series-week: mean {sum(severe.values()) / weeks / len(kinds):.3f}",
        _shown(severe, weeks, kinds),
    )
    shares = ", ".join(f"{level:g}: {np.mean(highest >= level):.3f}" for level in (0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5))
    print(f"share of series-weeks whose evidence reaches   {shares}")
    print(f"{(time.process_time() - began) / usual.size * 1e6:.2f} us a sample at {usual.shape[1]} series")
    _steps(arguments.seed + 1000, family, each)


def _steps(seed: int, family: Mapping[str, Draw], each: int) -> None:
    kinds = list(family)
    base = _draw(seed, family, each, 13 * DAY)
    steps = np.random.default_rng(seed).integers(9 * DAY + 300, 12 * DAY + 300, (base.shape[1],))
    trained = OnlineDetector(base.shape[1], 60, synthetic.START)
    for row in base[: 9 * DAY]:
        trained.update_many(row)
    for factor in (1.2, 1.5, 2.0):
        detector = copy.deepcopy(trained)
        told = [detector.update_many(row) for row in synthetic.with_step(base, steps, factor)[9 * DAY :]]
        score, change, lower, upper, severe = (
            np.array([verdicts[part] for verdicts in told], dtype=np.float32) for part in range(5)
        )
        found = np.zeros((3, base.shape[1]), dtype=bool)
        error, covered = np.full((3, base.shape[1]), np.nan), np.full((3, base.shape[1]), np.nan)
        for series, step in enumerate(steps - 9 * DAY):
            already = (score[step - 60 : step, series] >= 1).any()  # an alarm that is on cannot warn
            for number, minutes in enumerate((15, 60, 240)):
                found[number, series] = not already and (score[step : step + minutes, series] >= 1).any()
                at = step + minutes - 1
                error[number, series] = abs((1 + change[at, series]) / factor - 1)
                covered[number, series] = lower[at, series] <= factor - 1 <= upper[at, series]
        quick = np.mean([severe[step : step + 15, series].any() for series, step in enumerate(steps - 9 * DAY)])
        print(
            f"+{factor - 1:.0%}: found in 15 min, 1 h, 4 h {found.mean(axis=1).round(2)}; "
            f"error of the level {np.nanmean(error, axis=1).round(3)}; covered {np.nanmean(covered, axis=1).round(3)}; "
            f"severe in 15 min {quick:.2f}"
        )
        for number, kind in enumerate(kinds):
            part = slice(number * each, (number + 1) * each)
            print(f"    {kind:9} {found[:, part].mean(axis=1).round(2)}")


def _draw(seed: int, family: Mapping[str, Draw], each: int, minutes: int) -> Floats:
    return np.concatenate(
        [draw(np.random.default_rng([seed, number]), minutes, each) for number, draw in enumerate(family.values())],
        axis=1,
    )


def _shown(counter: Counter[str], weeks: int, kinds: list[str]) -> dict[str, float]:
    return {kind: round(counter[kind] / weeks, 3) for kind in kinds}


def runs(arguments: argparse.Namespace) -> None:
    """A hundred steady runs, then twice the time; log-normal, some outliers."""
    random = np.random.default_rng(arguments.seed)
    histories, found, false = 200, Counter[int](), 0
    for _ in range(histories):
        scale = random.choice([0.1, 0.2, 0.3, 0.4, 0.5])
        values = np.exp(random.normal(0, scale, 120) + (random.random(120) < 0.03) * random.exponential(1, 120))
        false += len(detect(values[:100]))
        values[100:] *= 2
        for later in (5, 10, 20):
            found[later] += any(abs(point - 100) <= 5 for point in detect(values[: 100 + later]))
    print(f"false change points per 1,000 runs: {false / histories * 10:.2f}")
    print("+100 % found after", ", ".join(f"{later} runs: {found[later] / histories:.2f}" for later in (5, 10, 20)))


def cost(arguments: argparse.Namespace) -> None:
    """Ten thousand series."""
    random = np.random.default_rng(arguments.seed)
    matrix = np.exp(random.normal(0, 0.3, (300, 1440)))
    began = time.process_time()
    detect_many(matrix)
    print(f"batch: 10,000 x 1,440 points in {(time.process_time() - began) * 10_000 / 300:.1f} s")
    detector = OnlineDetector(10_000, 60, synthetic.START)
    row = np.exp(random.normal(0, 0.3, 10_000))
    began = time.process_time()
    for _ in range(DAY + 60):
        detector.update_many(row * np.exp(random.normal(0, 0.1)))
    size = sum(array.nbytes for array in detector.arrays().values())
    spent = (time.process_time() - began) / (DAY + 60) / 10_000
    print(
        f"online: {spent * 1e6:.2f} us a sample, {size / 10_000 / 1000:.1f} kB a series, over 10,000 series and a day"
    )


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {function.__name__: function for function in (tcpd, loo, nab, online, runs, cost)}
    parser.add_argument("figure", choices=commands)
    parser.add_argument("--data", type=Path, default=Path(), help="where tcpd/ and nab/ are")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--held", action="store_true", help="kinds of series that no limit was tuned on")
    parser.add_argument("--series", type=int, default=24, help="series of each kind")
    arguments = parser.parse_args()
    commands[arguments.figure](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
