"""The life of a card, of a stage run or of a session: queued, started, finished. Pure; times are those of events.

Events of one life may come twice, late or out of order, and the same life can begin anew (a card that returns to a
stage with the same attempt). `place` says which of these an event is, from times alone.
"""

from datetime import datetime
from enum import Enum

import msgspec


class Step(Enum):
    """What an event says about a life."""

    QUEUED = 0
    STARTED = 1
    FINISHED = 2


class Place(Enum):
    """Where an event belongs in the life that is known so far."""

    NEW = 0  # it opens a life, or the next one after a life that is over
    NEXT = 1  # it carries the life on
    MISSING = 2  # it comes late and fills a gap: durations get known, the present does not change
    STALE = 3  # it belongs to an earlier life that is no longer known
    REPEATED = 4  # it says again what is known


class Life(msgspec.Struct, gc=False, array_like=True):
    """When something was queued, started and finished, as far as is known. ``live``: the gauges count it."""

    queued: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    outcome: str | None = None
    live: bool = False


def place(life: Life, step: Step, time: datetime) -> Place:
    """Where an event at ``time`` belongs in ``life``, in which at least one step is known."""
    if step is Step.STARTED:
        return _place_started(life, time)
    if step is Step.FINISHED:
        return _place_finished(life, time)
    return _place_queued(life, time)


def _place_queued(life: Life, time: datetime) -> Place:
    queued, started, finished = life.queued, life.started, life.finished
    begun = started if started is not None else finished
    if queued is None:
        return Place.MISSING if begun is not None and time <= begun else Place.NEW
    if begun is None:
        return Place.REPEATED if time == queued else Place.NEW if time > queued else Place.STALE
    if time > begun or (finished is not None and queued == started == finished == time):
        return Place.NEW  # also after a life of no length: many logs hold several at the same instant
    return Place.REPEATED if time == queued else Place.STALE


def _place_started(life: Life, time: datetime) -> Place:
    started, finished = life.started, life.finished
    if started is None:
        if finished is None:
            return Place.NEXT
        return Place.MISSING if time <= finished else Place.NEW
    return Place.NEW if time > started else Place.REPEATED if time == started else Place.STALE


def _place_finished(life: Life, time: datetime) -> Place:
    if life.finished is None:
        return Place.NEXT
    return Place.NEW if time > life.finished else Place.REPEATED if time == life.finished else Place.STALE
