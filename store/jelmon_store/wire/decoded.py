"""What a request holds, once it is decoded: arrays of samples, and what is rarer as lists."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.labels import LabelLimits

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Limits of what a request may hold. Times are in milliseconds."""

    labels: LabelLimits = field(default_factory=LabelLimits)
    future_ms: int = 600_000
    age_ms: int | None = None


@dataclass(slots=True)
class Refusals:
    """What a request holds that is not stored."""

    count: int = 0
    first: str = ""
    by_reason: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, message: str, count: int = 1) -> None:
        """Count refused samples. ``reason`` is one of a small set, for metrics; ``message`` is for the sender."""
        if not count:
            return
        self.count += count
        self.by_reason[reason] += count
        self.first = self.first or message


@dataclass(frozen=True, slots=True)
class HistogramRow:
    """A native histogram: the message as it came."""

    code: int
    time: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class ExemplarRow:
    """An exemplar; ``bits`` are those of its value, ``labels`` is JSON."""

    code: int
    time: int
    bits: int
    labels: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata of a metric."""

    type: str
    unit: str
    help: str


METADATA_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


def read_metadata(kind: int, help_text: bytes, unit: bytes) -> Metadata:
    """Return metadata from its fields on the wire; an unknown type is ``unknown``."""
    name = METADATA_TYPES[kind] if 0 <= kind < len(METADATA_TYPES) else "unknown"
    texts = [text.decode(errors="replace").replace("\0", "") for text in (unit, help_text)]
    return Metadata(name, *texts)


@dataclass(slots=True)
class Decoded:
    """A decoded request. ``codes`` are those of `SeriesCache`.

    If ``unknown`` has entries, series must be looked up in the database first, and the request decoded again: the
    samples of these series are not included.
    """

    codes: Ints
    times: Ints
    bits: Bits
    histograms: list[HistogramRow] = field(default_factory=list)
    exemplars: list[ExemplarRow] = field(default_factory=list)
    starts: set[tuple[int, int]] = field(default_factory=set)  # code, start in milliseconds
    metadata: dict[str, Metadata] = field(default_factory=dict)  # by name
    metadata_of: dict[int, Metadata] = field(default_factory=dict)  # by metric id
    refusals: Refusals = field(default_factory=Refusals)
    unknown: dict[bytes, dict[str, str]] = field(default_factory=dict)  # key of the cache -> labels
    waiting: tuple[int, int, int] = (0, 0, 0)
    """Samples, histograms and exemplars of the unknown series."""
