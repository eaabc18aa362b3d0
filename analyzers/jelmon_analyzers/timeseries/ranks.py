"""Rank-based checks: they know no units and no distribution, so neither spikes nor heavy tails fool them."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

LEAST_SIDE = 5


class Split(NamedTuple):
    """Where two samples differ most, and by how many standard deviations of the sum of scores."""

    first: int
    """First index of the second part."""
    z: float


def ranked(values: Floats) -> Floats:
    """Rank of each value from 1, equal values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_rank: Floats = (ends - (counts - 1) / 2)[place]
    return mean_rank


def best_split(values: Floats) -> Split:
    """The split of a series at which ranks before and after differ most (van der Waerden's test at every split).

    Ranks count as the normal values of those ranks: against few values that are all high, which is what a fresh change
    looks like, that loses less than sums of plain ranks do. If the series is autocorrelated within its two parts, z
    shrinks to what as many independent values would give: n (1 - r) / (1 + r) of them.
    """
    count = len(values)
    if count < 2 * LEAST_SIDE:
        return Split(0, 0.0)
    scores = ndtri(ranked(values) / (count + 1))
    scores -= scores.mean()
    left = np.arange(LEAST_SIDE, count - LEAST_SIDE + 1)
    variance = float(scores @ scores) / (count - 1)
    if not variance:
        return Split(0, 0.0)
    z = np.abs(np.cumsum(scores)[left - 1]) / np.sqrt(variance * left * (count - left) / count)
    best = int(np.argmax(z))
    first = int(left[best])
    return Split(first, float(z[best]) * math.sqrt(_independent_share(values, first)))


def threshold(count: int) -> float:
    """The z of `best_split` that one in twenty series of independent values exceeds.

    A fit to simulations from 12 to 300 values; ranks make it the same for every distribution.
    """
    return 2.58 + 0.1 * math.log(count) - 8.4 / count


def _independent_share(values: Floats, first: int) -> float:
    """(1 - r) / (1 + r) with r the rank autocorrelation around the two medians; 1 if r may be chance."""
    parts = (values[:first], values[first:])
    centred = ranked(np.concatenate([part - np.median(part) for part in parts]))
    centred -= centred.mean()
    power = float(centred @ centred)
    correlation = float(centred[1:] @ centred[:-1]) / power if power else 0.0
    return (1 - correlation) / (1 + correlation) if correlation > 2 / math.sqrt(len(values)) else 1.0
