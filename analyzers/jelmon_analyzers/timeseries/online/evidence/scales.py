"""How far window means usually stray: measured on the series' own past, so that autocorrelation is priced in."""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.noise import GAUSSIAN

Floats = NDArray[np.float64]

DAYS = 6
FLOOR = 0.001
_HELD = 3.0
_OF_HELD = 1.2545
"""Scale of Gaussian values whose mean size is 1, sizes held within three scales."""
_SAMPLES_A_DAY = 144
_LEAST_SAMPLES = 8
_RARE_DAYS = 350
_LEAST_TAIL, _MOST_TAIL = 0.5, 1.5
_LOOKS_A_WINDOW = 3
"""Overlapping means: so many of them in the time of one window are as good as independent."""
_RECORD_SHARE = 1.1
_INDEPENDENT_SHARE = 0.9


class Scales:
    """Differences between each window and its reference over six days: their robust scale, their daily peaks.

    What is to be unusual must exceed every peak of these days; without ``records`` also what the tail of the series
    makes of its usual peak in many days. Long slots, few of which make no average, have records only.
    """

    ARRAYS = ("scale", "peaks", "peak", "days")

    def __init__(self, series: int, windows: tuple[int, ...], day: int, *, records: bool) -> None:
        self._windows, self._day = windows, day
        self._records = records
        self._gaps = [max(window // 3, day // _SAMPLES_A_DAY, 1) for window in windows]
        self.samples = [np.full((DAYS, -(-day // gap), series), np.nan, dtype=np.float16) for gap in self._gaps]
        self.scale = np.full((len(windows), series), np.nan)
        self.peaks = np.full((DAYS, 2, len(windows), series), np.nan, dtype=np.float32)
        """The largest differences of each day, up and down."""
        self.peak = np.zeros((2, len(windows), series))
        """What a difference must exceed to be unusual for a day."""
        self.days = np.zeros(series)
        """How many days of samples the scale rests on."""

    def sample(self, day: int, slot: int, differences: Floats) -> None:
        """Keep what is due; NaN where there is nothing to keep."""
        for number, gap in enumerate(self._gaps):
            if slot % gap == 0:
                self.samples[number][day % DAYS, slot // gap] = differences[number]
        peaks = self.peaks[day % DAYS]
        np.fmax(peaks[0], differences, out=peaks[0], casting="same_kind")
        np.fmax(peaks[1], -differences, out=peaks[1], casting="same_kind")

    def next_day(self, day: int) -> None:
        """Work out the scales from the days before ``day`` and make room for it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for number, samples in enumerate(self.samples):
                size = np.abs(samples.reshape(-1, samples.shape[-1]).astype(np.float32))
                count = np.isfinite(size).sum(axis=0)
                # a few dozen independent means make a median that is off by a fifth; their mean is known better
                held = np.minimum(size, _HELD * GAUSSIAN * np.nanmedian(size, axis=0))
                scale = _OF_HELD * np.nanmean(held, axis=0)
                least = min(_LEAST_SAMPLES, samples.shape[0] * samples.shape[1] // 3)
                self.scale[number] = np.where(count >= least, np.maximum(scale, FLOOR), np.nan)
            usual, record = np.nanmedian(self.peaks, axis=0), _RECORD_SHARE * np.nanmax(self.peaks, axis=0)
            rare = record if self._records else np.fmax(record, self._rare(usual))
        self.peak = np.nan_to_num(rare).astype(np.float64)
        for number in range(1, len(self.samples)):
            # a mean of more values strays less, but by no less than independent values would make it
            share = _INDEPENDENT_SHARE * np.sqrt(self._windows[number - 1] / self._windows[number])
            self.scale[number] = np.fmax(self.scale[number], share * self.scale[number - 1])
        filled = np.isfinite(self.samples[0]).mean(axis=1)
        for samples in self.samples[1:]:  # sparse series have samples in the long windows only
            filled = np.maximum(filled, np.isfinite(samples).mean(axis=1))
        self.days = (filled > 0.1).sum(axis=0).astype(np.float64)
        for samples in self.samples:
            samples[day % DAYS] = np.nan
        self.peaks[day % DAYS] = np.nan

    def _rare(self, usual: NDArray[np.floating]) -> NDArray[np.floating]:
        """What is reached in one day of 350, from what is usually the largest of a day.

        A Weibull tail through two points, the median and the usual peak: -log(share beyond x) grows as a power of x.
        For Gaussian values that is about 1.6 times the peak; the heavier the tail, the more.
        """
        looks = np.log(np.maximum(_LOOKS_A_WINDOW * self._day / np.array(self._windows), 4.0))[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            tail = np.log(usual / (self.scale / GAUSSIAN)) / np.log(looks / np.log(2))
        tail = np.clip(np.nan_to_num(tail, nan=_MOST_TAIL), _LEAST_TAIL, _MOST_TAIL)
        # The more values in a mean, the closer to Gaussian, and the fewer means in a day to tell its tail from. The
        # shortest window says nothing about others: few values of two kinds have no tail, more of them do.
        tail[:, 1:] = np.minimum.accumulate(tail[:, 1:], axis=-2)
        rare: NDArray[np.floating] = usual * (1 + np.log(_RARE_DAYS) / looks) ** tail
        return rare
