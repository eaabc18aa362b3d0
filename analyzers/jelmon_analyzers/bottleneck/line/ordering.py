"""Events put into the order of their times: producers have clocks of their own, and a little disorder is usual."""

from collections import deque
from collections.abc import Callable

from jelmon.events import Event

PATIENCE_SECONDS = 2.0


class Ordering:
    """Holds events back until nothing older is likely to come, then passes them on in the order of their times."""

    def __init__(self, pass_on: Callable[[Event, float], None], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._pass_on = pass_on
        self._patience_seconds = patience_seconds
        self._held: deque[tuple[float, Event]] = deque()
        self._newest = float("-inf")

    def put(self, event: Event, time: float) -> None:
        """Take one event; pass on those that have been held long enough, by the times of events."""
        held = self._held
        if time >= self._newest:
            self._newest = time
            held.append((time, event))
            self.release(time - self._patience_seconds)
            return
        place = len(held)
        while place and held[place - 1][0] > time:
            place -= 1
        held.insert(place, (time, event))

    def release(self, until: float) -> None:
        """Pass on everything up to a time."""
        held = self._held
        while held and held[0][0] <= until:
            time, event = held.popleft()
            self._pass_on(event, time)
