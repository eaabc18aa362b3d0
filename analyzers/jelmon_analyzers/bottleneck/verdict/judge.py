"""From the sums of a window to the reports on all stages: severity, impact, cascade risk, state, cause."""

from jelmon_analyzers.bottleneck.line.buckets import (
    ARRIVALS,
    BLOCKED,
    BUSY,
    FINISHES,
    LOCAL_LOSS,
    SATURATED,
    STARTS,
    WAITING,
)
from jelmon_analyzers.bottleneck.line.inferred_sharing import infer_sharing
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.verdict.queue_state import is_stuck, queue_state, seconds_until_full
from jelmon_analyzers.bottleneck.verdict.report import NOTHING_WAITED, StageReport, State
from jelmon_analyzers.bottleneck.verdict.stage_window import StageWindow
from jelmon_analyzers.bottleneck.verdict.waiting_cause import waiting_cause

MINIMUM_ARRIVALS = 20
LEAST_SHARE = 1 / 3
"""Share of the window that must have been observed."""


def judge(line: Line, now: float, *, minimum_arrivals: int = MINIMUM_ARRIVALS) -> dict[str, StageReport]:
    """Return a report on every stage of the line at ``now``, by name; infers shared workers first."""
    now = line.advance(now)
    if line.began is None:
        return {}
    seconds = min(line.window_seconds, now - line.began)
    if seconds <= 0:
        return {}
    line.sharing.inferred = infer_sharing(line.stages, now - seconds, now)
    windows = [
        StageWindow.of(stage, now, seconds, shares_unnamed_workers=index in line.sharing.inferred)
        for index, stage in enumerate(line.stages)
    ]
    return {
        window.stage.name: _report(line, index, windows, minimum_arrivals=minimum_arrivals)
        for index, window in enumerate(windows)
    }


def _report(line: Line, index: int, windows: list[StageWindow], *, minimum_arrivals: int) -> StageReport:
    window = windows[index]
    stage, total, seconds = window.stage, window.total, window.seconds
    stuck = is_stuck(window, line.window_seconds)
    reason = "" if stuck else _insufficient_data(window, line.window_seconds, minimum_arrivals)
    blocked_loss = sum(other.sums.loss_by_blocker.get(index, 0.0) for other in windows)
    contention_loss = sum(
        other.sums.loss_by_competitor.get(index, 0.0) for number, other in enumerate(windows) if number != index
    )
    state = queue_state(window, stuck=stuck)
    capacity = line.capacity(index)
    until_full = seconds_until_full(window, capacity) if state in (State.GROWING, State.STUCK) else None
    workers = stage.workers
    waiting = total(WAITING)
    return StageReport(
        stage=stage.name,
        window_seconds=seconds,
        severity=None if reason else 100.0 * min(1.0, total(SATURATED) / seconds),
        impact=total(LOCAL_LOSS) + blocked_loss,
        cascade=None if reason else _cascade_risk(window, blocked_loss + contention_loss, until_full),
        utilisation=min(1.0, total(BUSY) / (workers * seconds)) if workers else None,
        contention=min(1.0, window.contended / waiting) if waiting > 0 else None,
        state=state,
        cause=waiting_cause(window, state),
        workers=workers,
        workers_declared=stage.workers_declared is not None,
        queue_capacity=capacity,
        capacity_declared=index in line.declared_capacities,
        waiting=stage.waiting,
        in_service=stage.in_service,
        blocked=stage.blocked,
        mean_waiting=waiting / seconds,
        mean_in_service=total(BUSY) / seconds,
        mean_blocked=total(BLOCKED) / seconds,
        arrivals=total(ARRIVALS),
        starts=total(STARTS),
        finishes=total(FINISHES),
        run_seconds=float(window.run_seconds.mean()) if len(window.run_seconds) else None,
        seconds_until_full=until_full,
        reason=reason,
    )


def _insufficient_data(window: StageWindow, window_seconds: float, minimum_arrivals: int) -> str:
    """Return why there can be no severity; empty if there can.

    Arrivals, starts and waiting cards count, never completions: a stage that completes nothing must be reported. Half
    of them suffice for a slow stage, if cards waited for it most of the time and do so now.
    """
    if window.seconds < LEAST_SHARE * window_seconds:
        return "watched too short"
    waiting = window.stage.waiting + window.stage.blocked_upstream
    evidence = max(window.total(ARRIVALS), window.total(STARTS)) + waiting
    is_slow = waiting > 0 and window.total(SATURATED) > window.seconds / 2
    if evidence < (minimum_arrivals / 2 if is_slow else minimum_arrivals):
        return "too few cards"
    return "" if window.total(SATURATED) > 0 or window.total(WAITING) > 0 else NOTHING_WAITED


def _cascade_risk(window: StageWindow, elsewhere: float, until_full: float | None) -> float:
    """Return 0 to 100: the larger of the share of the loss that other stages suffer, and how near the queue is to full.

    ``elsewhere``: card-seconds lost at other stages because of this one.
    """
    local = max(0.0, window.total(LOCAL_LOSS) - window.contended)
    share = elsewhere / (local + elsewhere) if local + elsewhere > 0 else 0.0
    near = max(0.0, 1 - until_full / window.seconds) if until_full is not None else 0.0
    return 100.0 * min(1.0, max(share, near))
