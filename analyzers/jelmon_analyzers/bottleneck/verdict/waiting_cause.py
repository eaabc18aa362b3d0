"""Why cards wait for a stage, after Kingman's V x U x T."""

import numpy as np

from jelmon_analyzers.bottleneck.line.buckets import BUSY, UNAVAILABLE, WAITING
from jelmon_analyzers.bottleneck.verdict.report import Cause, State
from jelmon_analyzers.bottleneck.verdict.stage_window import StageWindow

_HIGH_UTILISATION = 0.85
_MAIN_SHARE = 0.4  # share of the waiting that makes something its cause
_BATCHED_SHARE = 0.4  # share of arrivals that come together with another
_LEAST_ARRIVALS = 20


def waiting_cause(window: StageWindow, state: State) -> Cause:
    """Return the main cause of the waiting at a stage."""
    waiting = window.total(WAITING)
    if state is State.STUCK:
        return Cause.UNAVAILABILITY
    if waiting < 0.01 * window.seconds:
        return Cause.NONE
    if window.contended > _MAIN_SHARE * waiting:
        return Cause.CONTENTION
    if window.total(UNAVAILABLE) > _MAIN_SHARE * waiting:
        return Cause.UNAVAILABILITY
    if _arrives_in_batches(window):
        return Cause.BATCHING
    workers = window.stage.workers
    busy = window.total(BUSY) / (workers * window.seconds) if workers else 0.0
    if busy >= _HIGH_UTILISATION or state is State.GROWING:
        return Cause.UTILISATION
    return Cause.VARIABILITY


def _arrives_in_batches(window: StageWindow) -> bool:
    """Return whether cards arrive together far more often than random arrivals do."""
    times = np.sort([time for time in window.stage.arrival_times if time >= window.now - window.seconds])
    if len(times) < _LEAST_ARRIVALS:
        return False
    gaps = np.diff(times)
    mean = float(gaps.mean())
    # of random (Poisson) gaps, 5 % are shorter than a twentieth of their mean
    return mean > 0 and float((gaps < 0.05 * mean).mean()) > _BATCHED_SHARE
