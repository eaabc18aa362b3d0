"""Scales and peaks of window differences."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.evidence.scales import Scales

Floats = NDArray[np.float64]
DAY = 1440


@pytest.mark.parametrize(
    ("draw", "least", "most"),
    [
        pytest.param(lambda random, size: random.normal(size=size), 1.4, 1.9, id="gaussian"),
        pytest.param(lambda random, size: random.standard_t(2.5, size), 2.0, 4.0, id="heavy tails"),
    ],
)
def test_the_heavier_the_tail_the_rarer_peaks_are_far(draw: Callable[..., Floats], least: float, most: float) -> None:
    """What is reached once in 350 days, in parts of the usual peak of a day."""
    scales = Scales(60, (15,), DAY, records_only=False)
    random = np.random.default_rng(5)
    for day in range(6):
        values = np.convolve(draw(random, DAY + 4), np.ones(5) / 5, "valid")
        for slot in range(DAY):
            scales.sample(day, slot, np.full((1, 60), values[slot]))
        usual = np.median(scales.peaks[:, 0, 0, 0][: day + 1])
        scales.next_day(day + 1)

    assert least < scales.peak[0, 0, 0] / usual < most


def test_a_long_window_has_no_heavier_tail_than_a_short_one() -> None:
    """A few dozen means of four hours do not tell a tail: one large one must not hide a change for a week."""
    scales = Scales(2, (5, 15, 240), DAY, records_only=False)
    random = np.random.default_rng(8)
    for day in range(6):
        for slot in range(DAY):
            differences = random.normal(size=(3, 2))
            differences[2] *= 0.25
            if slot == 700:
                differences[2] = 2.5, -2.5
            scales.sample(day, slot, differences)
    usual = np.median(scales.peaks, axis=0)
    scales.next_day(6)

    looks = np.log(3 * DAY / np.array([[5], [15], [240]]))
    tail = np.log(scales.peak / usual) / np.log(1 + np.log(350) / looks)
    assert (tail[:, 2] <= tail[:, 1] + 1e-6).all(), "neither up nor down"
    assert 0.5 <= tail.min() <= tail.max() < 1


def test_the_scale_is_known_better_than_by_a_median() -> None:
    """Of Gaussian values it is the standard deviation, and it scatters less; outliers are held."""
    scales = Scales(300, (240,), DAY, records_only=False)
    random = np.random.default_rng(9)
    samples = random.normal(size=scales.samples[0].shape)
    scales.samples[0][:] = samples
    scales.next_day(6)
    medians = 1.4826 * np.median(np.abs(samples.reshape(-1, 300)), axis=0)

    assert scales.scale[0].mean() == pytest.approx(1, abs=0.03)
    assert scales.scale[0].std() < 0.8 * medians.std()

    samples[:, 0] = 50
    scales.samples[0][:] = samples
    scales.next_day(6)
    assert scales.scale[0].max() < 2
