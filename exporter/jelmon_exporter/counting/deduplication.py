"""The deduplication window: ids of recent events, by which a repeated event is recognized.

`Tracker.apply` asks it for each batch. Its size is set in `Limits` (600 s, a million ids); it is stored with the state
of each partition, so that a restart or a new owner knows the same ids.
"""

from collections import deque


class DeduplicationWindow:
    """The ids of the last ``seconds``, at most about ``limit`` of them."""

    def __init__(self, *, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._batches: deque[tuple[float, list[str]]] = deque()
        self._fresh: list[str] = []  # since the last `drain`
        self._known: set[str] = set()

    def admit(self, ids: list[str]) -> bool:
        """Remember ids if all of them are new; otherwise remember none of them."""
        new = set(ids)
        if len(new) < len(ids) or not new.isdisjoint(self._known):
            return False
        self._known |= new
        self._fresh += ids
        return True

    def restore(self, batches: list[tuple[float, list[str]]]) -> None:
        """Load stored batches, oldest first, each with its time in seconds."""
        self._batches.extend(batches)
        for _, ids in batches:
            self._known.update(ids)

    def collapse(self, now: float) -> list[str]:
        """Return all ids, and treat them as one batch from now on."""
        ids = list(self._known)
        self._fresh = []
        self._batches = deque([(now, ids)] if ids else [])
        return ids

    def drain(self, now: float) -> tuple[list[str], int]:
        """Return the ids since the last call, and how many of the oldest batches have expired."""
        ids, expired = self._fresh, 0
        if ids:
            self._batches.append((now, ids))
            self._fresh = []
        while self._batches and (self._batches[0][0] < now - self._seconds or len(self._known) > self._limit):
            if self._batches[0][1] is ids:
                break
            self._known.difference_update(self._batches.popleft()[1])
            expired += 1
        return ids, expired
