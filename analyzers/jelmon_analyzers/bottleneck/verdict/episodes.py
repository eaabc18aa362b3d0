"""When a stage starts and stops being a bottleneck, with hysteresis, so that a score near the limit is one episode."""

from dataclasses import dataclass

ENTER = 50.0
LEAVE = 40.0
LEAVE_SECONDS = 120.0
"""The severity must stay below `LEAVE` this long; a short dip does not end an episode."""


@dataclass(slots=True)
class Episodes:
    """The episodes of one stage. Without a severity nothing changes."""

    count: int = 0
    since: float | None = None
    """When the current episode began; None outside of one."""
    _below: float | None = None

    def update(self, severity: float | None, now: float) -> bool:
        """Apply the newest severity; returns whether an episode begins."""
        if severity is None:
            return False
        if self.since is None:
            if severity < ENTER:
                return False
            self.since, self._below = now, None
            self.count += 1
            return True
        if severity >= LEAVE:
            self._below = None
        elif self._below is None:
            self._below = now
        elif now - self._below >= LEAVE_SECONDS:
            self.since = self._below = None
        return False
