"""Reordering of events by time: producers' clocks differ, and a little disorder is usual."""

from collections import deque
from collections.abc import Callable

from jelmon.events import Event

PATIENCE_SECONDS = 2.0


class Ordering:
    """Delays events until nothing older is likely to come, then passes them on in the order of their times."""

    def __init__(self, pass_on: Callable[[Event, float], None], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._pass_on = pass_on
        self._patience_seconds = patience_seconds
        self._delayed: deque[tuple[float, Event]] = deque()
        self._newest = float("-inf")

    def put(self, event: Event, time: float) -> None:
        """Add an event; pass on those that were delayed long enough, by the times of events."""
        delayed = self._delayed
        if time >= self._newest:
            self._newest = time
            delayed.append((time, event))
            self.release(time - self._patience_seconds)
            return
        position = len(delayed)
        while position and delayed[position - 1][0] > time:
            position -= 1
        delayed.insert(position, (time, event))

    def release(self, until: float) -> None:
        """Pass on everything up to a time."""
        delayed = self._delayed
        while delayed and delayed[0][0] <= until:
            time, event = delayed.popleft()
            self._pass_on(event, time)
