"""The bottleneck analyzer of one pipeline: events in, one by one; verdicts on its stages out, at any time.

Pure: no clock, no threads, no input or output. Times are seconds since the epoch or aware datetimes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from jelmon.errors import ConfigError
from jelmon.events import Event
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.ordering import PATIENCE_SECONDS, Ordering
from jelmon_analyzers.bottleneck.replay.gains import Gain, gains
from jelmon_analyzers.bottleneck.verdict.judge import MINIMUM_ARRIVALS, StageReport, judge

WINDOW_SECONDS = 900.0
CLOSE_POINTS = 15.0
"""Chance moves the severity of a stage by about so much from one window to the next."""
_NEXT_TO = 0.01


class BottleneckAnalyzer:
    """Fed with the events of one pipeline. A stage without a verdict is absent from the answers, never 0.

    ``workers`` and ``queue_capacities`` stand in for a pipeline that does not declare them. Events may be out of order
    by ``patience_seconds``; one that comes later counts from the newest time known. ``now`` never goes back either.
    """

    def __init__(
        self,
        *,
        window_seconds: float = WINDOW_SECONDS,
        minimum_arrivals: int = MINIMUM_ARRIVALS,
        workers: Mapping[str, int] | None = None,
        queue_capacities: Mapping[str, int] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        pipeline: str | None = None,
    ) -> None:
        if not window_seconds > 0:
            raise ConfigError(f"window_seconds: {window_seconds!r} is not a length of time", hint="900 is 15 minutes")
        self.pipeline = pipeline
        self.line = Line(window_seconds=window_seconds, workers=workers, capacities=queue_capacities)
        self._ordering = Ordering(self.line.observe, patience_seconds=patience_seconds)
        self._minimum_arrivals = minimum_arrivals
        self._asked: tuple[float, int] = (float("nan"), -1)
        self._reports: dict[str, StageReport] = {}
        self._gains_asked = self._asked
        self._gains: dict[str, Gain] = {}

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
        self._ordering.put(event, event.time.timestamp())

    def observe_many(self, events: Iterable[Event]) -> None:
        """Take events in, in the order given."""
        for event in events:
            self.observe(event)

    def report(self, now: float | datetime) -> dict[str, StageReport]:
        """All that is said about each stage."""
        time = now.timestamp() if isinstance(now, datetime) else float(now)
        self._ordering.release(time)
        asked = (time, self.line.changes)
        if asked != self._asked:
            self._reports = judge(self.line, time, minimum_arrivals=self._minimum_arrivals)
            self._asked = asked
            self._settle_close()
        return self._reports

    def severity(self, now: float | datetime) -> dict[str, float]:
        """0 to 100 by stage: share of the window in which cards wait while nothing there is held up."""
        return {name: one.severity for name, one in self.report(now).items() if one.severity is not None}

    def impact(self, now: float | datetime) -> dict[str, float]:
        """Card-seconds lost in the window because of each stage: waiting there, and held up before it."""
        return {name: one.impact for name, one in self.report(now).items() if one.severity is not None or one.impact}

    def cascade(self, now: float | datetime) -> dict[str, float]:
        """0 to 100 by stage: how much of the loss others suffer, or how soon its queue is full."""
        return {name: one.cascade for name, one in self.report(now).items() if one.cascade is not None}

    def gains(self, now: float | datetime) -> dict[str, Gain]:
        """What 20 % less work time would bring, by stage, or why that cannot be said."""
        reports = self.report(now)
        if self._gains_asked != self._asked:
            self._gains = gains(self.line, reports, self.line.clock)
            self._gains_asked = self._asked
        return self._gains

    def gain(self, now: float | datetime) -> dict[str, float]:
        """Seconds that a card would save if the stage ran 20 % faster; absent where that cannot be said."""
        return {name: one.seconds_per_card for name, one in self.gains(now).items() if one.seconds_per_card is not None}

    def utilisation(self, now: float | datetime) -> dict[str, float]:
        """Busy time of each stage's workers, as a share of the window."""
        return {name: one.utilisation for name, one in self.report(now).items() if one.utilisation is not None}

    def contention(self, now: float | datetime) -> dict[str, float]:
        """Share of the waiting in which a worker that also serves the stage served another."""
        return {name: one.contention for name, one in self.report(now).items() if one.contention is not None}

    def _settle_close(self) -> None:
        """Of stages too close to tell apart, the one that gains most is the most severe.

        Within `CLOSE_POINTS` of the highest chance would choose between them; stages that share workers even have cards
        waiting at the same times. The one whose speed-up gains most and the highest one change places.
        """
        judged = {name: one.severity for name, one in self._reports.items() if one.severity is not None}
        top = max(judged, key=judged.__getitem__, default="")
        if not top or judged[top] < CLOSE_POINTS:
            return
        highest = judged[top]
        close = [name for name, severity in judged.items() if severity >= highest - CLOSE_POINTS]
        if len(close) < 2:
            return
        self._gains, self._gains_asked = gains(self.line, self._reports, self.line.clock), self._asked
        known = {name: gain for name in close if (gain := self._gains[name].seconds_per_card) is not None}
        if len(known) < len(close):
            return
        best = max(known, key=known.__getitem__)
        least = {name: min(judged[name], highest - _NEXT_TO) for name in close}
        for name, severity in (least | {top: least[best]} | {best: highest}).items():
            self._reports[name] = replace(self._reports[name], severity=severity)

    def flow_time(self, now: float | datetime) -> float | None:
        """Mean time of a card in the line, by Little's law over the window; None if no card left it."""
        reports = self.report(now).values()
        present = sum(one.mean_waiting + one.mean_in_service + one.mean_held_up for one in reports)
        seconds = max((one.window_seconds for one in reports), default=0.0)
        left = sum(1 for time in self.line.departures if time >= self.line.clock - seconds)
        return present * seconds / left if left else None

    def bottleneck(self, now: float | datetime) -> StageReport | None:
        """The stage that limits the pipeline, the one with the highest severity; None while there is no verdict."""
        judged = [one for one in self.report(now).values() if one.severity is not None]
        return max(judged, key=lambda one: (one.severity or 0.0, one.impact), default=None)
