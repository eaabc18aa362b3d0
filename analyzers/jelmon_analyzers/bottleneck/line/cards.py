"""Where each card is: its open visits to stages, and what distinguishes a repeated or late event from a new one.

A visit is one attempt of a card at a stage. Events may be repeated, late or missing. A visit is identified by card,
stage and attempt; an event older than the end of the card's last visit to that stage belongs to a visit that is over.
"""

from enum import IntEnum

from jelmon_analyzers.bottleneck.line.capacity_estimation import Transfer


class Phase(IntEnum):
    """What a card does in a stage."""

    WAITING = 0
    IN_SERVICE = 1
    BLOCKED = 2


class Visit:
    """One attempt of a card at a stage that is not over."""

    __slots__ = ("attempt", "blocker", "missed_by", "phase", "queued", "saturated_before", "since", "started")

    def __init__(self, attempt: int, phase: Phase, since: float) -> None:
        self.attempt = attempt
        self.phase = phase
        self.since = since  # when the phase began
        self.queued: float | None = None
        self.started: float | None = None
        self.saturated_before = 0.0  # the stage's saturated seconds when it started
        self.missed_by: tuple[int, ...] = ()  # other stages that share its worker, which count it as elsewhere
        self.blocker: int | None = None  # the stage that blocks it


class CardProgress:
    """A card on its way through the line."""

    __slots__ = ("arrived", "closed", "ended", "entered", "last_finished", "open", "seen", "transfer")

    def __init__(self, seen: float) -> None:
        self.seen = seen
        self.arrived: float | None = None
        self.ended: float | None = None
        self.open: dict[int, Visit] = {}
        self.closed: dict[int, tuple[float, int]] = {}  # stage -> (time, attempt) of the last end
        self.entered = False  # it has reached a stage
        self.last_finished: int | None = None  # the stage it finished last, to learn the route
        self.transfer: Transfer | None = None  # from there to the next stage

    def is_past(self, stage: int, attempt: int, time: float) -> bool:
        """Return whether an event of that time and attempt belongs to a visit that is over."""
        if self.ended is not None and time <= self.ended:
            return True
        closed = self.closed.get(stage)
        return closed is not None and (time, attempt) <= closed

    def restart(self) -> None:
        """Reset the card, which comes a second time after its end."""
        self.ended = self.arrived = self.last_finished = self.transfer = None
        self.entered = False
        self.closed.clear()
