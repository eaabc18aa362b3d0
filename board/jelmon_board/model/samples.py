"""Current samples of all services: what their ``/metrics`` say now, replicas merged."""

import math
from collections.abc import Iterable, Mapping

from jelmon.catalogue import Metric

Labels = Mapping[str, str]
Key = tuple[str, ...]


class Samples:
    """Samples by the name of their series. Replicas expose the same values, so the largest of several counts."""

    def __init__(self) -> None:
        self._series: dict[str, list[tuple[Labels, float]]] = {}
        self._grouped: dict[tuple[str, Key], dict[Key, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._series.values()))

    def add(self, name: str, labels: Labels, value: float) -> None:
        """Add one sample; NaN and infinity are no values."""
        if math.isfinite(value):
            self._series.setdefault(name, []).append((labels, value))

    def extend(self, other: "Samples") -> None:
        """Add the samples of another replica or service."""
        for name, series in other._series.items():
            self._series.setdefault(name, []).extend(series)

    def of(self, series: Metric | str) -> list[tuple[Labels, float]]:
        """Return the samples of one series name, of all replicas."""
        return self._series.get(series if isinstance(series, str) else series.name, [])

    def by(self, series: Metric | str, *labels: str) -> dict[Key, float]:
        """Return the largest value for each combination of these labels."""
        name = series if isinstance(series, str) else series.name
        if (name, labels) not in self._grouped:
            groups: dict[Key, float] = {}
            for own, value in self.of(name):
                key = tuple(own.get(label, "") for label in labels)
                if value > groups.get(key, -math.inf):
                    groups[key] = value
            self._grouped[name, labels] = groups
        return self._grouped[name, labels]

    def sum_by(self, series: Metric | str, labels: Iterable[str], of: Iterable[str]) -> dict[Key, float]:
        """Return sums for each combination of ``labels``, over the series told apart by ``of``, replicas merged."""
        labels, of = tuple(labels), tuple(of)
        places = [of.index(label) for label in labels]
        sums: dict[Key, float] = {}
        for key, value in self.by(series, *of).items():
            group = tuple(key[place] for place in places)
            sums[group] = sums.get(group, 0.0) + value
        return sums

    def value(self, series: Metric | str, **labels: str) -> float | None:
        """Return the value of the series with these labels; None if there is none."""
        return self.by(series, *labels).get(tuple(labels.values()))
