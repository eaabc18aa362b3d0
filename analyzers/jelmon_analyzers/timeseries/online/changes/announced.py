"""Announced changes: when evidence becomes an alarm, how long a change counts as announced, and when it is over."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.changes.persistence import persists
from jelmon_analyzers.timeseries.online.evidence.comparison import Strongest
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_PERSIST_SHARE = 12
"""A window must stay over its limit for a twelfth of its length."""
_JUST_BELOW = 0.99
_HOLD_MINUTES = 5
"""How long an alarm stays on."""
_OVER_BELOW = 0.5
_OVER_AFTER_MINUTES = 30
_CONFIRM_MINUTES = 300
"""After this time the new level is the usual one."""


class AnnouncedChanges(Part):
    """The change of each series that was announced and is neither over nor the usual level yet."""

    def __init__(self, layout: Layout, series: int, *, quiet: int) -> None:
        """Start without changes; no alarm follows another within ``quiet`` slots."""
        self._layout = layout
        self._quiet = quiet
        self._persist = np.array([max(1, window // _PERSIST_SHARE) for window in layout.windows])
        self.active = np.zeros(series, dtype=bool)
        self._age = np.zeros(series)
        """Slots since the alarm."""
        self.onset = np.zeros(series)
        """Slots since the change began, as far as is known."""
        self._calm = np.zeros(series)
        """Slots since the evidence fell away."""
        self._over = np.zeros(series)
        """Slots for which the evidence has been over its limit."""
        self._since = np.full(series, np.inf)
        """Slots since the last alarm."""

    def arrays(self) -> dict[str, Array]:
        return {
            "active": self.active,
            "age": self._age,
            "calm": self._calm,
            "onset": self.onset,
            "over": self._over,
            "since": self._since,
        }

    def judge(self, evidence: Floats, strongest: Strongest, past: Windows, now: Windows) -> Floats:
        """Return the score of each series from its evidence; 1 or more is an alarm.

        A change that was announced raises no further alarm until it is over or has become the usual level.
        """
        self._over = np.where(evidence >= 1, self._over + 1, 0)
        self._since += 1
        early = ((self._over < self._persist[strongest.window]) & ~strongest.novel) | (self._since <= self._quiet)
        waiting = ~self.active & (evidence >= 1) & early
        score = np.where(waiting, _JUST_BELOW, evidence)
        for series in np.flatnonzero((score >= 1) & ~self.active):
            window = self._layout.windows[strongest.window[series]]
            if strongest.novel[series] or persists(past, now, int(series), window, up=bool(strongest.up[series])):
                self.active[series] = True
                self._since[series] = 0
                self._age[series] = self._calm[series] = 0
                self.onset[series] = window
            else:
                score[series] = _JUST_BELOW
        held = self._age < self._layout.slots(_HOLD_MINUTES)
        score = np.where(self.active & ~held, np.minimum(score, _JUST_BELOW), score)
        self._end_calm(evidence)
        return score

    def confirmed(self) -> Indices:
        """Return the series whose change has lasted long enough to become the usual level."""
        return np.flatnonzero(self.active & (self._age >= self._layout.slots(_CONFIRM_MINUTES)))

    def close(self, series: int) -> None:
        """End the change of a series."""
        self.active[series] = False

    def _end_calm(self, evidence: Floats) -> None:
        """End changes whose evidence has been low for a while; the others grow older."""
        self._calm = np.where(self.active & (evidence < _OVER_BELOW), self._calm + 1, 0)
        self.active &= self._calm < self._layout.slots(_OVER_AFTER_MINUTES)
        self._age = np.where(self.active, self._age + 1, 0)
        self.onset = np.where(self.active, self.onset + 1, 0)
