"""Since when the oldest item of a stage waits or runs, without a search through all of them."""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count
from operator import attrgetter

from jelmon_exporter.state.lifecycle import Lifecycle

_ties = count()  # heaps compare times, then this; never the items


class OldestItems:
    """Finds the oldest of the items that wait, or of those that run. Items no longer open are dropped lazily."""

    __slots__ = ("_size", "_sorted", "_time", "_waiting", "fresh")

    def __init__(self, *, waiting: bool) -> None:
        self._waiting = waiting
        self._time: Callable[[Lifecycle], datetime] = attrgetter("queued" if waiting else "started")
        self._sorted: list[tuple[datetime, int, list[Lifecycle]]] = []  # a heap of lists, each newest first
        self._size = 0
        self.fresh: list[Lifecycle] = []  # added since the last `oldest`; most are closed by then

    def oldest(self, count: float) -> float | None:
        """Return the earliest time in seconds; ``count`` is how many items are open, which bounds the memory."""
        if self.fresh:
            self._add(self.fresh)
            self.fresh.clear()
        if self._size > 2 * count + 64:
            lists, self._sorted, self._size = self._sorted, [], 0
            self._add([life for _, _, lives in lists for life in lives])
        while self._sorted:
            time, _, lives = self._sorted[0]
            while lives and not (lives[-1].live and (lives[-1].started is None or not self._waiting)):
                lives.pop()
                self._size -= 1
            if not lives:
                heapq.heappop(self._sorted)
            elif (oldest := self._time(lives[-1])) != time:
                heapq.heapreplace(self._sorted, (oldest, next(_ties), lives))
            else:
                return time.timestamp()
        return None

    def _add(self, lives: list[Lifecycle]) -> None:
        open_lives = self._open(lives)
        if open_lives:
            open_lives.sort(key=self._time, reverse=True)
            heapq.heappush(self._sorted, (self._time(open_lives[-1]), next(_ties), open_lives))
            self._size += len(open_lives)

    def _open(self, lives: list[Lifecycle]) -> list[Lifecycle]:
        if self._waiting:
            return [life for life in lives if life.live and life.started is None]
        return [life for life in lives if life.live]
