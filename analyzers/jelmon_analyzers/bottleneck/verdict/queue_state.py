"""What the queue of a stage does: stuck, growing, steady, draining or idle, and when it will be full."""

import math

import numpy as np

from jelmon_analyzers.bottleneck.line.buckets import STARTS
from jelmon_analyzers.bottleneck.verdict.report import State
from jelmon_analyzers.bottleneck.verdict.stage_window import RECENT_SHARE, StageWindow

STUCK_SECONDS = 60.0


def is_stuck(window: StageWindow, window_seconds: float) -> bool:
    """Return whether cards wait, nothing blocks the stage, and it was inactive for much longer than a run takes.

    ``window_seconds`` is the configured length of the window, which ``window`` may not have reached yet.
    """
    stage = window.stage
    if not stage.is_demanded or stage.blocked or (stage.workers_elsewhere and not stage.in_service):
        return False
    inactive = window.now - max(stage.waiting_since, stage.last_start, stage.last_finish)
    if stage.runs:
        usual = float(np.quantile([run.finished - run.started for run in stage.runs], 0.95))
        return inactive >= max(min(STUCK_SECONDS, window_seconds / 5), 3 * usual)
    return inactive >= window_seconds / 3


def queue_state(window: StageWindow, *, stuck: bool) -> State:
    """Return the state of the queue, from its newest fifth of the window and the two fifths before."""
    if stuck:
        return State.STUCK
    stage = window.stage
    recent, earlier = window.recent_and_earlier_queue()
    if not (stage.waiting or stage.in_service or stage.blocked) and recent == 0:
        return State.IDLE
    # a random walk of as many steps as cards were started moves by about the square root of their number
    noise = 1 + 0.5 * math.sqrt(max(0.0, window.total(STARTS)) * RECENT_SHARE)
    if recent > 1.1 * earlier + noise and stage.waiting > earlier:
        return State.GROWING
    if recent < 0.9 * earlier - noise and stage.waiting < earlier:
        return State.DRAINING
    return State.STEADY


def seconds_until_full(window: StageWindow, capacity: int | None) -> float | None:
    """Return when the queue will be full at its present growth; None if it is unlimited or does not grow."""
    if capacity is None:
        return None
    waiting = window.stage.waiting
    if waiting >= capacity:
        return 0.0
    recent, earlier = window.recent_and_earlier_queue()
    per_second = (recent - earlier) / (1.5 * RECENT_SHARE * window.seconds)
    return (capacity - waiting) / per_second if per_second > 0 else None
