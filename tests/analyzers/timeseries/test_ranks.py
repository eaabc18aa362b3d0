"""Rank tests against their definitions."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from jelmon_analyzers.timeseries.ranks import best_split, threshold


def test_the_best_split_is_the_largest_of_all_sums_of_scores() -> None:
    """The vectorised rank check equals the definition of van der Waerden's test, split by split."""
    values = np.random.default_rng(5).normal(0, 1, 40)
    values[25:] += 1.5

    def z(index: int) -> float:
        scores = [NormalDist().inv_cdf((1 + sum(other < one for other in values)) / 41) for one in values]
        spread = sum(score**2 for score in scores) / 39
        return abs(sum(scores[:index])) / math.sqrt(spread * index * (40 - index) / 40)

    slow = max((z(index), index) for index in range(5, 36))

    split = best_split(values)

    assert split.first == slow[1]
    assert split.z == pytest.approx(slow[0])


def test_the_rank_threshold_is_exceeded_by_one_in_twenty() -> None:
    """Ranks know no distribution, so one simulation holds for every series of independent values."""
    generator = np.random.default_rng(8)
    for count in (15, 30, 150):
        exceeded = np.mean([best_split(generator.random(count)).z > threshold(count) for _ in range(1500)])

        assert 0.025 < exceeded < 0.07
