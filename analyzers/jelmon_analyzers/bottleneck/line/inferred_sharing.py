"""Stages that share unnamed workers: while cards wait for one although it has a free worker, the other is busy.

`worker_sharing` handles named workers. Without names, a stage seems to leave a worker idle while cards wait. If in
nearly all of that time two stages together have as many cards in service as either can have, and this holds for both,
they share their workers.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.bottleneck.line.stage import Stage

LEAST_AGREEMENT = 0.95
LEAST_SHARE = 0.02
"""Least share of the time with idle spans, and `LEAST_SPANS` their least number."""
LEAST_SPANS = 10
MOST_STAGES = 12
"""If more stages than this have idle spans, the cause is another."""
Array = NDArray[np.float64]


def infer_sharing(stages: Sequence[Stage], begin: float, now: float) -> dict[int, set[int]]:
    """Return stage -> the stages with the same workers, for stages that have any."""
    idle: dict[int, Array] = {}
    for index, stage in enumerate(stages):
        spans = np.array([(max(since, begin), until) for since, until in stage.idle_spans if until > begin])
        if len(spans) >= LEAST_SPANS and (spans[:, 1] - spans[:, 0]).sum() >= LEAST_SHARE * (now - begin):
            idle[index] = spans
    if not 2 <= len(idle) <= MOST_STAGES:
        return {}
    runs = {
        index: np.array([(run.started, run.finished) for run in stages[index].runs if run.finished > begin])
        for index in idle
    }
    sharing: dict[int, set[int]] = {}
    for first, second in itertools.combinations(idle, 2):
        if not len(runs[first]) or not len(runs[second]):
            continue
        served = np.concatenate([runs[first], runs[second]])
        workers = max(stages[first].workers, stages[second].workers)
        if all(_busy_share(idle[stage], served, workers) >= LEAST_AGREEMENT for stage in (first, second)):
            sharing.setdefault(first, set()).add(second)
            sharing.setdefault(second, set()).add(first)
    return sharing


def _busy_share(idle: Array, served: Array, workers: int) -> float:
    """Return the share of the time in the idle spans (n, 2) in which at least ``workers`` cards were in service."""
    times = np.concatenate([served[:, 0], served[:, 1], idle[:, 0], idle[:, 1]])
    change = np.repeat([1, -1, 0, 0], [len(served), len(served), len(idle), len(idle)])
    inside = np.repeat([0, 0, 1, -1], [len(served), len(served), len(idle), len(idle)])
    order = np.argsort(times, kind="stable")
    lengths = np.diff(times[order])
    counts, within = np.cumsum(change[order])[:-1], np.cumsum(inside[order])[:-1] > 0
    return float(lengths[within & (counts >= workers)].sum() / max(lengths[within].sum(), 1e-9))
