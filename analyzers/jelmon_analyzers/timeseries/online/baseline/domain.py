"""The domain in which a series is compared with itself: logarithms where changes are ratios.

Positive series go to the log domain; series with zeros to log(1 + x / c), which is linear near zero and logarithmic far
above it; series with negative values stay linear, in units of their usual size.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG, SHIFTED, LINEAR, UNKNOWN = 0, 1, 2, 3
_LEAST_VALUES = 12
_FEW_ZEROS = 0.003
_FLAT = 4.0


class Domain:
    """One domain per series, chosen once from its first day."""

    ARRAYS = ("kind", "unit")

    def __init__(self, series: int) -> None:
        self.kind = np.full(series, UNKNOWN, dtype=np.int8)
        self.unit = np.ones(series)

    def choose(self, day: Floats) -> NDArray[np.bool_]:
        """Choose for series not chosen yet, from raw values (time by series). Returns which were chosen now."""
        valid = np.isfinite(day)
        chosen: NDArray[np.bool_] = (self.kind == UNKNOWN) & (valid.sum(axis=0) >= min(_LEAST_VALUES, len(day)))
        for index in np.flatnonzero(chosen):
            values = day[valid[:, index], index]
            positive = values[values > 0]
            if values.min() < 0 or not len(positive):
                self.kind[index], self.unit[index] = LINEAR, float(np.median(np.abs(values))) or 1.0
            elif (values <= 0).mean() <= _FEW_ZEROS:
                self.kind[index], self.unit[index] = LOG, float(positive.min()) / 2
            else:
                self.kind[index], self.unit[index] = SHIFTED, _FLAT * float(values.mean())
        return chosen

    def apply(self, values: Floats) -> Floats:
        """Raw values (the last axis is series) in their domains; those of unknown domain as they are."""
        with np.errstate(invalid="ignore", divide="ignore"):
            # a zero among positive values is held at half of the least that was ever seen: finite, and far off
            logs = np.log(np.where(self.kind == LOG, np.maximum(values, self.unit), 1.0))
            shifted = (1 + _FLAT) * np.log1p(np.maximum(values, 0.0) / self.unit)
        return np.choose(self.kind, [logs, shifted, values / self.unit, values])

    def invert(self, values: Floats) -> Floats:
        """Back to the unit of the series."""
        with np.errstate(over="ignore"):
            return np.choose(
                self.kind,
                [
                    np.exp(values),
                    np.expm1(np.maximum(values, 0.0) / (1 + _FLAT)) * self.unit,
                    values * self.unit,
                    values,
                ],
            )

    def ratio(self, level: Floats, difference: Floats) -> Floats:
        """Change of the raw level that a difference in the domain means, as a share of the level; NaN if that is 0."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            before = self.invert(level)
            change = (self.invert(level + difference) - before) / np.abs(before)
            ratio: Floats = np.where(self.kind == LOG, np.expm1(difference), change)
        return np.where(np.isfinite(ratio), ratio, np.nan)
