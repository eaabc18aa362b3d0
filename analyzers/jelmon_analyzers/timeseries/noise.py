"""Scales of noise that neither steps nor spikes inflate."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GAUSSIAN = 1.4826
"""Median absolute deviation of a Gaussian times this is its standard deviation."""

_BLOCKS = (2, 4, 8, 16, 32, 64)
_LEAST_BLOCKS = 12  # fewer means say too little about their spread


def deviation(values: Floats) -> Floats:
    """Return the robust standard deviation along the last axis: the scaled median absolute deviation."""
    centre = np.median(values, axis=-1, keepdims=True)
    spread: Floats = GAUSSIAN * np.median(np.abs(values - centre), axis=-1)
    return spread


def one_step(values: Floats) -> Floats:
    """Return the noise from one value to the next, along the last axis: level and slow trends do not count."""
    scale: Floats = deviation(np.diff(values, axis=-1)) / np.sqrt(2)
    return scale


def long_run(values: Floats) -> Floats:
    """Return a noise scale that also holds for means of many values, along the last axis.

    Means of blocks of b values scatter by scale / sqrt(b) if values are independent and by more if they wander. The
    result is the largest of these scales over several b, so that slow wander does not look like steps.
    """
    scale = one_step(values)
    length = values.shape[-1]
    for block in _BLOCKS:
        count = length // block
        if count < _LEAST_BLOCKS:
            break
        means = values[..., : count * block].reshape(*values.shape[:-1], count, block).mean(axis=-1)
        scale = np.maximum(scale, np.sqrt(block / 2) * deviation(np.diff(means, axis=-1)))
    return scale


def without_spikes(values: Floats, *, tolerance: float = 3.0) -> Floats:
    """Return values held within ``tolerance`` noise scales of their running median of 7, along the last axis."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(3, 3)], mode="edge")
    centre = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=-1), axis=-1)
    scale = one_step(values)[..., None]
    # a scale of 0 means that most values equal the one before: what differs from its neighbours is a spike
    held: Floats = np.clip(values, centre - tolerance * scale, centre + tolerance * scale)
    return held
