"""The shape of a day, shrunk by how much of it chance explains."""

import warnings

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries import nan_statistics

Floats = NDArray[np.float64]

_WAVES = 4
"""Waves of the day that count as slow: down to six hours."""


def shrunk(curve: Floats, chance: Floats) -> Floats:
    """Return a curve (blocks by series) with its shape scaled by the share that is more than chance.

    Slow waves of the day and the rest are scaled separately: most series have the former, few the latter, and a shape
    that is only chance would add to the noise of every comparison. The shrinkage is that of James and Stein.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        centre = np.nanmedian(curve, axis=0)
        noise = np.nanmean(chance, axis=0)
    shape = np.nan_to_num(curve - centre)
    waves = np.fft.rfft(shape, axis=0)
    waves[_WAVES + 1 :] = 0
    slow = np.fft.irfft(waves, n=len(shape), axis=0)
    rest = shape - slow
    rest = 0.25 * np.roll(rest, 1, axis=0) + 0.5 * rest + 0.25 * np.roll(rest, -1, axis=0)
    slow_noise = noise * min(1.0, (2 * _WAVES + 1) / len(shape))
    result: Floats = centre + _share(slow, slow_noise) * slow + _share(rest, 0.5 * noise) * rest
    return result


def flat(curve: Floats) -> Floats:
    """Return the median of a curve in every block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        centre = np.nanmedian(curve, axis=0)
    return np.broadcast_to(centre, curve.shape).copy()


def median_variance(days: Floats) -> Floats:
    """Return the variance of the median over days of each block, from how days differ; NaN with fewer than two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        count = np.isfinite(days).sum(axis=0)
        variance: Floats = np.nanvar(days, axis=0, ddof=1) * np.pi / 2 / np.maximum(count, 1)
    return variance


def filled(curve: Floats) -> Floats:
    """Return a curve whose unknown blocks have the median of the others."""
    missing = np.isnan(curve)
    if not missing.any():
        return curve
    return np.where(missing, nan_statistics.median(curve), curve)


def _share(shape: Floats, noise: Floats) -> Floats:
    """Return the share of a shape's power that is more than twice what chance explains; 1 if chance is unknown."""
    power = np.mean(shape**2, axis=0)
    share = np.where(power > 0, np.clip(1 - 2 * noise / np.maximum(power, 1e-300), 0.0, 1.0), 0.0)
    return np.where(np.isfinite(noise), share, 1.0)
