"""Whether cards wait while the machines are at their limit: contention for system resources, cycle by cycle."""

from collections import deque
from collections.abc import Mapping

HOT = 0.9
"""A resource of which more than this is in use is held to be contended for."""


class Pressure:
    """Sums up the waiting of each stage, and how much of it fell on cycles in which a resource was hot."""

    def __init__(self, *, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._cycles: deque[tuple[float, dict[str, float], frozenset[str]]] = deque()
        self._resources: set[str] = set()

    def see(self, now: float, waiting: Mapping[str, float], usage: Mapping[str, float]) -> None:
        """One cycle: cards that wait by stage, and the share in use by resource."""
        self._resources = set(usage)
        hot = frozenset(name for name, share in usage.items() if share > HOT)
        self._cycles.append((now, dict(waiting), hot))
        while self._cycles and self._cycles[0][0] < now - self._window_seconds:
            self._cycles.popleft()

    def ratios(self, stage: str) -> dict[str, float]:
        """Share of the stage's waiting while each resource was hot; nothing for a stage for which no card waited."""
        total = sum(waiting.get(stage, 0.0) for _, waiting, _ in self._cycles)
        if total <= 0:
            return {}
        return {
            name: sum(waiting.get(stage, 0.0) for _, waiting, hot in self._cycles if name in hot) / total
            for name in self._resources
        }
