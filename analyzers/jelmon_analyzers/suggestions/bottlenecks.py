"""Bottlenecks as findings."""

from collections.abc import Iterator

from jelmon_analyzers.bottleneck.gauges import BottleneckGauges
from jelmon_analyzers.bottleneck.verdict.report import StageReport, State
from jelmon_analyzers.suggestions.strategies import Finding


def findings(gauges: BottleneckGauges, now: float) -> Iterator[Finding]:
    """Yield the stages that are bottlenecks now: those in an episode, and those that are stuck."""
    for pipeline, analyzer in gauges.analyzers.items():
        for report in analyzer.report(now).values():
            limits = gauges.is_bottleneck(pipeline, report.stage) or report.state is State.STUCK
            if report.severity is not None and limits:
                yield _finding(pipeline, report)


def _finding(pipeline: str, report: StageReport) -> Finding:
    figures: dict[str, float | None] = {
        "severity": report.severity,
        "utilisation": report.utilisation,
        "contention": report.contention,
        "cascade": report.cascade,
        "waiting": report.waiting,
        "workers": report.workers,
        "impact": report.impact,
    }
    return Finding(
        kind="bottleneck",
        pipeline=pipeline,
        stage=report.stage,
        state=report.state.value,
        cause=report.cause.value,
        figures={name: value for name, value in figures.items() if value is not None},
        has_queue_limit=report.queue_capacity is not None,
    )
