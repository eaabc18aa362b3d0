"""What the detector returns for a slot."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Verdicts(NamedTuple):
    """The verdicts on one slot, each an array with one element per series.

    Where there is no verdict the score is 0, severe is false, and the others are NaN.
    """

    score: Floats
    """Evidence for a change of level as a ratio of the alarm threshold; reaches 1 once per change."""
    change: Floats
    """Level now relative to the level before: 0.1 is 10 % more."""
    lower: Floats
    """Lower end of the 95 % interval of the change."""
    upper: Floats
    """Upper end of the 95 % interval of the change."""
    severe: Flags


class Verdict(NamedTuple):
    """`Verdicts` for one series."""

    score: float
    change: float
    lower: float
    upper: float
    severe: bool
