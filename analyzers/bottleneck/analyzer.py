"""The bottleneck analyzer of one pipeline: events in, one by one; verdicts on its stages out, at any time.

Pure: no clock, no threads, no input or output. Times are seconds since the epoch or aware datetimes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from jelmon.analyzers.bottleneck.line import Line
from jelmon.analyzers.bottleneck.verdict import MINIMUM_ARRIVALS, StageReport, judge
from jelmon.errors import ConfigError
from jelmon.events import Event

WINDOW_SECONDS = 900.0


class BottleneckAnalyzer:
    """Fed with the events of one pipeline. A stage without a verdict is absent from the answers, never 0.

    ``workers`` and ``queue_capacities`` stand in for a pipeline that does not declare them. An event that comes late is
    counted from the newest time known; the time asked for (``now``) never goes back either.
    """

    def __init__(
        self,
        *,
        window_seconds: float = WINDOW_SECONDS,
        minimum_arrivals: int = MINIMUM_ARRIVALS,
        workers: Mapping[str, int] | None = None,
        queue_capacities: Mapping[str, int] | None = None,
        pipeline: str | None = None,
    ) -> None:
        if not window_seconds > 0:
            raise ConfigError(f"window_seconds: {window_seconds!r} is not a length of time", hint="900 is 15 minutes")
        self.pipeline = pipeline
        self.line = Line(window_seconds=window_seconds, workers=workers, capacities=queue_capacities)
        self._minimum_arrivals = minimum_arrivals
        self._asked: tuple[float, int] = (float("nan"), -1)
        self._reports: dict[str, StageReport] = {}

    def observe(self, event: Event) -> None:
        """Take one event in.

        Raises:
            ConfigError: it is of another pipeline.
        """
        pipeline = getattr(event.data, "pipeline", None)
        if pipeline != self.pipeline:
            if self.pipeline is not None and pipeline is not None:
                raise ConfigError(
                    f"an event of pipeline {pipeline!r} for the analyzer of {self.pipeline!r}",
                    hint="make one BottleneckAnalyzer for each pipeline",
                )
            self.pipeline = self.pipeline or pipeline
        self.line.observe(event)

    def observe_many(self, events: Iterable[Event]) -> None:
        """Take events in, in the order given."""
        for event in events:
            self.observe(event)

    def report(self, now: float | datetime) -> dict[str, StageReport]:
        """All that is said about each stage."""
        time = now.timestamp() if isinstance(now, datetime) else float(now)
        asked = (time, self.line.changes)
        if asked != self._asked:
            self._reports = judge(self.line, time, minimum_arrivals=self._minimum_arrivals)
            self._asked = asked
        return self._reports

    def severity(self, now: float | datetime) -> dict[str, float]:
        """0 to 100 by stage: share of the window in which cards wait while nothing there is held up."""
        return {name: one.severity for name, one in self.report(now).items() if one.severity is not None}

    def impact(self, now: float | datetime) -> dict[str, float]:
        """Card-seconds lost in the window because of each stage: waiting there, and held up before it."""
        return {name: one.impact for name, one in self.report(now).items()}

    def cascade(self, now: float | datetime) -> dict[str, float]:
        """0 to 100 by stage: how much of the loss others suffer, or how soon its queue is full."""
        return {name: one.cascade for name, one in self.report(now).items() if one.cascade is not None}

    def utilisation(self, now: float | datetime) -> dict[str, float]:
        """Busy time of each stage's workers, as a share of the window."""
        return {name: one.utilisation for name, one in self.report(now).items() if one.utilisation is not None}

    def contention(self, now: float | datetime) -> dict[str, float]:
        """Share of the waiting in which a worker that also serves the stage served another."""
        return {name: one.contention for name, one in self.report(now).items() if one.contention is not None}

    def bottleneck(self, now: float | datetime) -> StageReport | None:
        """The stage with the highest severity; None while there is no verdict."""
        judged = [one for one in self.report(now).values() if one.severity is not None]
        return max(judged, key=lambda one: (one.severity or 0.0, one.impact), default=None)
