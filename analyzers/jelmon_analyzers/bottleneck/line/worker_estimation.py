"""The number of workers of a stage, estimated from how long each number of cards was in service."""

from jelmon_analyzers.bottleneck.line.buckets import BUCKETS_PER_WINDOW

_LEAST_SHARE, _LEAST_SHARE_QUEUED = 0.01, 0.05
"""Least share of the busy time with a number of cards in service, or more, for that number to count."""
FADE = 1 - 1 / (8 * BUCKETS_PER_WINDOW)
"""Weight per bucket: what was seen eight windows ago counts a third."""


class WorkerEstimate:
    """The most cards in service, ignoring moments.

    When one card ends and the next starts, clocks that differ show both in service for a moment.
    """

    __slots__ = ("_seconds", "_seconds_queued", "workers")

    def __init__(self) -> None:
        self.workers = 0
        self._seconds: list[float] = []
        self._seconds_queued: list[float] = []
        """Cards in service -> seconds; overall, and while cards waited (when every worker is busy)."""

    def add(self, in_service: int, seconds: float, *, queued: bool) -> None:
        """Count ``seconds`` with that many cards in service; ``queued``: cards waited and none was blocked."""
        if in_service >= len(self._seconds):
            more = [0.0] * (in_service + 1 - len(self._seconds))
            self._seconds += more
            self._seconds_queued += more
        self._seconds[in_service] += seconds
        if queued:
            self._seconds_queued[in_service] += seconds

    def update(self, *, fade: float = 1.0) -> None:
        """Estimate again, then multiply the weight of everything so far by ``fade``."""
        shares = [(self._seconds_queued, _LEAST_SHARE_QUEUED), (self._seconds, _LEAST_SHARE)]
        self.workers = max(_largest(seconds, share) for seconds, share in shares)
        for seconds, _ in shares:
            seconds[:] = [length * fade for length in seconds]


def _largest(seconds: list[float], share: float) -> int:
    """Return the largest number that was reached for more than that share of the time."""
    least = share * sum(seconds)
    reached = 0.0
    for number in range(len(seconds) - 1, 0, -1):
        reached += seconds[number]
        if reached > least:
            return number
    return 0
