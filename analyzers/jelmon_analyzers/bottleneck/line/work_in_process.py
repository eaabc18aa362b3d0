"""Cards in the line as a whole: arrivals, departures, entry stages, and the limit on work in process."""

from collections import deque

OUTSIDE_SECONDS = 1.0
"""A card that takes longer from its arrival to its first stage waited outside the line."""
LEAST_ADMISSIONS = 10


class WorkInProcess:
    """Counts cards as they come, enter their first stage and leave."""

    def __init__(self) -> None:
        self.arrivals: deque[float] = deque()
        self.departures: deque[float] = deque()
        """Times of the last two windows."""
        self.entries: dict[int, int] = {}
        """First stage -> number of cards that began there."""
        self._inside = 0
        self._admissions: deque[tuple[float, int]] = deque(maxlen=200)
        """Time at which a card that waited outside was let in, and the number of cards inside then."""

    def enter(self, stage: int, time: float, *, arrived: float | None) -> None:
        """Count a card that enters its first stage; ``arrived``: when it arrived, if known."""
        self.entries[stage] = self.entries.get(stage, 0) + 1
        self._inside += 1
        if arrived is not None and time - arrived > OUTSIDE_SECONDS:
            self._admissions.append((time, self._inside))

    def leave(self, time: float, *, entered: bool) -> None:
        """Count a card that ends; ``entered``: it had entered a stage."""
        self.departures.append(time)
        self._inside -= entered

    def departures_since(self, begin: float) -> int:
        """Return how many cards left at or after ``begin``."""
        return sum(1 for time in self.departures if time >= begin)

    def arrivals_since(self, begin: float) -> int:
        """Return how many cards came at or after ``begin``."""
        return sum(1 for time in self.arrivals if time >= begin)

    def limit(self, since: float) -> int | None:
        """Return the most cards let in while others waited outside; None if too few were observed since then."""
        inside = [count for time, count in self._admissions if time >= since]
        return max(inside) if len(inside) >= LEAST_ADMISSIONS else None

    def forget(self, before: float) -> None:
        """Drop arrivals and departures before a time."""
        for times in (self.arrivals, self.departures):
            while times and times[0] < before:
                times.popleft()
