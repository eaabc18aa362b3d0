"""From the sums of a window to what is said about a stage: severity, impact, cascade risk, state, cause of waiting."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.bottleneck.line.inferred_sharing import partners
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.stage import (
    ARRIVALS,
    BUSY,
    CONTENDED,
    FINISHES,
    HELD,
    OWN_LOSS,
    SATURATED,
    STARTS,
    UNAVAILABLE,
    WAITING,
    Sums,
    Tally,
)

MINIMUM_ARRIVALS = 20
LEAST_SHARE = 1 / 3
"""Share of the window that must have been watched."""
STUCK_SECONDS = 60.0
NOTHING_WAITED = "nothing waited"
_RECENT = 0.2  # share of the window in which a queue is compared with the time before
_HIGH_UTILISATION = 0.85
_MOST_OF_IT = 0.4  # share of the waiting that makes something its cause
_BATCHED = 0.4  # share of arrivals that come together with another


class State(StrEnum):
    """What the queue of a stage does."""

    STUCK = "stuck"  # cards wait, and for long nothing was started or finished
    GROWING = "growing"
    STEADY = "steady"
    DRAINING = "draining"
    IDLE = "idle"


class Cause(StrEnum):
    """Why cards wait for a stage (VUT: variability, utilisation, time; and what takes workers away)."""

    UTILISATION = "utilisation"  # the workers are busy nearly all the time
    VARIABILITY = "variability"  # they are not, but arrivals and run times scatter
    BATCHING = "batching"  # cards come in lumps
    UNAVAILABILITY = "unavailability"  # workers were free or there, and took nothing
    CONTENTION = "contention"  # workers that also serve this stage served another
    NONE = "none"  # hardly any card waited


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One stage in one window. Means are over time; ``None`` where there is too little to judge by."""

    stage: str
    window_seconds: float
    severity: float | None
    impact: float
    cascade: float | None
    utilisation: float | None
    contention: float | None
    state: State
    cause: Cause
    workers: int
    workers_declared: bool
    queue_capacity: int | None
    capacity_declared: bool
    waiting: int
    in_service: int
    held_up: int
    mean_waiting: float
    mean_in_service: float
    mean_held_up: float
    arrivals: float
    starts: float
    finishes: float
    run_seconds: float | None
    """Mean of the runs that ended in the window."""
    seconds_until_full: float | None
    reason: str
    """Why there is no severity; empty if there is one."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known of one stage, put together for the questions below."""

    tally: Tally
    window: Sums
    seconds: float
    now: float
    runs: NDArray[np.float64]  # seconds of the runs that ended in the window
    shares_unnamed: bool  # it shares workers that have no names

    def total(self, field: int) -> float:
        return max(0.0, float(self.window.sums[field]))

    @property
    def contended(self) -> float:
        """Card-seconds of waiting in which its workers served another stage."""
        return self.total(CONTENDED) + (self.total(UNAVAILABLE) if self.shares_unnamed else 0.0)


def judge(line: Line, now: float, *, minimum_arrivals: int = MINIMUM_ARRIVALS) -> dict[str, StageReport]:
    """A report on every stage of the line, at ``now``."""
    now = line.advance(now)
    if line.began is None:
        return {}
    seconds = min(line.window_seconds, now - line.began)
    if seconds <= 0:
        return {}
    line.sharing.unnamed = partners(line.tallies, now - seconds, now)
    looks = [
        _Look(
            tally,
            tally.window(now, seconds),
            seconds,
            now,
            _run_seconds(tally, now - seconds),
            index in line.sharing.unnamed,
        )
        for index, tally in enumerate(line.tallies)
    ]
    return {
        look.tally.name: _report(line, index, looks, minimum_arrivals=minimum_arrivals)
        for index, look in enumerate(looks)
    }


def _run_seconds(tally: Tally, begin: float) -> NDArray[np.float64]:
    return np.array([max(0.0, run.finished - run.started) for run in tally.runs if run.finished >= begin])


def _report(line: Line, index: int, looks: list[_Look], *, minimum_arrivals: int) -> StageReport:
    look = looks[index]
    tally, total, seconds = look.tally, look.total, look.seconds
    stuck = _is_stuck(look, line.window_seconds)
    reason = "" if stuck else _too_little(look, line.window_seconds, minimum_arrivals)
    spilled = sum(other.window.passed_on.get(index, 0.0) for other in looks)
    blamed = sum(other.window.blame.get(index, 0.0) for number, other in enumerate(looks) if number != index)
    impact = total(OWN_LOSS) + spilled
    state = _state(look, stuck=stuck)
    until_full = _seconds_until_full(line, index, look) if state in (State.GROWING, State.STUCK) else None
    workers = tally.workers
    waiting = total(WAITING)
    return StageReport(
        stage=tally.name,
        window_seconds=seconds,
        severity=None if reason else 100.0 * min(1.0, total(SATURATED) / seconds),
        impact=impact,
        cascade=None if reason else _cascade(look, spilled=spilled, blamed=blamed, until_full=until_full),
        utilisation=min(1.0, total(BUSY) / (workers * seconds)) if workers else None,
        contention=min(1.0, look.contended / waiting) if waiting > 0 else None,
        state=state,
        cause=_cause(look, state),
        workers=workers,
        workers_declared=tally.workers_declared is not None,
        queue_capacity=line.capacity(index),
        capacity_declared=index in line.capacities,
        waiting=tally.q,
        in_service=tally.v,
        held_up=tally.b,
        mean_waiting=waiting / seconds,
        mean_in_service=total(BUSY) / seconds,
        mean_held_up=total(HELD) / seconds,
        arrivals=total(ARRIVALS),
        starts=total(STARTS),
        finishes=total(FINISHES),
        run_seconds=float(look.runs.mean()) if len(look.runs) else None,
        seconds_until_full=until_full,
        reason=reason,
    )


