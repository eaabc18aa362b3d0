"""The time of the stream: when its messages arrived, bounded by the monotonic clock of this process.

Everything that expires, and the limit for times ahead, is measured by it. The clock of a host may step by days and
back: that must neither end cards that are in progress nor make events of next week believable.
"""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

STEP_SECONDS = 60.0
"""Readings further from what the monotonic clock says are steps, not drift or delay."""
SETTLE_SECONDS = 900.0
"""A step is believed once readings have agreed on it for so long."""


def monotonic() -> float:
    """Return seconds that pass evenly, also while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class StreamClock:
    """Tells the time that readings of another clock agree on: that of the server or, without a stream, of this host."""

    def __init__(self, monotonic: Callable[[], float] = monotonic) -> None:
        self._monotonic = monotonic
        self._ahead: float | None = None  # the time minus the monotonic clock; unknown before the first reading
        self._step = 0.0  # an offset that readings agree on, but not for long enough yet
        self._step_since: float | None = None

    def read(self, reading: float) -> None:
        """Take the present time of the other clock into account."""
        now = self._monotonic()
        ahead = reading - now
        if self._ahead is None:
            self._ahead = ahead
        elif abs(ahead - self._ahead) <= STEP_SECONDS:
            self._ahead = max(ahead, self._ahead)  # a message arrived some time ago: a late reading proves nothing
            self._step_since = None
        elif self._step_since is None or abs(ahead - self._step) > STEP_SECONDS:
            self._step, self._step_since = ahead, now
            logger.warning("the clock has stepped, and is not followed yet", extra={"seconds": ahead - self._ahead})
        elif now - self._step_since >= SETTLE_SECONDS:
            logger.warning("the clock has stepped, and is followed from now on", extra={"seconds": ahead - self._ahead})
            self._ahead, self._step_since = ahead, None

    def now(self) -> float:
        """Return the present time; 0 before the first reading."""
        return 0.0 if self._ahead is None else self._ahead + self._monotonic()

    def bounded(self, arrived: float) -> float:
        """Return when a message arrived, but not later than now."""
        return arrived if self._ahead is None else min(arrived, self.now() + STEP_SECONDS)
