"""Statistics that skip NaN."""

import numpy as np

from jelmon_analyzers.timeseries.nan_statistics import median


def test_medians_ignore_what_is_missing() -> None:
    """As numpy's nanmedian, without its warnings."""
    random = np.random.default_rng(6)
    values = random.normal(size=(9, 40))
    values[random.random(values.shape) < 0.5] = np.nan
    values[:, 7] = np.nan
    some = np.isfinite(values).any(axis=0)

    np.testing.assert_allclose(median(values)[some], np.nanmedian(values[:, some], axis=0))
    assert np.isnan(median(values)[7])