def _too_little(look: _Look, window_seconds: float, minimum_arrivals: int) -> str:
    """Why there can be no verdict; empty if there can.

    Arrivals, starts and cards that wait count, never completions: a stage that completes nothing must be named. A slow
    stage may do with half of them, if cards waited for it most of the time and do so now.
    """
    if look.seconds < LEAST_SHARE * window_seconds:
        return "watched too short"
    waiting = look.tally.q + look.tally.wanted
    evidence = max(look.total(ARRIVALS), look.total(STARTS)) + waiting
    waited = waiting > 0 and look.total(SATURATED) > look.seconds / 2
    if evidence < (minimum_arrivals / 2 if waited else minimum_arrivals):
        return "too few cards"
    return "" if look.total(SATURATED) > 0 or look.total(WAITING) > 0 else NOTHING_WAITED


def _is_stuck(look: _Look, window_seconds: float) -> bool:
    """Cards wait, nothing holds the stage up, and it has started and finished nothing for longer than a run takes."""
    tally = look.tally
    if not (tally.q or tally.wanted) or tally.b or (tally.elsewhere and not tally.v):
        return False
    silent = look.now - max(tally.waiting_since, tally.last_start, tally.last_finish)
    if tally.runs:
        usual = float(np.quantile([run.finished - run.started for run in tally.runs], 0.95))
        return silent >= max(min(STUCK_SECONDS, window_seconds / 5), 3 * usual)
    return silent >= window_seconds / 3


def _recent_and_before(look: _Look) -> tuple[float, float]:
    """Mean queue in the newest fifth of the window and in the two fifths before it."""
    queue = look.window.queue_by_bucket
    recent = max(1, round(len(queue) * _RECENT))
    if len(queue) < 3 * recent:
        return float(look.tally.q), float(look.tally.q)
    return float(queue[-recent:].mean()), float(queue[-3 * recent : -recent].mean())


def _state(look: _Look, *, stuck: bool) -> State:
    tally = look.tally
    if stuck:
        return State.STUCK
    recent, before = _recent_and_before(look)
    if not (tally.q or tally.v or tally.b) and recent == 0:
        return State.IDLE
    # a random walk of as many cards as were started wanders by about the root of their number
    noise = 1 + 0.5 * math.sqrt(max(0.0, look.total(STARTS)) * _RECENT)
    if recent > 1.1 * before + noise and tally.q > before:
        return State.GROWING
    if recent < 0.9 * before - noise and tally.q < before:
        return State.DRAINING
    return State.STEADY


def _seconds_until_full(line: Line, index: int, look: _Look) -> float | None:
    """At the growth from the time before to the newest time."""
    capacity = line.capacity(index)
    if capacity is None:
        return None
    if look.tally.q >= capacity:
        return 0.0
    recent, before = _recent_and_before(look)
    per_second = (recent - before) / (1.5 * _RECENT * look.seconds)
    return (capacity - look.tally.q) / per_second if per_second > 0 else None


def _cascade(look: _Look, *, spilled: float, blamed: float, until_full: float | None) -> float:
    """The larger of the share of the loss that others suffer, and how near the queue is to being full."""
    own = max(0.0, look.total(OWN_LOSS) - look.contended)
    elsewhere = spilled + blamed
    share = elsewhere / (own + elsewhere) if own + elsewhere > 0 else 0.0
    near = max(0.0, 1 - until_full / look.seconds) if until_full is not None else 0.0
    return 100.0 * min(1.0, max(share, near))


def _cause(look: _Look, state: State) -> Cause:
    total = look.total
    waiting = total(WAITING)
    if state is State.STUCK:
        return Cause.UNAVAILABILITY
    if waiting < 0.01 * look.seconds:
        return Cause.NONE
    if look.contended > _MOST_OF_IT * waiting:
        return Cause.CONTENTION
    if total(UNAVAILABLE) > _MOST_OF_IT * waiting:
        return Cause.UNAVAILABILITY
    if _comes_in_lumps(look):
        return Cause.BATCHING
    busy = total(BUSY) / (look.tally.workers * look.seconds) if look.tally.workers else 0.0
    if busy >= _HIGH_UTILISATION or state is State.GROWING:
        return Cause.UTILISATION
    return Cause.VARIABILITY


def _comes_in_lumps(look: _Look) -> bool:
    """Whether cards arrive together far more often than random arrivals do."""
    times = np.sort([time for time in look.tally.arrival_times if time >= look.now - look.seconds])
    if len(times) < MINIMUM_ARRIVALS:
        return False
    gaps = np.diff(times)
    mean = float(gaps.mean())
    # of random (Poisson) gaps 5 % are shorter than a twentieth of their mean
    return mean > 0 and float((gaps < 0.05 * mean).mean()) > _BATCHED
