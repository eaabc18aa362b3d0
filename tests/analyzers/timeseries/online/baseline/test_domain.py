"""Domains: there and back, and ratios."""

import numpy as np
import pytest

from jelmon_analyzers.timeseries.online.baseline.domain import Domain


@pytest.mark.parametrize(
    ("values", "level"),
    [
        pytest.param([1.0, 2.0, 4.0] * 10, 2.0, id="positive"),
        pytest.param([0.0, 0.0, 3.0, 5.0] * 10, 3.0, id="with zeros"),
        pytest.param([-2.0, -1.0, 3.0] * 10, 3.0, id="with negatives"),
    ],
)
def test_a_domain_gives_back_what_went_in_and_knows_ratios(values: list[float], level: float) -> None:
    """Whatever the domain, going there and back is nothing, and a doubling is a change of 1."""
    domain = Domain(1)
    domain.choose(np.array(values)[:, None])
    there = domain.apply(np.array([level]))
    doubled = domain.apply(np.array([2 * level]))

    assert domain.invert(there)[0] == pytest.approx(level)
    assert domain.ratio(there, doubled - there)[0] == pytest.approx(1.0)
