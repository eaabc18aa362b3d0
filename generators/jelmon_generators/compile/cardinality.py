"""How many series a rule can yield, from how many values its labels can have: the ``limit`` of its group.

Prometheus fails a rule that yields more series than its group's limit and drops all of them. One alert about that
failure is better than thousands from a rule whose labels have exploded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jelmon.catalogue import CATALOGUE
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.series import Series

_ADMITTED = 201  # values per label that the exporter admits by default (METRICS_LABEL_LIMIT), and ``other``
_MEANINGFUL = 1_000_000
_HARMLESS = 100  # the smallest limit: so few do no harm, and unit tests feed more than exist
DEFAULTS: Mapping[str, int] = {
    **{label: _ADMITTED for metric in CATALOGUE for label in metric.labels},
    "job": 10,
    "instance": 100,
}
"""How many values a label can have where neither the catalogue nor ``at_most`` in bundle.yaml states it."""


@dataclass(slots=True)
class Declared:
    """How many values labels have, as metrics declare them."""

    metrics: Mapping[str, Series]
    _known: dict[tuple[str, tuple[str, ...]], int | None] = field(default_factory=dict)

    def values(self, label: str, names: tuple[str, ...]) -> int | None:
        """Return how many values the label has in these metrics, or usually has; None: unknown."""
        if (label, names) not in self._known:
            closed = [len(self.metrics[name].closed.get(label, ())) for name in names if name in self.metrics]
            self._known[label, names] = max(closed, default=0) or DEFAULTS.get(label)
        return self._known[label, names]


def bounds(signal: Signal, analysis: Analysis, at_most: Mapping[str, int], declared: Declared) -> dict[str, int | None]:
    """Return how many values each label of the recorded series can have; None: unknown."""
    limits = {label: at_most.get(label) or declared.values(label, analysis.names) for label in analysis.labels or ()}
    for label in ("instance", "job") if signal.job else ("instance",):
        limits.setdefault(label, 1)  # the rule sets it
    return limits


def series(labels: Iterable[str], known: Mapping[str, int | None]) -> int | None:
    """Return how many series with these labels there can be; None: unknown."""
    total = 1
    for label in labels:
        number = known.get(label)
        if number is None:
            return None
        total *= number
    return total


def limit(numbers: Iterable[int | None]) -> int | None:
    """Return the limit of a group whose rules yield so many; None when one is unknown or too large to be meaningful."""
    known = list(numbers)
    largest = max((number for number in known if number is not None), default=0)
    return None if None in known or largest > _MEANINGFUL else max(largest, _HARMLESS)
