"""What a condition can look up about the signals and metrics that it names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Direction
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING

REPLICAS = "all"
"""The value of ``instance`` where a recording has aggregated the replicas away."""


@dataclass(frozen=True, slots=True)
class Known:
    """Names, labels and directions of all signals."""

    records: Mapping[str, str]  # signal -> recorded name, in the group of the reader
    labels: Mapping[str, frozenset[str]]  # signal -> labels of the recorded series
    directions: Mapping[str, Direction]
    metric_labels: Callable[[str], frozenset[str]]
    settings: Settings
    scraped: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """Signal -> where its labels ``job`` and ``instance`` come from; None: unknown."""

    def by_meaning(self, labels: frozenset[str], signals: Iterable[str]) -> frozenset[str]:
        """Return those labels by which these signals can be matched.

        ``job`` and ``instance`` say who was scraped. They identify something only among signals of one job; an
        ``instance`` that rules have set is the same everywhere.
        """
        names = set(signals)
        dropped = set()
        for label in NOT_FOR_MATCHING & labels:
            sources = {self.scraped.get(name, {}).get(label) for name in names}
            unknown = None in sources and len(names) > 1
            if len(sources) > 1 or unknown or REPLICAS in sources:
                dropped.add(label)
        return labels - dropped
