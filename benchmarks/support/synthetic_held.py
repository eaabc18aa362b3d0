"""Seeded kinds of one-minute series that no limit was tuned on: other laws of noise, other days, other trouble.

`synthetic` draws log-normal series; these are made differently on purpose, so that what was learnt there about the
detector can be told from what was fitted to it. Look at the figures, change the statistics for a reason, never a
constant to please a kind.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from support.synthetic import DAY

Floats = NDArray[np.float64]


def _minutes(minutes: int) -> Floats:
    return np.arange(minutes, dtype=np.float64)[:, None]


def _wander(random: np.random.Generator, minutes: int, count: int, memory: Floats) -> Floats:
    """Autoregressive, of unit variance; ``memory`` in minutes, one a series."""
    keep = np.exp(-1 / memory)
    values = random.normal(size=(minutes, count))
    values[1:] *= np.sqrt(1 - keep**2)
    for row in range(1, minutes):
        values[row] += keep * values[row - 1]
    return values


def _office(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """0 by night, 1 by day, steep flanks, a dip at noon; every weekday its own height, weekends low."""
    hour = _minutes(minutes) / 60 % 24
    open_at, close_at = random.uniform(6, 9, count), random.uniform(16, 20, count)
    steep = random.uniform(2, 6, count)
    day = 1 / (1 + np.exp(-steep * (hour - open_at))) - 1 / (1 + np.exp(-steep * (hour - close_at)))
    day -= random.uniform(0, 0.3, count) * np.exp(-(((hour - 12.5) / 0.7) ** 2))
    height = random.uniform(0.7, 1.0, (7, count))
    height[5:] *= random.uniform(0.1, 0.6, count)
    shape: Floats = day * height[(np.arange(minutes) // DAY) % 7]
    return shape


def traffic(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Mean of the gamma-distributed times of as many requests as came that minute: noisy by night, missing if none."""
    requests = random.poisson(
        random.uniform(0.5, 5, count) + random.uniform(5, 200, count) * _office(random, minutes, count)
    )
    shape = random.uniform(0.5, 3, count)
    load = 1 + random.uniform(0, 0.6, count) * _office(random, minutes, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = random.gamma(np.maximum(shape * requests, 1e-9)) / (shape * requests)
    return np.where(requests > 0, mean * load * np.exp(random.uniform(-3, 4, count)), np.nan)


def weekly(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Offices: every day of the week differs, morning and evening are cliffs."""
    level = random.uniform(0.3, 1.5, count) * _office(random, minutes, count)
    fast = random.uniform(0.05, 0.2, count) * random.laplace(size=(minutes, count))
    slow = random.uniform(0.02, 0.08, count) * _wander(random, minutes, count, random.uniform(3, 40, count))
    return np.exp(random.uniform(-2, 5, count) + level + fast + slow)


def nightly(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """A job every night that doubles times for the better part of an hour, not always at the same minute."""
    values = random.uniform(0.05, 0.15, count) * random.normal(size=(minutes, count))
    values += random.uniform(0.03, 0.08, count) * _wander(random, minutes, count, random.uniform(2, 20, count))
    for series in range(count):
        usual_start, size = random.uniform(0, DAY), random.uniform(0.3, 1.0)
        for day in range(minutes // DAY + 1):
            start = max(0, int(day * DAY + usual_start + random.normal(0, 4)))
            values[start : start + int(random.uniform(30, 50)), series] += size
    return np.exp(random.uniform(-2, 5, count) + values)


def trend(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Grows or shrinks by up to 4 % a day for ever, over a day of one wave."""
    slope = random.uniform(-0.04, 0.04, count)
    wave = random.uniform(0, 0.4, count) * np.sin(2 * np.pi * (_minutes(minutes) / DAY - random.random(count)))
    noise = random.uniform(0.05, 0.2, count) * random.normal(size=(minutes, count))
    slow = random.uniform(0.02, 0.07, count) * _wander(random, minutes, count, random.uniform(5, 60, count))
    return np.exp(random.uniform(-2, 5, count) + slope * _minutes(minutes) / DAY + wave + noise + slow)


def bursts(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Several times a day a state of 3 to 30 minutes that is 20 to 80 % slower: usual for it, so no news."""
    values = random.uniform(0.05, 0.15, count) * random.normal(size=(minutes, count))
    size = random.uniform(0.2, 0.6, count)
    for series in range(count):
        for start in random.integers(0, minutes, random.poisson(random.uniform(2, 10) * minutes / DAY)):
            values[start : start + int(random.uniform(3, 30)), series] += size[series] * random.uniform(0.7, 1.3)
    return np.exp(random.uniform(-2, 5, count) + values)


def tail(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """A 99th percentile: the largest of many, so skewed; in buckets, so only some values occur."""
    values = random.uniform(0.05, 0.2, count) * random.gumbel(size=(minutes, count))
    values += random.uniform(0.03, 0.1, count) * _wander(random, minutes, count, random.uniform(3, 30, count))
    grain = random.uniform(0.02, 0.15, count)
    return np.exp(np.round((random.uniform(-2, 5, count) + values) / grain) * grain)


def modes(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Two kinds of work: each minute is the one or the other, with times far apart."""
    share = random.uniform(0.1, 0.4, count)
    slow_kind = random.random((minutes, count)) < share
    apart = random.uniform(0.5, 1.2, count)
    noise = random.uniform(0.05, 0.15, count) * random.normal(size=(minutes, count))
    return np.exp(random.uniform(-2, 5, count) + apart * slow_kind + noise)


def failures(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Share of failures among the few dozen runs of a minute: often 0."""
    runs = random.poisson(random.uniform(15, 120, count) * (0.4 + _office(random, minutes, count)))
    rate = random.uniform(0.01, 0.1, count) * np.exp(
        random.uniform(0.05, 0.2, count) * _wander(random, minutes, count, random.uniform(10, 60, count))
    )
    failed = random.binomial(runs, np.minimum(rate, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(runs > 0, failed / runs, np.nan)


def arrivals(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Counts that scatter more than Poisson's, a day of office hours."""
    level = random.uniform(3, 60, count) * np.exp(random.uniform(0, 1.2, count) * _office(random, minutes, count))
    dispersion = random.uniform(3, 30, count)
    return random.poisson(random.gamma(dispersion, level / dispersion, (minutes, count))).astype(float)


def batches(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Values in the first minutes of every quarter of an hour only; a night now and then without any."""
    values = random.uniform(0.08, 0.25, count) * random.standard_t(4, (minutes, count))
    values += random.uniform(0.02, 0.08, count) * _wander(random, minutes, count, random.uniform(5, 60, count))
    values[np.broadcast_to(_minutes(minutes) % 15 >= random.integers(2, 8, count), values.shape)] = np.nan
    for series in range(count):
        for start in random.integers(0, minutes, random.poisson(minutes / (6 * DAY))):
            values[start : start + random.integers(60, 500), series] = np.nan
    return np.exp(random.uniform(-2, 5, count) + values)


def wandering(random: np.random.Generator, minutes: int, count: int) -> Floats:
    """Long memory: waves of many lengths, from minutes to half a day, as strong as each other."""
    values = random.uniform(0.03, 0.12, count) * random.normal(size=(minutes, count))
    size = random.uniform(0.01, 0.05, count)
    for memory in (4.0, 16.0, 64.0, 256.0):
        values += size * _wander(random, minutes, count, np.full(count, memory))
    return np.exp(random.uniform(-2, 5, count) + values)


KINDS: dict[str, Callable[[np.random.Generator, int, int], Floats]] = {
    function.__name__: function
    for function in (
        traffic,
        weekly,
        nightly,
        trend,
        bursts,
        tail,
        modes,
        failures,
        arrivals,
        batches,
        wandering,
    )
}
