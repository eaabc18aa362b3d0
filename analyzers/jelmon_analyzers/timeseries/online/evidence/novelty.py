"""Values beyond everything of the last week: anomalies of series with long slots.

A single high one-minute value says little; a mean of five minutes or more that the week before did not reach says more.
The limit includes the record as well as a robust scale, so that recurring spikes are not new.
"""

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.nan_statistics import median
from jelmon_analyzers.timeseries.noise import GAUSSIAN
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout

Floats = NDArray[np.float64]

LEAST_SLOT = 300.0
"""Seconds from which slots count as long."""
_WINDOW_MINUTES = (5, 15, 60)
_SCALES = 6.0
_RECORD_SHARE = 1.1


class Novelty(Part):
    """Distances of short means from the median of the last day, against the scale and records of the week."""

    def __init__(self, layout: Layout, series: int) -> None:
        self._windows = tuple(sorted({layout.slots(minutes) for minutes in _WINDOW_MINUTES}))
        self._day = layout.day
        self._refresh = max(1, layout.day // 24)
        shape = (len(self._windows), series)
        self._ring = np.full((layout.day, series), np.nan)
        self._centre = np.full(series, np.nan)
        self._distances = np.full((WEEK_DAYS * layout.day, *shape), np.nan, dtype=np.float32)
        self._scale = np.full(shape, np.nan)
        self._records = np.full((WEEK_DAYS + 1, 2, *shape), np.nan)
        self._at = 0

    def arrays(self) -> dict[str, Array]:
        return {
            "ring": self._ring,
            "centre": self._centre,
            "distances": self._distances,
            "scale": self._scale,
            "records": self._records,
        }

    def counters(self) -> dict[str, int]:
        return {"": self._at}

    def set_counters(self, counters: Mapping[str, int]) -> None:
        self._at = counters[""]

    def score(self, values: Floats) -> Floats:
        """Add the raw values of a slot; return how far beyond the limit each is: 1 or more is new."""
        index = self._at % self._day
        if self._at >= self._day // 2 and self._at % self._refresh == 0:
            self._centre = median(self._ring)
        if self._at >= self._day and self._at % (self._refresh * 6) == 0:
            self._scale = GAUSSIAN * median(np.abs(self._distances))
        self._ring[index] = values
        if self._at >= self._day // 2:
            score = self._beyond(np.stack([self._mean(window) for window in self._windows]) - self._centre)
        else:
            score = np.zeros(values.shape)
        self._at += 1
        if self._at % self._day == 0:
            self._records[(self._at // self._day) % (WEEK_DAYS + 1)] = np.nan
        return score

    def _beyond(self, distance: Floats) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            record = np.nanmax(self._records, axis=0)
        limit = np.fmax(_SCALES * self._scale, _RECORD_SHARE * record)
        sides = np.stack([distance, -distance])
        known = (limit > 0) & np.isfinite(sides) & np.isfinite(self._scale)
        # without a value on this side of the centre there is no limit yet
        ratio: Floats = np.where(known, sides / np.where(known, limit, 1.0), 0.0).max(axis=(0, 1))
        today = self._records[(self._at // self._day) % (WEEK_DAYS + 1)]
        np.fmax(today[0], distance, out=today[0])
        np.fmax(today[1], -distance, out=today[1])
        self._distances[self._at % len(self._distances)] = distance
        return ratio

    def _mean(self, window: int) -> Floats:
        rows = (self._at - np.arange(window)) % self._day
        part = self._ring[rows]
        count = np.isfinite(part).sum(axis=0)
        return np.where(count > 0, np.nansum(part, axis=0) / np.maximum(count, 1), np.nan)
