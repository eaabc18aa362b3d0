"""The sums of one stage over the analysis window, with the figures that several verdicts need."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.bottleneck.line.buckets import CONTENDED, UNAVAILABLE, WindowSums
from jelmon_analyzers.bottleneck.line.stage import Stage

RECENT_SHARE = 0.2
"""Share of the window whose queue is compared with the time before."""


@dataclass(frozen=True, slots=True)
class StageWindow:
    """One stage over the last ``seconds`` before ``now``."""

    stage: Stage
    sums: WindowSums
    seconds: float
    now: float
    run_seconds: NDArray[np.float64]
    """Lengths of the runs that ended in the window."""
    shares_unnamed_workers: bool

    @classmethod
    def of(cls, stage: Stage, now: float, seconds: float, *, shares_unnamed_workers: bool) -> "StageWindow":
        """Sum up the stage."""
        begin = now - seconds
        runs = np.array([max(0.0, run.finished - run.started) for run in stage.runs if run.finished >= begin])
        return cls(stage, stage.window(now, seconds), seconds, now, runs, shares_unnamed_workers)

    def total(self, field: int) -> float:
        """Return the sum of a field of `buckets`."""
        return max(0.0, float(self.sums.sums[field]))

    @property
    def contended(self) -> float:
        """Card-seconds of waiting while shared workers served another stage."""
        return self.total(CONTENDED) + (self.total(UNAVAILABLE) if self.shares_unnamed_workers else 0.0)

    def recent_and_earlier_queue(self) -> tuple[float, float]:
        """Return the mean queue in the newest fifth of the window and in the two fifths before it."""
        queue = self.sums.queue_by_bucket
        recent = max(1, round(len(queue) * RECENT_SHARE))
        if len(queue) < 3 * recent:
            return float(self.stage.waiting), float(self.stage.waiting)
        return float(queue[-recent:].mean()), float(queue[-3 * recent : -recent].mean())
