"""The evidence for a change: each window against its reference, in units of its own scale."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jelmon_analyzers.timeseries.online.evidence.coverage import Coverage
from jelmon_analyzers.timeseries.online.evidence.scales import Scales
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.state import Array, Part
from jelmon_analyzers.timeseries.online.time_grid.layout import SCALE_DAYS, Layout

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

LIMITS = {5: 6.2, 15: 5.2, 30: 5.0, 60: 4.8, 120: 4.6, 240: 4.4}
"""Minutes of a window -> how many of its own scales its mean must stray from its reference; tuned on false alarms."""
LEAST_DIFFERENCE = 0.06
_SMALL_EVIDENCE = 0.5
"""The most that a difference below the least one counts."""
_LONG_SLOTS = 2.0
"""With long slots few values make a mean, so limits are this much wider; `Novelty` finds what they miss."""
_FEW_DAYS = 0.5
_LEAST_WEIGHT = 0.3


class Comparison(NamedTuple):
    """Each window against its reference (windows by series), in the domain of the series."""

    difference: Floats
    scale: Floats
    reference: Floats
    evidence: Floats
    peak: Floats
    """What means of a quarter of an hour usually reach in a day, up and down (2 by series)."""


class Strongest(NamedTuple):
    """The strongest evidence of each series."""

    window: Indices
    novel: Flags
    """Whether the value itself is new, which needs no further proof."""
    up: Flags


class Comparator(Part):
    """Turns window means into evidence: 1 is the alarm threshold."""

    def __init__(self, layout: Layout, series: int, *, long_slots: bool) -> None:
        windows = np.array(layout.windows)
        limits = np.interp(windows * layout.slot / 60, list(LIMITS), list(LIMITS.values()))[:, None]
        self._limits = limits * (_LONG_SLOTS if long_slots else 1.0)
        self._quarter_hour = min(1, len(windows) - 1)
        self.evidence = np.zeros(series)
        """The strongest evidence of the last slot, also where a change was announced before."""

    def arrays(self) -> dict[str, Array]:
        return {"evidence": self.evidence}

    def compare(
        self, past: Windows, scales: Scales, coverage: Coverage, *, factors: Floats, worse: str
    ) -> tuple[Floats, Comparison]:
        """Return the differences that `Scales` samples and the comparison of the last slot.

        ``factors`` (windows by series) are those of the noise at this time of day; ``worse`` is the direction that
        counts: up, down or both.
        """
        plain, counts, reference_counts, reference = past.compare()
        plain = np.where(coverage.enough(counts, reference_counts), plain, np.nan)
        weight = coverage.weight(counts)
        difference = plain * weight / factors
        # a scale from few days is less certain
        few = 1 + _FEW_DAYS * (1 / np.maximum(scales.days, 1) - 1 / SCALE_DAYS)
        limit = self._limits * scales.scale * few
        with np.errstate(invalid="ignore", divide="ignore"):
            rise = difference / np.fmax(limit, scales.peak[0])
            fall = -difference / np.fmax(limit, scales.peak[1])
            sides = {"up": rise, "down": fall, "both": np.fmax(rise, fall)}[worse]
            small = np.abs(difference) * factors <= LEAST_DIFFERENCE
            evidence = np.where(small, np.minimum(sides, _SMALL_EVIDENCE), sides)
            scale = scales.scale * factors / np.maximum(weight, _LEAST_WEIGHT)
        evidence = np.where(np.isfinite(evidence) & coverage.ready, np.maximum(evidence, 0.0), 0.0)
        peak = scales.peak[:, self._quarter_hour] * factors[self._quarter_hour]
        return difference, Comparison(plain, scale, reference, evidence, peak)

    def strongest(self, difference: Floats, comparison: Comparison, novelty: Floats | None) -> Strongest:
        """Keep the strongest evidence of each series, novelty included, and return where it comes from."""
        window = comparison.evidence.argmax(axis=0)
        evidence = np.take_along_axis(comparison.evidence, window[None], axis=0)[0]
        novel = np.zeros(evidence.shape, dtype=bool)
        if novelty is not None:
            novel = novelty >= 1
            evidence = np.maximum(evidence, novelty)
        self.evidence = evidence
        return Strongest(window, novel, np.take_along_axis(difference, window[None], axis=0)[0] > 0)
