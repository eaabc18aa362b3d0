"""When a stage becomes a bottleneck and when it no longer is, with hysteresis, so that a figure at the limit is one."""

from dataclasses import dataclass

ENTER = 50.0
LEAVE = 40.0
LEAVE_SECONDS = 120.0
"""It must stay below for so long: a short breath does not end an episode."""


@dataclass(slots=True)
class Episodes:
    """The episodes of one stage. Without a verdict nothing changes."""

    count: int = 0
    since: float | None = None
    """When the present episode began; None outside of one."""
    _below: float | None = None

    def see(self, severity: float | None, now: float) -> bool:
        """Take a verdict; True if an episode begins with it."""
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
