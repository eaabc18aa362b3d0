"""Gauges whose series come and go: what is no longer exported disappears instead of keeping its last value."""

from jelmon.catalogue import Gauge
from jelmon.service.registry import Instruments


class Exports:
    """Sets gauges in rounds; a series that a round does not set is dropped at its end."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._exported: set[tuple[Gauge, tuple[tuple[str, str], ...]]] = set()
        self._round: set[tuple[Gauge, tuple[tuple[str, str], ...]]] = set()

    def set(self, metric: Gauge, value: float | None, /, **labels: str) -> None:
        """Set a gauge for this round; None leaves the series out."""
        if value is None:
            return
        self._instruments.set(metric, value, **labels)
        self._round.add((metric, tuple(sorted(labels.items()))))

    def end(self) -> None:
        """End the round: drop the series that it did not set."""
        for metric, labels in self._exported - self._round:
            self._instruments.forget(metric, **dict(labels))
        self._exported, self._round = self._round, set()
