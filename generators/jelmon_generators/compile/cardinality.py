"""How many series a rule can yield, from how many values its labels can have: the ``limit`` of its group.

Prometheus fails a rule that yields more than its group's limit, and drops all of them: better no alert of a rule whose
labels have run wild, and one about the failure, than thousands.
"""

from collections.abc import Iterable, Mapping

from jelmon.catalogue import BY_SERIES, CATALOGUE
from jelmon_generators.model.signals import Signal
from jelmon_generators.promql.analysis import Analysis

_ADMITTED = 201  # what the exporter admits of a label by itself (METRICS_LABEL_LIMIT), and ``other``
_MEANINGFUL = 1_000_000
_HARMLESS = 100  # no fewer: they hurt nobody, and unit tests feed some more than there are
DEFAULTS: Mapping[str, int] = {
    **{label: _ADMITTED for metric in CATALOGUE for label in metric.labels},
    "job": 10,
    "instance": 100,
}
"""How many values a label can have, if neither the catalogue closes it nor ``at_most`` in bundle.yaml says so."""


def bounds(signal: Signal, analysis: Analysis, at_most: Mapping[str, int]) -> dict[str, int | None]:
    """Label of the recorded series -> how many values it can have; None where nobody knows."""
    found: dict[str, int | None] = {}
    for label in analysis.labels or ():
        closed = [len(BY_SERIES[name].closed.get(label, ())) for name in analysis.names if name in BY_SERIES]
        found[label] = at_most.get(label) or max(closed, default=0) or DEFAULTS.get(label)
    for label in ("instance", "job") if signal.job else ("instance",):
        found.setdefault(label, 1)  # the rule sets it
    return found


def series(labels: Iterable[str], known: Mapping[str, int | None]) -> int | None:
    """How many series with these labels there can be; None where nobody knows."""
    total = 1
    for label in labels:
        number = known.get(label)
        if number is None:
            return None
        total *= number
    return total


def limit(numbers: Iterable[int | None]) -> int | None:
    """The limit of a group whose rules yield so many; None if one is not known, or so large that it says nothing."""
    known = list(numbers)
    largest = max((number for number in known if number is not None), default=0)
    return None if None in known or largest > _MEANINGFUL else max(largest, _HARMLESS)
