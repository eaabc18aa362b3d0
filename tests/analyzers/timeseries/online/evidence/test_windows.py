"""Window means against plain recomputation."""

import numpy as np

from jelmon_analyzers.timeseries.online.evidence.windows import Windows


def test_running_sums_are_the_means_of_the_values() -> None:
    """However long it runs, each window and its reference equal a plain mean over what was pushed."""
    random = np.random.default_rng(4)
    values = random.normal(size=(500, 3))
    values[random.random(values.shape) < 0.2] = np.nan
    windows = Windows(3, (2, 7, 20), (30, 84, 100), 100)
    for row in values:
        windows.push(row)
    difference, counts, reference_counts, reference = windows.compare()
    for number, (window, length) in enumerate(((2, 30), (7, 84), (20, 100))):
        with np.errstate(invalid="ignore"):
            before = values[-window - length : -window]
            expected = np.nanmean(before, axis=0)
            recent = np.array([np.mean(c[np.isfinite(c)]) for c in values[-window:].T])

        np.testing.assert_allclose(reference[number], expected, atol=1e-5)
        np.testing.assert_allclose(difference[number], recent - expected, atol=1e-5)
        assert counts[number].tolist() == np.isfinite(values[-window:]).sum(axis=0).tolist()
        assert reference_counts[number].tolist() == np.isfinite(before).sum(axis=0).tolist()
