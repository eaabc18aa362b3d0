"""The size of a change, its interval, and whether it is severe."""

import math

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.nan_statistics import median
from jelmon_analyzers.timeseries.online.changes.announced import AnnouncedChanges
from jelmon_analyzers.timeseries.online.evidence.comparison import Comparison
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

INTERVAL = 1.96
SEVERE = math.log(1.5)
SEVERE_LOWER = math.log(1.25)
_USUAL_MINUTES = 60
_SEVERE_MINUTES = 10
_SEVERE_MARGIN = 1.25
"""The median of Gaussian values strays by a quarter more than their mean."""
_CANDIDATE = 0.7
_EVIDENT = 0.5


def size(
    layout: Layout, announced: AnnouncedChanges, now: Windows, compared: Comparison, hold: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the difference of level, half its 95 % interval, and the level before, for each series.

    They come from the window of an hour, or from a shorter one with clear evidence. In an announced change they come
    from the longest window that lies wholly after its onset, with spikes held within ``hold`` of the new level.
    """
    windows = np.array(layout.windows)
    hour = int(np.searchsorted(windows, layout.slots(_USUAL_MINUTES)))
    short = compared.evidence[: hour + 1]
    chosen = np.where(short.max(axis=0) > _EVIDENT, short.argmax(axis=0), hour)
    active = np.flatnonzero(announced.active)
    chosen[active] = np.maximum(np.searchsorted(windows, announced.onset[active], side="right") - 1, 0)
    difference, scale, reference = (
        np.take_along_axis(values, chosen[None], axis=0)[0]
        for values in (compared.difference, compared.scale, compared.reference)
    )
    if len(active):
        recent = now.last(min(now.length, int(windows[-1])), active)
        recent[np.arange(len(recent))[:, None] < len(recent) - windows[chosen[active]]] = np.nan
        centre = median(recent)
        held = centre + np.clip(recent - centre, -hold[active], hold[active])
        count = np.isfinite(held).sum(axis=0)
        level = np.where(count > 0, np.nansum(held, axis=0) / np.maximum(count, 1), np.nan)
        # a whole day before the change: a shorter reference depends more on the shape of the day
        reference[active] = compared.reference[-1, active]
        difference[active] = level - reference[active]
    return difference, INTERVAL * scale, reference


def severe(
    layout: Layout,
    announced: AnnouncedChanges,
    now: Windows,
    compared: Comparison,
    reference: Floats,
    *,
    noise: Floats,
    worse: str,
) -> Flags:
    """Return which series are worse by more than half, with the lower end of the interval above a quarter.

    The median of the last ten minutes is what counts; it must also exceed what means of a quarter of an hour usually
    reach. ``reference`` is the level before, ``noise`` the noise of single slots, ``worse`` up, down or both.
    """
    flags = np.zeros(announced.active.shape, dtype=bool)
    candidates = np.flatnonzero(announced.active | (compared.evidence[:3].max(axis=0) > _CANDIDATE))
    if not len(candidates):
        return flags
    slots = layout.slots(_SEVERE_MINUTES)
    recent = now.last(slots, candidates)
    difference = median(recent) - reference[candidates]
    first, second = compared.scale[0, candidates], compared.scale[min(1, len(compared.scale) - 1), candidates]
    count = np.isfinite(recent).sum(axis=0)
    spread = np.where(np.isfinite(first), np.sqrt(first * second), second)
    # with few values in ten minutes the noise of single values dominates
    margin = INTERVAL * _SEVERE_MARGIN * np.fmax(spread, noise[candidates] / np.sqrt(np.maximum(count, 1)))
    enough = count >= min(2, slots)
    sizes = {"up": difference, "down": -difference, "both": np.abs(difference)}[worse]
    usual = np.where(difference > 0, compared.peak[0, candidates], compared.peak[1, candidates])
    flags[candidates] = enough & (sizes > SEVERE) & (sizes - margin > SEVERE_LOWER) & (sizes > usual)
    return flags
