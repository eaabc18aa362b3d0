"""Many series, one false-alarm rate: what a score is worth alone, and among all series of a cycle."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EVIDENCE = (0.0, 0.7, 0.8, 0.9, 1.0, 1.2)
SHARE_OF_WEEKS = (1.0, 0.95, 0.63, 0.28, 0.09, 0.021)
"""Share of series-weeks without a change in which the evidence reaches a value; measured, see the documentation."""
_FALL_BEYOND = 7.5
"""Beyond the table the share falls by this power of e for 1 of evidence, as between its last two entries."""


def p_values(evidence: Floats) -> Floats:
    """Chance that a series without a change shows as much evidence within a week."""
    known = np.exp(np.interp(evidence, EVIDENCE, np.log(SHARE_OF_WEEKS)))
    beyond = np.exp(-_FALL_BEYOND * np.maximum(0.0, evidence - EVIDENCE[-1]))
    chance: Floats = known * beyond
    return chance


def q_values(p: Floats) -> Floats:
    """Benjamini-Hochberg: the share of false ones to expect among all that are at least as clear."""
    count = len(p)
    order = np.argsort(p, kind="stable")
    raised = p[order] * count / np.arange(1, count + 1)
    falling = np.minimum.accumulate(raised[::-1])[::-1]
    q = np.empty(count)
    q[order] = np.minimum(falling, 1.0)
    return q
