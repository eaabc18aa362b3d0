"""What conditions need to know of the signals and metrics that they name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jelmon_generators.model.definitions import Direction, Settings


@dataclass(frozen=True, slots=True)
class Known:
    """What conditions need to know of signals and metrics."""

    records: Mapping[str, str]  # signal -> recorded name
    labels: Mapping[str, frozenset[str]]  # signal -> labels of the recorded series
    directions: Mapping[str, Direction]
    metric_labels: Callable[[str], frozenset[str]]
    settings: Settings
