"""How far window means usually stray: measured on the past of each series, which accounts for autocorrelation."""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.noise import GAUSSIAN
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import SCALE_DAYS

Floats = NDArray[np.float64]

_FLOOR = 0.001
_HELD = 3.0
_OF_HELD = 1.2545
"""Scale of Gaussian values whose mean size is 1 when sizes are held within three scales."""
_SAMPLES_A_DAY = 144
_LEAST_SAMPLES = 8
_RARE_DAYS = 350
_LEAST_TAIL, _MOST_TAIL = 0.5, 1.5
_LOOKS_A_WINDOW = 3
"""How many of the overlapping means within the length of one window count as independent."""
_RECORD_SHARE = 1.1
_INDEPENDENT_SHARE = 0.9


class Scales(Part):
    """The robust scale and the daily peaks of the differences between windows and references, over six days.

    An unusual difference exceeds every peak of these days and, unless ``records_only``, also what the tail of the
    series makes of its usual peak in 350 days. Long slots, of which few make a mean, have records only.
    """

    def __init__(self, series: int, windows: tuple[int, ...], day: int, *, records_only: bool) -> None:
        self._windows, self._day = windows, day
        self._records_only = records_only
        self._gaps = [max(window // 3, day // _SAMPLES_A_DAY, 1) for window in windows]
        self.samples = [np.full((SCALE_DAYS, -(-day // gap), series), np.nan, dtype=np.float16) for gap in self._gaps]
        self.scale = np.full((len(windows), series), np.nan)
        self.peaks = np.full((SCALE_DAYS, 2, len(windows), series), np.nan, dtype=np.float32)
        """The largest differences of each day, up and down."""
        self.peak = np.zeros((2, len(windows), series))
        """What a difference must exceed to be unusual for a day."""
        self.days = np.zeros(series)
        """How many days have samples."""

    def arrays(self) -> dict[str, Array]:
        numbered = {f"samples.{number}": samples for number, samples in enumerate(self.samples)}
        return {"scale": self.scale, "peaks": self.peaks, "peak": self.peak, "days": self.days, **numbered}

    def sample(self, day: int, slot: int, differences: Floats) -> None:
        """Keep the differences (windows by series) that are due; NaN is not a sample."""
        for number, gap in enumerate(self._gaps):
            if slot % gap == 0:
                self.samples[number][day % SCALE_DAYS, slot // gap] = differences[number]
        peaks = self.peaks[day % SCALE_DAYS]
        np.fmax(peaks[0], differences, out=peaks[0], casting="same_kind")
        np.fmax(peaks[1], -differences, out=peaks[1], casting="same_kind")

    def next_day(self, day: int) -> None:
        """Compute the scales from the days before ``day``, and clear the samples that it will fill."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for number, samples in enumerate(self.samples):
                size = np.abs(samples.reshape(-1, samples.shape[-1]).astype(np.float32))
                count = np.isfinite(size).sum(axis=0)
                # the median of a few dozen independent means is off by a fifth; their mean is more precise
                held = np.minimum(size, _HELD * GAUSSIAN * np.nanmedian(size, axis=0))
                scale = _OF_HELD * np.nanmean(held, axis=0)
                least = min(_LEAST_SAMPLES, samples.shape[0] * samples.shape[1] // 3)
                self.scale[number] = np.where(count >= least, np.maximum(scale, _FLOOR), np.nan)
            usual, record = np.nanmedian(self.peaks, axis=0), _RECORD_SHARE * np.nanmax(self.peaks, axis=0)
            rare = record if self._records_only else np.fmax(record, self._rare(usual))
        self.peak = np.nan_to_num(rare).astype(np.float64)
        for number in range(1, len(self.samples)):
            # a mean of more values strays less, but no less than the mean of independent values
            share = _INDEPENDENT_SHARE * np.sqrt(self._windows[number - 1] / self._windows[number])
            self.scale[number] = np.fmax(self.scale[number], share * self.scale[number - 1])
        filled = np.isfinite(self.samples[0]).mean(axis=1)
        for samples in self.samples[1:]:  # sparse series have samples in the long windows only
            filled = np.maximum(filled, np.isfinite(samples).mean(axis=1))
        self.days = (filled > 0.1).sum(axis=0).astype(np.float64)
        for samples in self.samples:
            samples[day % SCALE_DAYS] = np.nan
        self.peaks[day % SCALE_DAYS] = np.nan

    def _rare(self, usual: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what is reached on one day in 350, from the usual peaks of a day (2 by windows by series).

        It is extrapolated by a Weibull tail through two points, the median and the usual peak: -log(share beyond x)
        grows as a power of x. For Gaussian values that is about 1.6 times the peak; the heavier the tail, the more.
        """
        looks = np.log(np.maximum(_LOOKS_A_WINDOW * self._day / np.array(self._windows), 4.0))[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            tail = np.log(usual / (self.scale / GAUSSIAN)) / np.log(looks / np.log(2))
        tail = np.clip(np.nan_to_num(tail, nan=_MOST_TAIL), _LEAST_TAIL, _MOST_TAIL)
        # The more values in a mean, the closer to Gaussian it is and the fewer means a day has to show its tail. The
        # shortest window says nothing about the others: a few values of two kinds have no tail, more of them do.
        tail[:, 1:] = np.minimum.accumulate(tail[:, 1:], axis=-2)
        rare: NDArray[np.floating] = usual * (1 + np.log(_RARE_DAYS) / looks) ** tail
        return rare
