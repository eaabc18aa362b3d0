"""The deduplication window: identities of recent events, by which a repeated event is recognized.

`Tracker.apply` asks it for each batch. Its size is set in `Limits` (600 s, a million events); it is stored with the
state of each partition, so that a restart or a new owner knows the same events.

An event is identified by its source and id (`jelmon.events.identity`). A state of an earlier version has ids without
sources; these match an event of any source until they expire.
"""

from collections import deque
from collections.abc import Collection

from jelmon.events import Envelope


class DeduplicationWindow:
    """The identities of the last ``seconds``, at most about ``limit`` of them."""

    def __init__(self, *, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._batches: deque[tuple[float, list[str]]] = deque()
        self._fresh: list[str] = []  # since the last `drain`
        self._known: set[str] = set()
        self._without_source: set[str] = set()  # those of `_known` that are ids only

    def admit(self, events: Collection[Envelope]) -> bool:
        """Remember events if all of them are new; otherwise remember none of them."""
        identities = [f"{event.source} {event.id}" for event in events]  # `identity`, without a call for each
        new = set(identities)
        if len(new) < len(identities) or not new.isdisjoint(self._known):
            return False
        if self._without_source and any(event.id in self._without_source for event in events):
            return False
        self._known |= new
        self._fresh += identities
        return True

    def restore(self, batches: list[tuple[float, list[str]]]) -> None:
        """Load stored batches, oldest first, each with its time in seconds."""
        self._batches.extend(batches)
        for _, identities in batches:
            self._known.update(identities)
            self._without_source.update(identity for identity in identities if " " not in identity)

    def collapse(self, now: float) -> list[str]:
        """Return all identities, and treat them as one batch from now on."""
        identities = list(self._known)
        self._fresh = []
        self._batches = deque([(now, identities)] if identities else [])
        return identities

    def drain(self, now: float) -> tuple[list[str], int]:
        """Return the identities since the last call, and how many of the oldest batches have expired."""
        fresh, expired = self._fresh, 0
        if fresh:
            self._batches.append((now, fresh))
            self._fresh = []
        while self._batches and (self._batches[0][0] < now - self._seconds or len(self._known) > self._limit):
            if self._batches[0][1] is fresh:
                break
            _, gone = self._batches.popleft()
            self._known.difference_update(gone)
            self._without_source.difference_update(gone)
            expired += 1
        return fresh, expired
