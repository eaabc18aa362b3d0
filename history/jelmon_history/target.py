"""The scraped target that a series comes from: the labels that Prometheus adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jelmon_history.columns import Columns, labels_of


@dataclass(frozen=True, slots=True)
class Target:
    """One scraped service."""

    job: str
    instance: str
    labels: Mapping[str, str] = field(default_factory=dict)  # further labels of all its series

    def column(self, columns: Columns, name: str, labels: Mapping[str, str]) -> int:
        """Return the column of a series of this target. A label of the target wins, as with ``honor_labels: false``."""
        own = {**self.labels, "job": self.job, "instance": self.instance}
        clashing = {f"exported_{label}" if label in own else label: value for label, value in labels.items()}
        return columns.column(labels_of(name, {**clashing, **own}))
