"""Contention for system resources: whether cards wait while hosts are saturated."""

from collections import deque
from collections.abc import Mapping

SATURATED = 0.9
"""Share in use above which a resource counts as contended."""


class ResourceContention:
    """Sums the waiting of each stage over the window, and the part in cycles with a saturated resource."""

    def __init__(self, *, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._cycles: deque[tuple[float, dict[str, float], frozenset[str]]] = deque()
        self._resources: set[str] = set()

    def update(self, now: float, waiting: Mapping[str, float], usage: Mapping[str, float]) -> None:
        """Add a cycle: waiting cards by stage, and the share in use (0 to 1) by resource."""
        self._resources = set(usage)
        saturated = frozenset(name for name, share in usage.items() if share > SATURATED)
        self._cycles.append((now, dict(waiting), saturated))
        while self._cycles and self._cycles[0][0] < now - self._window_seconds:
            self._cycles.popleft()

    def ratios(self, stage: str) -> dict[str, float]:
        """Return the share of the stage's waiting by saturated resource; empty if no card waited."""
        total = sum(waiting.get(stage, 0.0) for _, waiting, _ in self._cycles)
        if total <= 0:
            return {}
        return {
            name: sum(waiting.get(stage, 0.0) for _, waiting, saturated in self._cycles if name in saturated) / total
            for name in self._resources
        }
