"""Seeded series of one-minute values of several kinds, with or without a step, for calibration and reports.

Latencies and rates of services: log-normal, autocorrelated, with days, weekends, spikes, gaps and resets. All random
numbers come from the seed, so that every figure can be repeated; tune on one seed, report on another.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY = 1440
START = 1_700_438_400.0  # a Monday, 00:00 UTC


def _autocorrelated(random: np.random.Generator, shape: tuple[int, int], correlation: Floats) -> Floats:
    """Unit variance, one column a series."""
    values = random.normal(size=shape)
    values[1:] *= np.sqrt(1 - correlation**2)
    for row in range(1, shape[0]):
        values[row] += correlation * values[row - 1]
    return values


def _noise(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Log values of a service without days: a slow part, a fast part."""
    slow = random.uniform(0.04, 0.14, count) * _autocorrelated(
        random, (minutes, count), random.uniform(0.6, 0.92, count)
    )
    fast = random.uniform(0.03, 0.2, count) * random.normal(size=(minutes, count))
    return random.uniform(-3, 6, count) + slow + fast


def _days(random: np.random.Generator, minutes: int, count: int, low: float, high: float) -> Floats:
    phase = 2 * np.pi * (np.arange(minutes)[:, None] / DAY - random.random(count))
    size = random.uniform(low, high, count)
    shape = np.sin(phase) + random.uniform(0, 0.5, count) * np.sin(2 * phase + random.uniform(0, 6, count))
    weekend = (np.arange(minutes)[:, None] // DAY) % 7 >= 5
    return size * shape - random.uniform(0, 0.5, count) * weekend


def steady(random: np.random.Generator, minutes: int, count: int) -> Floats:
    return np.exp(_noise(random, minutes, count))


def daily(random: np.random.Generator, minutes: int, count: int) -> Floats:
    return np.exp(_noise(random, minutes, count) + _days(random, minutes, count, 0.2, 0.8))


def spiky(random: np.random.Generator, minutes: int, count: int) -> Floats:
    values = _noise(random, minutes, count)
    starts = random.random((minutes, count)) < random.uniform(0.001, 0.01, count)
    size = starts * random.exponential(1.5, (minutes, count))
    for later in (1, 2):
        size[later:] = np.maximum(size[later:], size[:-later] * (random.random((minutes - later, count)) < 0.4))
    return np.exp(values + size)


def gappy(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Rates of a counter that restarts: gaps of minutes and hours, a low value after each."""
    values = np.exp(_noise(random, minutes, count) + _days(random, minutes, count, 0.05, 0.4))
    values[random.random((minutes, count)) < random.uniform(0.01, 0.1, count)] = np.nan
    for series in range(count):
        for start in random.integers(0, minutes, minutes // (2 * DAY)):
            values[start : start + random.integers(5, 180), series] = np.nan
        for reset in random.integers(0, minutes, minutes // DAY):
            values[reset, series] *= random.random()
    return values


def sparse(random: np.random.Generator, minutes: int, count: int) -> Floats:
    values = np.exp(_noise(random, minutes, count) + 0.1 * random.normal(size=(minutes, count)))
    values[random.random((minutes, count)) > random.uniform(0.1, 0.4, count)] = np.nan
    return values


def heavy(random: np.random.Generator, minutes: int, count: int) -> Floats:
    noise = random.uniform(0.05, 0.15, count) * random.standard_t(2.5, (minutes, count))
    return np.exp(_noise(random, minutes, count) + np.clip(noise, -6, 6))


def drifting(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Wanders over hours: no step, but no fixed level either."""
    wander = _autocorrelated(random, (minutes, count), np.exp(-1 / random.uniform(120, 1000, count)))
    return np.exp(_noise(random, minutes, count) + random.uniform(0.02, 0.1, count) * wander)


def counts(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Events a minute, often none."""
    level = np.exp(_days(random, minutes, count, 0.0, 0.4)) * random.uniform(2, 30, count)
    return random.poisson(level).astype(float)


KINDS: dict[str, Callable[[np.random.Generator, int, int], Floats]] = {
    function.__name__: function for function in (steady, daily, spiky, gappy, sparse, heavy, drifting, counts)
}


def with_step(values: Floats, minute: NDArray[np.intp], factor: float) -> Floats:
    """The same series, multiplied from a minute on, for each series its own."""
    after = np.arange(len(values))[:, None] >= minute
    return np.where(after, values * factor, values)
