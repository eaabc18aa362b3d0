"""The bottleneck analyzer of one pipeline: its events in, reports on its stages out, at any time.

Pure: no clock, no threads, no I/O. Times are seconds since the epoch or aware datetimes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from jelmon.errors import ConfigError
from jelmon.events import Event
from jelmon_analyzers.bottleneck.line.line import Line
from jelmon_analyzers.bottleneck.line.ordering import PATIENCE_SECONDS, Ordering
from jelmon_analyzers.bottleneck.replay.gains import Gain, gains
from jelmon_analyzers.bottleneck.verdict.judge import MINIMUM_ARRIVALS, judge
from jelmon_analyzers.bottleneck.verdict.report import StageReport

WINDOW_SECONDS = 900.0
TIE_POINTS = 15.0
"""Chance moves the severity of a stage by about this much from one window to the next."""
_BELOW_HIGHEST = 0.01


class BottleneckAnalyzer:
    """Analyzes the events of one pipeline. A stage without data is absent from the answers, never 0.

    ``workers`` and ``queue_capacities`` stand in for a missing declaration. Events may be out of order by
    ``patience_seconds``; a later one counts from the newest time known. ``now`` never goes back either.
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
            raise ConfigError(f"window_seconds must be more than 0, not {window_seconds!r}", hint="900 is 15 minutes")
        self.pipeline = pipeline
        self.line = Line(window_seconds=window_seconds, workers=workers, capacities=queue_capacities)
        self._ordering = Ordering(self.line.observe, patience_seconds=patience_seconds)
        self._minimum_arrivals = minimum_arrivals
        self._reported_at: tuple[float, int] = (float("nan"), -1)
        """Time of the current reports, and the changes of the line then."""
        self._reports: dict[str, StageReport] = {}
        self._gains_at = self._reported_at
        self._gains: dict[str, Gain] = {}

    def observe(self, event: Event) -> None:
        """Add an event.

        Raises:
            ConfigError: it belongs to another pipeline.
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
        """Add events, in the order given."""
        for event in events:
            self.observe(event)

    def report(self, now: float | datetime) -> dict[str, StageReport]:
        """Return everything known about each stage, by name."""
        time = now.timestamp() if isinstance(now, datetime) else float(now)
        self._ordering.release(time)
        reported_at = (time, self.line.changes)
        if reported_at != self._reported_at:
            self._reports = judge(self.line, time, minimum_arrivals=self._minimum_arrivals)
            self._reported_at = reported_at
            self._break_tie()
        return self._reports

    def severity(self, now: float | datetime) -> dict[str, float]:
        """Return 0 to 100 by stage: share of the window in which cards waited and nothing downstream blocked."""
        return _present({name: report.severity for name, report in self.report(now).items()})

    def impact(self, now: float | datetime) -> dict[str, float]:
        """Return the card-seconds lost in the window because of each stage: waiting there, and blocked by it."""
        reports = self.report(now).items()
        return {name: report.impact for name, report in reports if report.severity is not None or report.impact}

    def cascade(self, now: float | datetime) -> dict[str, float]:
        """Return 0 to 100 by stage: how much of the loss others suffer, or how soon its queue is full."""
        return _present({name: report.cascade for name, report in self.report(now).items()})

    def gains(self, now: float | datetime) -> dict[str, Gain]:
        """Return what 20 % less work time would gain, by stage, or why that is unknown."""
        reports = self.report(now)
        if self._gains_at != self._reported_at:
            self._gains = gains(self.line, reports, self.line.clock)
            self._gains_at = self._reported_at
        return self._gains

    def gain(self, now: float | datetime) -> dict[str, float]:
        """Return the seconds that a card would save if the stage took 20 % less work time."""
        return _present({name: gain.seconds_per_card for name, gain in self.gains(now).items()})

    def utilisation(self, now: float | datetime) -> dict[str, float]:
        """Return the busy time of each stage's workers, as a share of the window."""
        return _present({name: report.utilisation for name, report in self.report(now).items()})

    def contention(self, now: float | datetime) -> dict[str, float]:
        """Return the share of the waiting in which a worker shared with the stage served another."""
        return _present({name: report.contention for name, report in self.report(now).items()})

    def flow_time(self, now: float | datetime) -> float | None:
        """Return the mean time of a card in the line in seconds, by Little's law; None if no card left it."""
        reports = self.report(now).values()
        cards = sum(report.mean_waiting + report.mean_in_service + report.mean_blocked for report in reports)
        seconds = max((report.window_seconds for report in reports), default=0.0)
        departures = self.line.work_in_process.departures_since(self.line.clock - seconds)
        return cards * seconds / departures if departures else None

    def bottleneck(self, now: float | datetime) -> StageReport | None:
        """Return the stage with the highest severity, which limits the pipeline; None without any severity."""
        judged = [report for report in self.report(now).values() if report.severity is not None]
        return max(judged, key=lambda report: (report.severity or 0.0, report.impact), default=None)

    def _break_tie(self) -> None:
        """Give the highest severity to the stage with the highest gain, among those too close to distinguish.

        Within `TIE_POINTS` of the highest severity chance would decide; stages that share workers even have cards
        waiting at the same times. The former leader gets the other stage's severity.
        """
        severities = _present({name: report.severity for name, report in self._reports.items()})
        leader = max(severities, key=severities.__getitem__, default="")
        if not leader or severities[leader] < TIE_POINTS:
            return
        highest = severities[leader]
        tied = [name for name, severity in severities.items() if severity >= highest - TIE_POINTS]
        if len(tied) < 2:
            return
        self._gains, self._gains_at = gains(self.line, self._reports, self.line.clock), self._reported_at
        known = _present({name: self._gains[name].seconds_per_card for name in tied})
        if len(known) < len(tied):
            return
        best = max(known, key=known.__getitem__)
        capped = {name: min(severities[name], highest - _BELOW_HIGHEST) for name in tied}
        for name, severity in (capped | {leader: capped[best]} | {best: highest}).items():
            self._reports[name] = replace(self._reports[name], severity=severity)


def _present(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
