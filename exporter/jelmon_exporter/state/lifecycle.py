"""The lifecycle of a card, a stage run or a session: queued, started, finished. Pure; times are event times.

Events may be repeated, late or out of order, and a lifecycle can start again (a card that returns to a stage with the
same attempt). `classify` says which of these an event is, from times alone.
"""

from datetime import datetime
from enum import Enum

import msgspec


class Step(Enum):
    """What an event reports."""

    QUEUED = 0
    STARTED = 1
    FINISHED = 2


class EventOrder(Enum):
    """How an event relates to the lifecycle that is known so far."""

    NEW = 0  # opens a lifecycle, after one that is over if there was one
    NEXT = 1  # continues the lifecycle
    BACKFILL = 2  # late, fills a gap: durations become known, the current state does not change
    STALE = 3  # belongs to an earlier lifecycle that is no longer known
    DUPLICATE = 4  # repeats what is known


class Lifecycle(msgspec.Struct, gc=False, array_like=True):
    """Times of queueing, start and finish, as far as known. ``live``: counted in the gauges."""

    queued: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    outcome: str | None = None
    live: bool = False


def classify(life: Lifecycle, step: Step, time: datetime) -> EventOrder:
    """Return how an event at ``time`` relates to ``life``, of which at least one step is known."""
    if step is Step.STARTED:
        return _classify_start(life, time)
    if step is Step.FINISHED:
        return _classify_finish(life, time)
    return _classify_queueing(life, time)


def _classify_queueing(life: Lifecycle, time: datetime) -> EventOrder:
    queued, started, finished = life.queued, life.started, life.finished
    begun = started if started is not None else finished
    if queued is None:
        return EventOrder.BACKFILL if begun is not None and time <= begun else EventOrder.NEW
    if begun is None:
        return EventOrder.DUPLICATE if time == queued else EventOrder.NEW if time > queued else EventOrder.STALE
    if time > begun or (finished is not None and queued == started == finished == time):
        return EventOrder.NEW  # also after a lifecycle of length 0: many logs have several at the same instant
    return EventOrder.DUPLICATE if time == queued else EventOrder.STALE


def _classify_start(life: Lifecycle, time: datetime) -> EventOrder:
    started, finished = life.started, life.finished
    if started is None:
        if finished is None:
            return EventOrder.NEXT
        return EventOrder.BACKFILL if time <= finished else EventOrder.NEW
    return EventOrder.NEW if time > started else EventOrder.DUPLICATE if time == started else EventOrder.STALE


def _classify_finish(life: Lifecycle, time: datetime) -> EventOrder:
    if life.finished is None:
        return EventOrder.NEXT
    if time > life.finished:
        return EventOrder.NEW
    return EventOrder.DUPLICATE if time == life.finished else EventOrder.STALE
