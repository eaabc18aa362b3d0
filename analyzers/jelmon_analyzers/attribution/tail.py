"""The drivers of the slow tail: a quantile regression of card time, cross-validated, with bootstrap intervals.

Pure and deterministic. A cause can only add to the time of a card, so coefficients are not negative. The share of a
driver is what it adds to the slow cards beyond what it adds to all cards, divided by how much longer the slow cards
take than all: coefficient x (mean in the tail - mean) / (mean time in the tail - mean time).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csc_matrix, hstack, identity

TAIL = 0.9
"""The slow cards are the slowest tenth."""
LEAST_CARDS = 100
MOST_CARDS = 600
LEAST_EXPLAINED = 0.3
"""Least R1 (Koenker and Machado) out of sample; below it the model explains too little to name drivers."""
_FOLDS = 5
_RESAMPLES = 40
_IN_A_RESAMPLE = 300

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Driver:
    """A cause with its share of the slow tail and the 95 % confidence interval of the share."""

    name: str
    share: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """The drivers of one pipeline. If there are none, ``reason`` says why; ``explained`` is R1 out of sample."""

    drivers: tuple[Driver, ...]
    explained: float
    reason: str = ""


def attribute(names: Sequence[str], causes: Array, times: Array, *, seed: int = 0) -> Attribution:
    """Return the drivers, largest share first. ``causes``: (cards, names); ``times``: (cards,), in seconds."""
    if len(times) < LEAST_CARDS:
        return Attribution((), 0.0, "too few cards")
    causes, times = causes[-MOST_CARDS:], times[-MOST_CARDS:]
    varying = np.ptp(causes, axis=0) > 0
    if np.ptp(times) == 0 or not varying.any():
        return Attribution((), 0.0, "nothing varies")
    kept = np.flatnonzero(varying)
    scale = causes[:, kept].std(axis=0)
    scaled = causes[:, kept] / scale
    random = np.random.default_rng(seed)
    explained = _out_of_sample(scaled, times, random)
    if explained < LEAST_EXPLAINED:
        return Attribution((), explained, "the model explains too little")
    shares = _shares(scaled, times)
    resampled = []
    for _ in range(_RESAMPLES):
        chosen = random.integers(0, len(times), min(len(times), _IN_A_RESAMPLE))
        resampled.append(_shares(scaled[chosen], times[chosen]))
    # a resample may be smaller than the sample: its spread is too wide by the root of the ratio
    narrow = np.sqrt(min(len(times), _IN_A_RESAMPLE) / len(times))
    low, high = np.nanquantile(resampled, [0.025, 0.975], axis=0)
    drivers = [
        Driver(
            names[int(column)], float(share), float(share - (share - a) * narrow), float(share + (b - share) * narrow)
        )
        for column, share, a, b in zip(kept, shares, np.minimum(low, shares), np.maximum(high, shares), strict=True)
    ]
    return Attribution(tuple(sorted(drivers, key=lambda driver: -driver.share)), explained)


def quantile_regression(causes: Array, times: Array, tau: float = TAIL) -> tuple[float, Array]:
    """Return intercept and non-negative coefficients that minimize the pinball loss, by linear programming."""
    count, width = causes.shape
    costs = np.concatenate([[0.0], np.zeros(width), np.full(count, tau), np.full(count, 1 - tau)])
    ones = csc_matrix(np.ones((count, 1)))
    matrix = hstack([ones, csc_matrix(causes), identity(count), -identity(count)], format="csc")
    bounds = [(None, None)] + [(0, None)] * (width + 2 * count)
    solution = linprog(costs, A_eq=matrix, b_eq=times, bounds=bounds, method="highs")
    if solution.x is None:
        return float(np.quantile(times, tau)), np.zeros(width)
    return float(solution.x[0]), np.asarray(solution.x[1 : 1 + width])


def _pinball(errors: Array, tau: float = TAIL) -> float:
    return float(np.where(errors >= 0, tau * errors, (tau - 1) * errors).sum())


def _out_of_sample(causes: Array, times: Array, random: np.random.Generator) -> float:
    fold = random.permutation(len(times)) % _FOLDS
    loss = plain = 0.0
    for number in range(_FOLDS):
        train, test = fold != number, fold == number
        intercept, coefficients = quantile_regression(causes[train], times[train])
        loss += _pinball(times[test] - intercept - causes[test] @ coefficients)
        plain += _pinball(times[test] - np.quantile(times[train], TAIL))
    return 1 - loss / plain if plain > 0 else 0.0


def _shares(causes: Array, times: Array) -> Array:
    _, coefficients = quantile_regression(causes, times)
    slow = times >= np.quantile(times, TAIL)
    excess = times[slow].mean() - times.mean()
    if excess <= 0:
        return np.full(causes.shape[1], np.nan)
    return np.asarray(coefficients * (causes[slow].mean(axis=0) - causes.mean(axis=0)) / excess)
