"""The bottlenecks of all pipelines of a stream as gauges: one analyzer for each pipeline."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping

from jelmon import catalogue as c
from jelmon.events import Event
from jelmon.service.registry import Instruments
from jelmon_analyzers.bottleneck.analyzer import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.replay.gains import Gain
from jelmon_analyzers.bottleneck.verdict.episodes import Episodes
from jelmon_analyzers.bottleneck.verdict.report import NOTHING_WAITED, StageReport
from jelmon_analyzers.bottleneck.verdict.resource_contention import ResourceContention
from jelmon_analyzers.exports import Exports

logger = logging.getLogger(__name__)

MOST_PIPELINES = 200
NAME = "bottleneck"


class BottleneckGauges:
    """Passes each event to the analyzer of its pipeline, and exports the reports of all."""

    def __init__(self, instruments: Instruments, *, window_seconds: float, pipelines: int = MOST_PIPELINES) -> None:
        self._instruments = instruments
        self._exports = Exports(instruments)
        self._window_seconds = window_seconds
        self._limit = pipelines
        self._episodes: dict[tuple[str, str], Episodes] = defaultdict(Episodes)
        self._contention: dict[str, ResourceContention] = {}
        self.usage: Callable[[], Mapping[str, float]] = dict
        """Returns the share in use by system resource; empty if unknown."""
        self.analyzers: dict[str, BottleneckAnalyzer] = {}

    def observe(self, event: Event) -> None:
        """Add an event of any pipeline."""
        pipeline = getattr(event.data, "pipeline", None)
        if pipeline is None:
            return
        analyzer = self.analyzers.get(pipeline)
        if analyzer is None:
            if len(self.analyzers) >= self._limit:
                self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason="too_many_pipelines")
                return
            analyzer = self.analyzers[pipeline] = BottleneckAnalyzer(
                window_seconds=self._window_seconds, pipeline=pipeline
            )
        analyzer.observe(event)

    def export(self, now: float) -> int:
        """Analyze every pipeline and set the gauges; returns the number of stages."""
        stages = 0
        for pipeline, analyzer in self.analyzers.items():
            reports = analyzer.report(now)
            stages += len(reports)
            gains = analyzer.gains(now)
            contention = self._contention.setdefault(pipeline, ResourceContention(window_seconds=self._window_seconds))
            contention.update(now, {name: report.waiting for name, report in reports.items()}, self.usage())
            for report in reports.values():
                self._export_stage(pipeline, report, now)
                for resource, ratio in contention.ratios(report.stage).items():
                    self._exports.set(
                        c.BOTTLENECK_CONTENTION, ratio, pipeline=pipeline, stage=report.stage, resource=resource
                    )
                gain = gains.get(report.stage)
                if gain is not None:
                    self._export_gain(pipeline, gain)
            self._export_bottleneck(pipeline, analyzer.bottleneck(now), reports)
        self._exports.end()
        return stages

    def severity(self, pipeline: str, now: float) -> float | None:
        """Return the severity of the pipeline's bottleneck; 0 if cards came and none waited, None if unknown."""
        analyzer = self.analyzers.get(pipeline)
        if analyzer is None:
            return None
        reports = analyzer.report(now).values()
        severities = [report.severity for report in reports if report.severity is not None]
        had_cards = any(report.reason == NOTHING_WAITED for report in reports)
        if not severities and had_cards and not any(report.mean_waiting or report.mean_blocked for report in reports):
            return 0.0
        return max(severities, default=None)

    def is_bottleneck(self, pipeline: str, stage: str) -> bool:
        """Return whether the stage is in an episode."""
        return self._episodes[pipeline, stage].since is not None

    def clear(self) -> None:
        """Drop all gauges: no report is better than an old one."""
        self._exports.end()

    def _export_bottleneck(self, pipeline: str, limiting: StageReport | None, reports: dict[str, StageReport]) -> None:
        if limiting is None:
            return
        highest = max(report.severity for report in reports.values() if report.severity is not None)
        self._exports.set(c.BOTTLENECK_OVERALL, highest, pipeline=pipeline)
        self._exports.set(
            c.BOTTLENECK_INFO,
            1,
            pipeline=pipeline,
            stage=limiting.stage,
            state=limiting.state.value,
            cause=limiting.cause.value,
        )

    def _export_gain(self, pipeline: str, gain: Gain) -> None:
        labels = {"pipeline": pipeline, "stage": gain.stage}
        self._exports.set(c.BOTTLENECK_GAIN, gain.seconds_per_card, **labels)
        self._exports.set(c.BOTTLENECK_GAIN_RATIO, gain.throughput_ratio, **labels)
        if gain.reason:
            reason = f"gain_{gain.reason}".replace(",", "").replace(" ", "_")
            self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason=reason)

    def _export_stage(self, pipeline: str, report: StageReport, now: float) -> None:
        labels = {"pipeline": pipeline, "stage": report.stage}
        export = self._exports.set
        export(c.BOTTLENECK_SEVERITY, report.severity, **labels)
        export(c.BOTTLENECK_IMPACT, report.impact if report.severity is not None or report.impact else None, **labels)
        export(c.BOTTLENECK_CASCADE, report.cascade, **labels)
        export(c.BOTTLENECK_UTILISATION, report.utilisation, **labels)
        export(c.BOTTLENECK_CONTENTION, report.contention, **labels, resource="workers")
        origin = "declared" if report.workers_declared else "learnt"
        export(c.BOTTLENECK_WORKERS, report.workers, **labels, origin=origin)
        if report.queue_capacity is not None:
            origin = "declared" if report.capacity_declared else "learnt"
            export(c.BOTTLENECK_QUEUE_CAPACITY, report.queue_capacity, **labels, origin=origin)
        if report.severity is None:
            self._instruments.inc(c.ANALYZER_SKIPPED, analyzer=NAME, reason=report.reason.replace(" ", "_"))
        begins = self._episodes[pipeline, report.stage].update(report.severity, now)
        self._instruments.inc(c.BOTTLENECK_EPISODES, 1 if begins else 0, **labels)
        if begins:
            logger.info("a stage became a bottleneck", extra={**labels, "severity": round(report.severity or 0.0)})
