"""Changes in series without a baseline."""

import numpy as np

from jelmon_analyzers.regression.prometheus_history import Floats
from jelmon_analyzers.regression.short_history import newest_change


def young_series(random: np.random.Generator, *, factor: float) -> Floats:
    """Two hours of which the last minutes hold values: means over ranges that overlap, with a slow-down perhaps."""
    each = np.exp(random.normal(0, 0.3, 96))
    each[56:] *= factor
    means = np.convolve(each, np.ones(6) / 6, "valid")
    return np.concatenate([np.full(2309, np.nan), means])


def test_a_young_change_has_an_honest_interval() -> None:
    """The doubling is within it and 0 is not; what was before the series began is no level that it rose from."""
    random = np.random.default_rng(7)
    found = [newest_change(young_series(random, factor=2.0)) for _ in range(40)]
    known = [change for change in found if change is not None]

    assert len(known) >= 36
    assert sum(change.lower < 1.0 < change.upper for change in known) >= 0.9 * len(known)
    assert sum(change.lower > 0 for change in known) >= 0.8 * len(known)
    assert sum(abs(change.first - 2309 - 53) <= 8 for change in known) >= 0.9 * len(known)

    steady = [newest_change(young_series(random, factor=1.0)) for _ in range(40)]
    assert sum(change is not None and not change.lower < 0 < change.upper for change in steady) <= 3


def test_a_young_series_that_was_empty_or_zero_has_no_ratio() -> None:
    """Nothing known, and nothing that could be divided by."""
    assert newest_change(np.full(100, np.nan)) is None
    assert newest_change(np.repeat([0.0, 5.0], 30) + 0.001 * np.tile([0, 1], 30)) is None
