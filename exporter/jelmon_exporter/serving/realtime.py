"""Real-time figures in Redis, for readers of Redis; they expire unless they are renewed.

``jelmore:metrics:<pipeline>`` is a hash that expires after 30 seconds, ``jelmore:sessions:<kind>`` one that expires
after 5 minutes. They derive from what `/metrics` exposes; every replica writes them, as all expose the same.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from jelmon import catalogue as c
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.redis import RedisStore
from jelmon_exporter.state.store import StoreUnavailableError

logger = logging.getLogger(__name__)

METRICS_LIFETIME_SECONDS = 30
SESSIONS_LIFETIME_SECONDS = 300
WRITE_SECONDS = 5.0
WINDOW_SECONDS = 900.0
"""Length of the window for velocity, the same as that of the signal ``cards_per_hour``."""


class RealtimeFigures:
    """Writes velocity, cards in flight and the state of each pipeline, every `WRITE_SECONDS`."""

    def __init__(self, store: RedisStore, view: View, clock: Callable[[], float]) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._finished: dict[str, deque[tuple[float, float]]] = {}
        self.warm = False

    async def run(self) -> None:
        """Write until cancelled. A failed write is not repeated: its values would be outdated."""
        while True:
            if self._view.complete:
                try:
                    await self._store.publish(self.pipelines(), METRICS_LIFETIME_SECONDS)
                    await self._store.publish(self.sessions(), SESSIONS_LIFETIME_SECONDS)
                    self.warm = True
                except StoreUnavailableError as error:
                    logger.debug("real-time figures not written", extra={"error": error.message})
            await asyncio.sleep(WRITE_SECONDS)

    def pipelines(self) -> dict[str, dict[str, str | float]]:
        """Return the fields of each pipeline, by key without the prefix."""
        now = self._clock()
        pipelines: dict[str, dict[str, str | float]] = {}
        for (pipeline,) in self._view.families[c.CARDS_STARTED.name]:
            finished = sum(
                self._number(c.CARDS_FINISHED, pipeline, outcome) for outcome in c.CARDS_FINISHED.closed["outcome"]
            )
            in_progress = self._number(c.CARDS_IN_PROGRESS, pipeline)
            last = self._number(c.LAST_ACTIVITY, pipeline)
            stall = self._number(c.STALL_LIMIT, pipeline) or 600.0
            waiting = self._number(c.CARDS_WAITING, pipeline)
            stalled = (in_progress or waiting) and last and now - last > stall
            pipelines[f"metrics:{pipeline}"] = {
                "cards_per_hour": round(self._velocity(pipeline, now, finished), 3),
                "cards_in_progress": in_progress,
                "cards_waiting": waiting,
                "cards_finished": finished,
                "last_activity_timestamp_seconds": last,
                "state": "stalled" if stalled else "running" if in_progress else "idle",
                "time": round(now, 3),
            }
        return pipelines

    def sessions(self) -> dict[str, dict[str, str | float]]:
        """Return the fields of each kind of session, by key without the prefix."""
        return {
            f"sessions:{kind}": {"active": self._number(c.SESSIONS_ACTIVE, kind), "time": round(self._clock(), 3)}
            for (kind,) in self._view.families[c.SESSIONS_ACTIVE.name]
        }

    def _velocity(self, pipeline: str, now: float, finished: float) -> float:
        """Return the cards finished per hour, over the part of the window that was observed."""
        seen = self._finished.setdefault(pipeline, deque())
        seen.append((now, finished))
        while len(seen) > 2 and seen[1][0] <= now - WINDOW_SECONDS:
            seen.popleft()
        elapsed = now - seen[0][0]
        return 3600 * (finished - seen[0][1]) / elapsed if elapsed > 0 else 0.0

    def _number(self, metric: c.Metric, *labels: str) -> float:
        value = self._view.value(metric, *labels)
        return float(value) if isinstance(value, int | float) else 0.0
