"""What is reported about one stage in one window."""

from dataclasses import dataclass
from enum import StrEnum

NOTHING_WAITED = "nothing waited"
"""Reason for no severity: cards came, and none had to wait."""


class State(StrEnum):
    """What the queue of a stage does."""

    STUCK = "stuck"  # cards wait, and nothing was started or finished for much longer than a run takes
    GROWING = "growing"
    STEADY = "steady"
    DRAINING = "draining"
    IDLE = "idle"


class Cause(StrEnum):
    """Why cards wait for a stage (VUT: variability, utilization, time; and what takes workers away)."""

    UTILISATION = "utilisation"  # the workers are busy nearly all the time
    VARIABILITY = "variability"  # they are not, but arrival and run times vary
    BATCHING = "batching"  # cards arrive in batches
    UNAVAILABILITY = "unavailability"  # workers were free but started nothing
    CONTENTION = "contention"  # workers shared with this stage served another
    NONE = "none"  # hardly any card waited


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One stage in one window. Means are over time; ``None`` where there is too little data."""

    stage: str
    window_seconds: float
    severity: float | None
    """0 to 100: share of the window in which cards waited and nothing downstream blocked the stage."""
    impact: float
    """Card-seconds lost because of the stage."""
    cascade: float | None
    """0 to 100: risk that the stage slows others down."""
    utilisation: float | None
    """0 to 1: busy time of its workers."""
    contention: float | None
    """0 to 1: share of the waiting in which shared workers served another stage."""
    state: State
    cause: Cause
    workers: int
    workers_declared: bool
    queue_capacity: int | None
    capacity_declared: bool
    waiting: int
    in_service: int
    blocked: int
    mean_waiting: float
    mean_in_service: float
    mean_blocked: float
    arrivals: float
    starts: float
    finishes: float
    run_seconds: float | None
    """Mean of the runs that ended in the window."""
    seconds_until_full: float | None
    reason: str
    """Why there is no severity; empty if there is one."""
