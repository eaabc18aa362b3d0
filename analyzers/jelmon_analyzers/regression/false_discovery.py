"""How sure a score is, alone and among all series of a cycle."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EVIDENCE = (0.0, 0.7, 0.8, 0.9, 1.0, 1.2)
SHARE_OF_WEEKS = (1.0, 0.95, 0.63, 0.28, 0.09, 0.021)
"""Share of series-weeks without a change in which the evidence reaches each value, see docs/analyzers/regression.md."""
_DECAY_BEYOND = 7.5
"""Exponential decay of the share per 1 of evidence beyond the table, about as between its last two entries."""


def p_values(evidence: Floats) -> Floats:
    """Return the chance that a series without a change shows this much evidence within a week, per series."""
    known = np.exp(np.interp(evidence, EVIDENCE, np.log(SHARE_OF_WEEKS)))
    beyond = np.exp(-_DECAY_BEYOND * np.maximum(0.0, evidence - EVIDENCE[-1]))
    chance: Floats = known * beyond
    return chance


def q_values(p: Floats) -> Floats:
    """Return the false discovery rate among all series at least as clear as each (Benjamini and Hochberg 1995)."""
    count = len(p)
    order = np.argsort(p, kind="stable")
    raised = p[order] * count / np.arange(1, count + 1)
    falling = np.minimum.accumulate(raised[::-1])[::-1]
    q = np.empty(count)
    q[order] = np.minimum(falling, 1.0)
    return q
