"""The domain in which a series is compared with itself: logarithms where changes are ratios.

Positive series use logarithms. Series with zeros use log(1 + x / c), which is linear near zero and logarithmic far
above it. Series with negative values stay linear, in units of their usual size.
"""

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.state import Array, Part

Floats = NDArray[np.float64]

LOG, SHIFTED, LINEAR, UNKNOWN = 0, 1, 2, 3
_LEAST_VALUES = 12
_FEW_ZEROS = 0.003
_FLAT = 4.0


class Domain(Part):
    """The domain of each series, chosen once from its first day."""

    def __init__(self, series: int) -> None:
        self.kind = np.full(series, UNKNOWN, dtype=np.int8)
        self.unit = np.ones(series)

    def arrays(self) -> dict[str, Array]:
        return {"kind": self.kind, "unit": self.unit}

    @property
    def unknown(self) -> bool:
        """Whether a series has no domain yet."""
        return bool((self.kind == UNKNOWN).any())

    def choose(self, day: Floats) -> NDArray[np.bool_]:
        """Choose the domain of series that have none, from raw values (time by series).

        Return which series got their domain now.
        """
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
        """Return raw values (the last axis is the series) in their domains; unchanged where the domain is unknown."""
        with np.errstate(invalid="ignore", divide="ignore"):
            # a zero among positive values counts as half the least value of the first day: finite, and far off
            logs = np.log(np.where(self.kind == LOG, np.maximum(values, self.unit), 1.0))
            shifted = (1 + _FLAT) * np.log1p(np.maximum(values, 0.0) / self.unit)
        return np.choose(self.kind, [logs, shifted, values / self.unit, values])

    def invert(self, values: Floats) -> Floats:
        """Return values of the domains in the units of the series."""
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
        """Return the relative change of the raw level that a difference in the domain means; NaN if the level is 0."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            before = self.invert(level)
            change = (self.invert(level + difference) - before) / np.abs(before)
            ratio: Floats = np.where(self.kind == LOG, np.expm1(difference), change)
        return np.where(np.isfinite(ratio), ratio, np.nan)
