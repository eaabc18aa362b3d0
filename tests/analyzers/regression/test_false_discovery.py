"""How sure a score is."""

import numpy as np
import pytest

from jelmon_analyzers.regression.false_discovery import p_values, q_values


def test_more_evidence_is_less_chance() -> None:
    """Falling throughout, and 9 % at the alarm threshold, as measured."""
    chances = p_values(np.linspace(0, 4, 81))

    assert (np.diff(chances) <= 0).all()
    assert p_values(np.array([1.0]))[0] == pytest.approx(0.09)
    assert p_values(np.array([3.0]))[0] < 1e-6


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    """Against the definition: the smallest level at which the step-up procedure rejects."""
    p = np.array([0.01, 0.04, 0.03, 0.5, 0.005])
    ranks = {value: rank for rank, value in enumerate(sorted(p), start=1)}
    slow = [min(1.0, *(other * len(p) / ranks[other] for other in p if other >= one)) for one in p]

    np.testing.assert_allclose(q_values(p), slow)
    assert q_values(np.empty(0)).tolist() == []
