"""How large a change is, between which bounds, and whether it is severe."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.baseline.season import median
from jelmon_analyzers.timeseries.online.changes.announced import AnnouncedChanges
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
"""A median strays by a quarter more than a mean of as many values."""
_WORTH_A_LOOK = 0.7
_EVIDENT = 0.5


class Comparison(NamedTuple):
    """Each window against its reference (windows by series), in the domain of the series."""

    difference: Floats
    scale: Floats
    reference: Floats
    evidence: Floats
    peak: Floats
    """What means of a quarter of an hour usually reach in a day, up and down (2 by series)."""


def size(
    layout: Layout, events: AnnouncedChanges, now: Windows, compared: Comparison, hold: Floats
) -> tuple[Floats, Floats, Floats]:
    """Difference of level, its half interval and the level before, for each series.

    From the window of an hour; from a shorter one if that has the clearer evidence; in an announced change from the
    longest window that lies wholly after its onset, there with spikes held around the new level instead of the old.
    """
    windows = np.array(layout.windows)
    hour = int(np.searchsorted(windows, layout.slots(_USUAL_MINUTES)))
    short = compared.evidence[: hour + 1]
    chosen = np.where(short.max(axis=0) > _EVIDENT, short.argmax(axis=0), hour)
    active = np.flatnonzero(events.active)
    chosen[active] = np.maximum(np.searchsorted(windows, events.onset[active], side="right") - 1, 0)
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
        # a whole day before the change, as a near reference leans more on the shape of the day
        reference[active] = compared.reference[-1, active]
        difference[active] = level - reference[active]
    return difference, INTERVAL * scale, reference


def severe(
    layout: Layout,
    events: AnnouncedChanges,
    now: Windows,
    compared: Comparison,
    reference: Floats,
    *,
    noise: Floats,
    worse: str,
) -> Flags:
    """Worse by more than half: the median of the last ten minutes is, and the lower end is above a quarter."""
    flags = np.zeros(events.active.shape, dtype=bool)
    looked_at = np.flatnonzero(events.active | (compared.evidence[:3].max(axis=0) > _WORTH_A_LOOK))
    if not len(looked_at):
        return flags
    slots = layout.slots(_SEVERE_MINUTES)
    recent = now.last(slots, looked_at)
    difference = median(recent) - reference[looked_at]
    first, second = compared.scale[0, looked_at], compared.scale[min(1, len(compared.scale) - 1), looked_at]
    count = np.isfinite(recent).sum(axis=0)
    spread = np.where(np.isfinite(first), np.sqrt(first * second), second)
    # with few values in ten minutes the noise of a single one is what counts
    margin = INTERVAL * _SEVERE_MARGIN * np.fmax(spread, noise[looked_at] / np.sqrt(np.maximum(count, 1)))
    enough = count >= min(2, slots)
    sizes = {"up": difference, "down": -difference, "both": np.abs(difference)}[worse]
    usual = np.where(difference > 0, compared.peak[0, looked_at], compared.peak[1, looked_at])
    flags[looked_at] = enough & (sizes > SEVERE) & (sizes - margin > SEVERE_LOWER) & (sizes > usual)
    return flags
