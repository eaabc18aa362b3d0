"""One event per change: when a score becomes an alarm, how long it counts as announced, and when it is over."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PERSIST_SHARE = 12
"""A window must stay over its limit for a twelfth of its length."""
PARTS = 8
LEAST_PARTS_HIGHER = 0.9
LEAST_VALUES_HIGHER = 0.65
LEAST_SINCE = 4
LEAST_SHARE = 3
_JUST_BELOW = 0.99
_HOLD_MINUTES = 5
_OVER_BELOW = 0.5
_OVER_AFTER_MINUTES = 30
CONFIRM_MINUTES = 300


class AnnouncedChanges:
    """Which series are in a change that was announced."""

    ARRAYS = ("active", "age", "calm", "onset", "over", "since")

    def __init__(self, layout: Layout, series: int, *, quiet: int) -> None:
        self._layout = layout
        self._quiet = quiet
        self._persist = np.array([max(1, window // PERSIST_SHARE) for window in layout.windows])
        self.active = np.zeros(series, dtype=bool)
        self.age = np.zeros(series)
        """Slots since the alarm."""
        self.onset = np.zeros(series)
        """Slots since the change, as far as is known."""
        self.calm = np.zeros(series)
        self.over = np.zeros(series)
        self.since = np.full(series, np.inf)
        """Slots since the last alarm; no other follows within the quiet time."""

    def judge(
        self, evidence: Floats, strongest: NDArray[np.intp], new: Flags, up: Flags, past: Windows, now: Windows
    ) -> Floats:
        """The score of each series from its evidence; an alarm is 1 or more. What is ``new`` needs no other proof.

        The evidence of a change that was announced before counts no more, until the change is over or has become the
        usual level.
        """
        self.over = np.where(evidence >= 1, self.over + 1, 0)
        self.since += 1
        early = ((self.over < self._persist[strongest]) & ~new) | (self.since <= self._quiet)
        waiting = ~self.active & (evidence >= 1) & early
        score = np.where(waiting, _JUST_BELOW, evidence)
        for series in np.flatnonzero((score >= 1) & ~self.active):
            window = self._layout.windows[strongest[series]]
            if new[series] or _persists(past, now, int(series), window, up=bool(up[series])):
                self.active[series] = True
                self.since[series] = 0
                self.age[series] = self.calm[series] = 0
                self.onset[series] = window
            else:
                score[series] = _JUST_BELOW
        held = self.age < max(1, self._layout.slots(_HOLD_MINUTES))
        score = np.where(self.active & ~held, np.minimum(score, _JUST_BELOW), score)
        self._end(evidence)
        return score

    def confirmed(self) -> NDArray[np.intp]:
        """Series whose change has lasted so long that it is the usual level from now on."""
        return np.flatnonzero(self.active & (self.age >= self._layout.slots(CONFIRM_MINUTES)))

    def close(self, series: int) -> None:
        """The change of a series is over."""
        self.active[series] = False

    def _end(self, evidence: Floats) -> None:
        self.calm = np.where(self.active & (evidence < _OVER_BELOW), self.calm + 1, 0)
        self.active &= self.calm < self._layout.slots(_OVER_AFTER_MINUTES)
        self.age = np.where(self.active, self.age + 1, 0)
        self.onset = np.where(self.active, self.onset + 1, 0)


def _persists(past: Windows, now: Windows, series: int, window: int, *, up: bool) -> bool:
    """Whether what came since the likeliest onset is higher (lower) than the day before the window, by ranks.

    A few spikes are not a level. Asked of the values themselves and of the means of an eighth of them: the first is
    blind to small steps in much noise no more than the second is to spikes.
    """
    column = np.array([series])
    recent = now.last(min(window, now.length), column)[:, 0]
    before = past.last(past.length, column)[:-window, 0]
    recent = recent[-_since_onset(recent, before, up=up) :]
    values_higher = _share_higher(recent, before)
    size = max(1, len(recent) // PARTS)
    parts_higher = _share_higher(_means(recent, size), _means(before, size)) if size > 1 else values_higher
    if not up:
        values_higher, parts_higher = 1 - values_higher, 1 - parts_higher
    return parts_higher >= LEAST_PARTS_HIGHER and (size == 1 or values_higher >= LEAST_VALUES_HIGHER)


def _since_onset(recent: Floats, before: Floats, *, up: bool) -> int:
    """Slots since the values went up (down): the end of the window whose mean strays most for its length.

    No less than a third of the window, and than what is longer than a spike.
    """
    known = np.isfinite(recent)
    if not known.any() or not np.isfinite(before).any():
        return len(recent)
    above = np.where(known, recent - np.nanmedian(before), 0.0)[::-1] * (1 if up else -1)
    count = np.maximum(np.cumsum(known[::-1]), 1)
    least = min(len(recent), max(LEAST_SINCE, -(-len(recent) // LEAST_SHARE)))
    strays = np.cumsum(above) / np.sqrt(count)
    return least + int(strays[least - 1 :].argmax())


def _share_higher(recent: Floats, before: Floats) -> float:
    """Chance that a recent value is higher than one before (Mann-Whitney's U, divided by its largest value)."""
    recent, before = recent[np.isfinite(recent)], np.sort(before[np.isfinite(before)])
    if not len(recent) or not len(before):
        return 0.5
    below = np.searchsorted(before, recent, side="left") + np.searchsorted(before, recent, side="right")
    return float(below.mean()) / 2 / len(before)


def _means(values: Floats, size: int) -> Floats:
    parts = values[len(values) % size :].reshape(-1, size)
    count = np.isfinite(parts).sum(axis=1)
    return np.where(count > 0, np.nansum(parts, axis=1) / np.maximum(count, 1), np.nan)
