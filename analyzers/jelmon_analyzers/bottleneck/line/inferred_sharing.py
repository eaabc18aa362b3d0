"""Stages that share workers whom nobody names: while cards wait for one though it has a worker free, the other is busy.

Where workers have names `sharing` knows. Without names a stage seems to have a free worker and not to take the cards
that wait. If in nearly all of that time the two stages together have as many cards in service as either can have, and
this holds for both, then they have the same workers.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.bottleneck.line.stage import Tally

SURE = 0.95
LEAST_SHARE = 0.02
"""Share of the time that a stage must have waited so, with `LEAST_SPANS` or more."""
LEAST_SPANS = 10
MOST_STAGES = 12
"""If more stages than this wait so, it is something else."""
Array = NDArray[np.float64]


def partners(tallies: Sequence[Tally], begin: float, now: float) -> dict[int, set[int]]:
    """Stage -> the stages with the same workers; only of stages that have some."""
    waits: dict[int, Array] = {}
    for number, tally in enumerate(tallies):
        spans = np.array([(max(since, begin), until) for since, until in tally.idle_spans if until > begin])
        if len(spans) >= LEAST_SPANS and (spans[:, 1] - spans[:, 0]).sum() >= LEAST_SHARE * (now - begin):
            waits[number] = spans
    if not 2 <= len(waits) <= MOST_STAGES:
        return {}
    runs = {
        number: np.array([(run.started, run.finished) for run in tallies[number].runs if run.finished > begin])
        for number in waits
    }
    found: dict[int, set[int]] = {}
    for one, other in itertools.combinations(waits, 2):
        if not len(runs[one]) or not len(runs[other]):
            continue
        served = np.concatenate([runs[one], runs[other]])
        workers = max(tallies[one].workers, tallies[other].workers)
        if all(_share_busy(waits[stage], served, workers) >= SURE for stage in (one, other)):
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return found


def _share_busy(waits: Array, served: Array, workers: int) -> float:
    """Share of the time of some spans in which at least so many cards were in service."""
    times = np.concatenate([served[:, 0], served[:, 1], waits[:, 0], waits[:, 1]])
    change = np.repeat([1, -1, 0, 0], [len(served), len(served), len(waits), len(waits)])
    inside = np.repeat([0, 0, 1, -1], [len(served), len(served), len(waits), len(waits)])
    order = np.argsort(times, kind="stable")
    lengths = np.diff(times[order])
    counts, within = np.cumsum(change[order])[:-1], np.cumsum(inside[order])[:-1] > 0
    return float(lengths[within & (counts >= workers)].sum() / max(lengths[within].sum(), 1e-9))
