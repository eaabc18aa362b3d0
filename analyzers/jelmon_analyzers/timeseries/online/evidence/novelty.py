"""Values outside everything seen in the last week: anomalies of series whose slots are too long for spikes.

In a series of one-minute values a lone high value says nothing. A mean of five minutes or more that the whole week
before has not seen does. The record is asked for beside a robust scale, so that spikes which recur are not news.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.noise import GAUSSIAN
from jelmon_analyzers.timeseries.online.baseline.season import median
from jelmon_analyzers.timeseries.online.time_grid.layout import WEEK_DAYS, Layout

Floats = NDArray[np.float64]

LEAST_SLOT = 300.0
_WINDOW_MINUTES = (5, 15, 60)
_SCALES = 6.0
_RECORD_SHARE = 1.1


class Novelty:
    """Distance of short means from the median of the last day, against the week's scale and records."""

    ARRAYS = ("ring", "centre", "distances", "scale", "records")

    def __init__(self, layout: Layout, series: int) -> None:
        self._windows = tuple(sorted({layout.slots(minutes) for minutes in _WINDOW_MINUTES}))
        self._day = layout.day
        self._refresh = max(1, layout.day // 24)
        shape = (len(self._windows), series)
        self.ring = np.full((layout.day, series), np.nan)
        self.centre = np.full(series, np.nan)
        self.distances = np.full((WEEK_DAYS * layout.day, *shape), np.nan, dtype=np.float32)
        self.scale = np.full(shape, np.nan)
        self.records = np.full((WEEK_DAYS + 1, 2, *shape), np.nan)
        self.at = 0

    def score(self, values: Floats) -> Floats:
        """How far beyond the record a slot is: 1 or more is new. Then take it in."""
        place = self.at % self._day
        if self.at >= self._day // 2 and self.at % self._refresh == 0:
            self.centre = median(self.ring)
        if self.at >= self._day and self.at % (self._refresh * 6) == 0:
            self.scale = GAUSSIAN * median(np.abs(self.distances))
        self.ring[place] = values
        if self.at >= self._day // 2:
            score = self._beyond(np.stack([self._mean(window) for window in self._windows]) - self.centre)
        else:
            score = np.zeros(values.shape)
        self.at += 1
        if self.at % self._day == 0:
            self.records[(self.at // self._day) % (WEEK_DAYS + 1)] = np.nan
        return score

    def _beyond(self, distance: Floats) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            record = np.nanmax(self.records, axis=0)
        limit = np.fmax(_SCALES * self.scale, _RECORD_SHARE * record)
        sides = np.stack([distance, -distance])
        known = (limit > 0) & np.isfinite(sides) & np.isfinite(self.scale)
        # where nothing was ever on a side of the centre there is no limit yet
        ratio: Floats = np.where(known, sides / np.where(known, limit, 1.0), 0.0).max(axis=(0, 1))
        today = self.records[(self.at // self._day) % (WEEK_DAYS + 1)]
        np.fmax(today[0], distance, out=today[0])
        np.fmax(today[1], -distance, out=today[1])
        self.distances[self.at % len(self.distances)] = distance
        return ratio

    def _mean(self, window: int) -> Floats:
        rows = (self.at - np.arange(window)) % self._day
        part = self.ring[rows]
        count = np.isfinite(part).sum(axis=0)
        return np.where(count > 0, np.nansum(part, axis=0) / np.maximum(count, 1), np.nan)
