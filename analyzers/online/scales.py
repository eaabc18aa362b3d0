"""How far window means usually stray: measured on the series' own past, so that autocorrelation is priced in."""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon.analyzers.noise import GAUSSIAN

Floats = NDArray[np.float64]

DAYS = 6
FLOOR = 0.001
_SAMPLES_A_DAY = 144
_LEAST_SAMPLES = 8
_PEAK_SHARE = 1.6
_RECORD_SHARE = 1.1
_INDEPENDENT_SHARE = 0.9


class Scales:
    """Differences between each window and its reference over six days: their robust scale, their daily peaks.

    What is to be unusual must exceed every peak of these days; without ``records`` also, by a margin, the usual peak,
    which matters where one day had none. Long slots, few of which make no average, have records only.
    """

    ARRAYS = ("scale", "peaks", "peak", "days")

    def __init__(self, series: int, windows: tuple[int, ...], day: int, *, records: bool) -> None:
        self._windows = windows
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
                scale = GAUSSIAN * np.nanmedian(size, axis=0)
                least = min(_LEAST_SAMPLES, samples.shape[0] * samples.shape[1] // 3)
                self.scale[number] = np.where(count >= least, np.maximum(scale, FLOOR), np.nan)
            usual, record = np.nanmedian(self.peaks, axis=0), np.nanmax(self.peaks, axis=0)
        usual_peak = record if self._records else _PEAK_SHARE * usual
        self.peak = np.nan_to_num(np.fmax(_RECORD_SHARE * record, usual_peak)).astype(np.float64)
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
