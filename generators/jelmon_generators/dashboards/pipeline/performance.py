"""How stages, resources and quality stand now, on the dashboard ``pipeline``."""

from grafanalib import core

from jelmon.catalogue import (
    BOTTLENECK_IMPACT,
    BOTTLENECK_INFO,
    BOTTLENECK_SEVERITY,
    CARDS_FINISHED,
    GATE_EVALUATIONS,
    SCAN_FINDINGS,
    STAGE_RETRIES,
    STAGE_RUN_TIME,
    STAGE_TIME_LIMIT,
    SYSTEM_CPU,
    SYSTEM_DISK,
    SYSTEM_MEMORY,
    TESTS_FINISHED,
)
from jelmon_generators.dashboards import queries, verdicts
from jelmon_generators.dashboards.fields import CRITICAL, GREY, OK, TEXT, WARNING, colours, stage_of_row, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.charts import merged, stacked_bars
from jelmon_generators.dashboards.panels.gauges import gauge
from jelmon_generators.dashboards.panels.tables import COUNT, Column, table
from jelmon_generators.model.dashboards import PipelinePanel

_HOUR, _DAY = "1h", "24h"
_PERCENTILES = (50, 95, 99)


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row."""
    return [
        Heading(130, "Stages, resources and quality now"),
        Line(9, [_stages(), _resources(limits)], (15, 9)),
        Line(8, [_bottlenecks(limits), _quality()], (12, 12)),
    ]


def _stages() -> core.Panel:
    limit = queries.gauge(STAGE_TIME_LIMIT, by=queries.BY_STAGE, how="max")
    series = [
        *(queries.quantile(p / 100, STAGE_RUN_TIME, by=queries.BY_STAGE, window=_HOUR) for p in _PERCENTILES),
        limit,
    ]
    return stacked_bars(
        PipelinePanel.STAGE_PERFORMANCE,
        "Percentiles of run time by stage over the last hour, and the time limit that the stage declares.",
        [("", queries.named(one)) for one in series],
        row="name",
        transformations=merged("name", *(f"p{p}" for p in _PERCENTILES), "limit", without=("pipeline", "stage")),
        unit="s",
        no_value="no attempts in the last hour",
        overrides=colours({"p50": "light-blue", "p95": "blue", "p99": "dark-blue", "limit": "orange"}),
        beside=True,
    )


def _resources(limits: Limits) -> core.Panel:
    return gauge(
        PipelinePanel.RESOURCES,
        "Share of the exporter's host in use: CPU, memory and the fullest file system. Red: an alert fires.",
        [
            ("{{host}} CPU", queries.gauge(SYSTEM_CPU, by=("host",), how="max")),
            ("{{host}} memory", queries.gauge(SYSTEM_MEMORY, by=("host",), how="max")),
            ("{{host}} disk", queries.gauge(SYSTEM_DISK, by=("host",), how="max")),
        ],
        levels=steps(GREY, (0, OK), (0.75, WARNING), (limits.get("host_cpu_high", 0.9), CRITICAL)),
        no_value="no host metrics",
    )


def _bottlenecks(limits: Limits) -> core.Panel:
    named = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")

    def of(metric: str) -> str:
        return f"{named} * on (pipeline, stage) group_left () ({metric} > 0)"

    return table(
        PipelinePanel.ACTIVE_BOTTLENECKS,
        "Stages that hold up cards now: the state of the queue, why cards wait, severity from 0 to 100, and the time "
        f"that cards lost in the analysis window. {verdicts.EXPLAINED}",
        [
            Column(name="pipeline", label="pipeline", width=85),
            Column(name="stage", label="stage", links=[stage_of_row("bottlenecks", "Show ${__data.fields.stage}")]),
            Column(name="state", label="state", width=75),
            Column(name="cause", label="cause"),
            Column(
                name="severity",
                query=of(queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max")),
                unit="none",
                decimals=0,
                levels=limits.levels(TEXT, bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
            ),
            Column(
                name="time lost",
                query=of(queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how="max")),
                unit="s",
            ),
        ],
        no_value="no stage holds up cards, or analyzer missing",
        sort_by="severity",
    )


def _quality() -> core.Panel:
    by = ("pipeline",)
    good = steps(TEXT, (0, CRITICAL), (0.8, WARNING), (0.95, OK))
    judged = queries.increase(CARDS_FINISHED, _DAY, by=by, outcome=queries.JUDGED_OUTCOMES)
    return table(
        PipelinePanel.QUALITY_METRICS,
        "For each pipeline over 24 hours: cards finished (n), the share that succeeded, the shares of gate verdicts "
        "and tests that passed, retries, and serious security findings. A share of few is worth little.",
        [
            Column(name="pipeline", label="pipeline", width=110),
            Column(name="n", query=queries.count(CARDS_FINISHED, _DAY, by=by), unit=COUNT),
            Column(
                name="success",
                query=queries.ratio(queries.increase(CARDS_FINISHED, _DAY, by=by, outcome="success"), judged),
                unit="percentunit",
                decimals=1,
                levels=good,
            ),
            Column(
                name="gates",
                query=queries.ratio(
                    queries.increase(GATE_EVALUATIONS, _DAY, by=by, verdict="passed"),
                    queries.increase(GATE_EVALUATIONS, _DAY, by=by),
                ),
                unit="percentunit",
                decimals=1,
                levels=good,
            ),
            Column(
                name="tests",
                query=queries.ratio(
                    queries.increase(TESTS_FINISHED, _DAY, by=by, outcome="passed"),
                    queries.increase(TESTS_FINISHED, _DAY, by=by, outcome="!=skipped"),
                ),
                unit="percentunit",
                decimals=1,
                levels=good,
            ),
            Column(name="retries", query=queries.count(STAGE_RETRIES, _DAY, by=by), unit=COUNT),
            Column(
                name="findings",
                query=queries.count(SCAN_FINDINGS, _DAY, by=by, severity="=~critical|high"),
                unit=COUNT,
                levels=steps(TEXT, (1, WARNING)),
            ),
        ],
        no_value="no cards in the last 24 hours",
        sort_by="success",
        descending=False,
    )
