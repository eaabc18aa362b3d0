"""Where each card is: its open visits to stages, and what tells a repeated or late event from a new one.

A visit is one attempt of a card at a stage. Events may come twice, late, or not at all: a visit is told by card, stage
and attempt, and an event that is older than the end of the card's last visit to that stage belongs to the past.
"""

from enum import IntEnum

from jelmon_analyzers.bottleneck.line.capacity_estimation import Passage


class Phase(IntEnum):
    """What a card does in a stage."""

    WAITING = 0
    SERVED = 1
    HELD = 2  # finished there, and told to be held up by the next stage


class Visit:
    """One attempt of a card at a stage that is not over."""

    __slots__ = ("attempt", "phase", "queued", "saturated", "shared", "since", "started", "target")

    def __init__(self, attempt: int, phase: Phase, since: float) -> None:
        self.attempt = attempt
        self.phase = phase
        self.since = since  # when the phase began
        self.queued: float | None = None
        self.started: float | None = None
        self.saturated = 0.0  # what its stage had counted as saturated when it started
        self.shared: tuple[int, ...] = ()  # other stages that its worker also serves, as counted there
        self.target: int | None = None  # the stage that holds it up


class Journey:
    """A card on its way."""

    __slots__ = ("arrived", "closed", "ended", "entered", "left", "open", "passage", "seen")

    def __init__(self, seen: float) -> None:
        self.seen = seen
        self.arrived: float | None = None
        self.ended: float | None = None
        self.open: dict[int, Visit] = {}
        self.closed: dict[int, tuple[float, int]] = {}  # stage -> (time, attempt) of the last end
        self.entered = False  # it came to a stage
        self.left: int | None = None  # the stage it finished last, to learn the way from
        self.passage: Passage | None = None  # from there to the next stage

    def is_past(self, stage: int, attempt: int, time: float) -> bool:
        """Whether an event of that time and attempt tells of a visit that is over."""
        if self.ended is not None and time <= self.ended:
            return True
        closed = self.closed.get(stage)
        return closed is not None and (time, attempt) <= closed

    def begin_anew(self) -> None:
        """The card comes a second time, after its end."""
        self.ended = self.arrived = self.left = self.passage = None
        self.entered = False
        self.closed.clear()
