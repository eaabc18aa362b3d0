"""Gauges that come and go: what is not said any more disappears, instead of standing at its last value."""

from jelmon.catalogue import Gauge
from jelmon.service.registry import Instruments


class Exports:
    """Sets gauges round by round; a series that a round does not set is dropped at its end."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._shown: set[tuple[Gauge, tuple[tuple[str, str], ...]]] = set()
        self._round: set[tuple[Gauge, tuple[tuple[str, str], ...]]] = set()

    def set(self, metric: Gauge, value: float | None, /, **labels: str) -> None:
        """Set a gauge for this round; None is no value, so the series is absent."""
        if value is None:
            return
        self._instruments.set(metric, value, **labels)
        self._round.add((metric, tuple(sorted(labels.items()))))

    def end(self) -> None:
        """The round is over."""
        for metric, labels in self._shown - self._round:
            self._instruments.forget(metric, **dict(labels))
        self._shown, self._round = self._round, set()
