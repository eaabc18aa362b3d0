"""What a condition can look up about the signals and metrics that it names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jelmon_generators.model.settings import Settings
from jelmon_generators.model.signals import Direction


@dataclass(frozen=True, slots=True)
class Known:
    """Names, labels and directions of all signals."""

    records: Mapping[str, str]  # signal -> recorded name
    labels: Mapping[str, frozenset[str]]  # signal -> labels of the recorded series
    directions: Mapping[str, Direction]
    metric_labels: Callable[[str], frozenset[str]]
    settings: Settings
