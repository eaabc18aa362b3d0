"""How time is cut: ticks into slots, slots into blocks and days, windows counted in slots."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MINUTE = 60.0
DAY = 86400.0
WEEK_DAYS = 7
SCALE_DAYS = 6
"""Days over which scales of noise are measured."""
WINDOW_MINUTES = (5, 15, 30, 60, 120, 240)
_BLOCK_MINUTES = 15
_LEAST_REFERENCE_MINUTES = 360
_REFERENCE_WINDOWS = 12
_LEAST_DAY_SLOTS = 24


@dataclass(frozen=True)
class Layout:
    """The time grid of a detector.

    A slot is a minute, or the step if that is longer. A day begins at the time of day at which the data begin. ``step``
    is in seconds, ``start`` a Unix time.

    Raises:
        ValueError: the step is not positive or above a week, or the start is not finite.
    """

    step: float
    start: float
    ticks: int = field(init=False)
    """Ticks in a slot."""
    slot: float = field(init=False)
    """Seconds in a slot."""

    def __post_init__(self) -> None:
        if not 0 < self.step <= 7 * DAY:
            raise ValueError(f"step must be more than 0 and at most a week of seconds, got {self.step}")
        if not np.isfinite(self.start):
            raise ValueError(f"start must be a Unix time in seconds, got {self.start}")
        object.__setattr__(self, "ticks", max(1, round(MINUTE / self.step)))
        object.__setattr__(self, "slot", self.step * self.ticks)

    @cached_property
    def day(self) -> int:
        """Slots in a day; at least 24, so that long slots have something to compare with."""
        return max(round(DAY / self.slot), _LEAST_DAY_SLOTS)

    @cached_property
    def seasonal(self) -> bool:
        """Whether slots are short enough for a time of day to mean anything."""
        return round(DAY / self.slot) >= _LEAST_DAY_SLOTS

    @cached_property
    def per_block(self) -> int:
        """Slots in a block, the resolution of the time of day."""
        return max(1, round(_BLOCK_MINUTES * MINUTE / self.slot))

    @cached_property
    def blocks(self) -> int:
        """Blocks in a day; the last may be short."""
        return -(-self.day // self.per_block)

    @cached_property
    def windows(self) -> tuple[int, ...]:
        """Lengths of the windows in slots, ascending."""
        return tuple(sorted({self.slots(minutes) for minutes in WINDOW_MINUTES}))

    @cached_property
    def references(self) -> tuple[int, ...]:
        """Length in slots of the reference before each window.

        Twelve times the window, so that the reference adds little noise; at least six hours and at most a day. A short
        reference follows a level that wanders.
        """
        least = min(self.slots(_LEAST_REFERENCE_MINUTES), self.day)
        return tuple(min(max(_REFERENCE_WINDOWS * window, least), self.day) for window in self.windows)

    def slots(self, minutes: float) -> int:
        """Return the number of slots in this many minutes, at least 1."""
        return max(1, round(minutes * MINUTE / self.slot))

    def classes(self, day: int, offset: float) -> NDArray[np.int8]:
        """Return the weekday class of each block of a day: 0 for Monday to Friday, 1 for Saturday and Sunday.

        Weekdays are those of local time, which is ``offset`` seconds ahead of UTC.
        """
        times = offset + self.start + self.slot * (day * self.day + np.arange(self.blocks) * self.per_block)
        weekday = (np.floor(times / DAY).astype(np.int64) + 3) % WEEK_DAYS
        classes: NDArray[np.int8] = (weekday >= 5).astype(np.int8)
        return classes
