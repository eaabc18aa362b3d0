"""Whether a change persists: rank tests that a few spikes do not pass."""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.evidence.windows import Windows

Floats = NDArray[np.float64]

_PARTS = 8
_LEAST_PARTS_HIGHER = 0.9
_LEAST_VALUES_HIGHER = 0.65
_LEAST_SLOTS = 4
"""Longer than a spike."""
_LEAST_SHARE = 3
"""The onset lies in the window, at least a third of its length ago."""


def persists(past: Windows, now: Windows, series: int, window: int, *, up: bool) -> bool:
    """Return whether what came since the likeliest onset is higher (lower) than the day before the window, by ranks.

    Both the values and the means of an eighth of them must pass (Mann-Whitney): values are blind to small steps in
    much noise, and means to spikes.
    """
    column = np.array([series])
    recent = now.last(min(window, now.length), column)[:, 0]
    before = past.last(past.length, column)[:-window, 0]
    recent = recent[-_slots_since_onset(recent, before, up=up) :]
    values_higher = _share_higher(recent, before)
    size = max(1, len(recent) // _PARTS)
    parts_higher = _share_higher(_means(recent, size), _means(before, size)) if size > 1 else values_higher
    if not up:
        values_higher, parts_higher = 1 - values_higher, 1 - parts_higher
    return parts_higher >= _LEAST_PARTS_HIGHER and (size == 1 or values_higher >= _LEAST_VALUES_HIGHER)


def _slots_since_onset(recent: Floats, before: Floats, *, up: bool) -> int:
    """Return the slots since the values rose (fell): the end of the window whose mean strays most for its length."""
    known = np.isfinite(recent)
    if not known.any() or not np.isfinite(before).any():
        return len(recent)
    above = np.where(known, recent - np.nanmedian(before), 0.0)[::-1] * (1 if up else -1)
    count = np.maximum(np.cumsum(known[::-1]), 1)
    least = min(len(recent), max(_LEAST_SLOTS, -(-len(recent) // _LEAST_SHARE)))
    strays = np.cumsum(above) / np.sqrt(count)
    return least + int(strays[least - 1 :].argmax())


def _share_higher(recent: Floats, before: Floats) -> float:
    """Return the chance that a recent value is higher than one before: Mann-Whitney's U over its largest value."""
    recent, before = recent[np.isfinite(recent)], np.sort(before[np.isfinite(before)])
    if not len(recent) or not len(before):
        return 0.5
    below = np.searchsorted(before, recent, side="left") + np.searchsorted(before, recent, side="right")
    return float(below.mean()) / 2 / len(before)


def _means(values: Floats, size: int) -> Floats:
    parts = values[len(values) % size :].reshape(-1, size)
    count = np.isfinite(parts).sum(axis=1)
    return np.where(count > 0, np.nansum(parts, axis=1) / np.maximum(count, 1), np.nan)
