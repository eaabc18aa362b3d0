"""Panels of the dashboard ``bottlenecks`` that show the verdicts of the bottleneck analyzer.

They distinguish "analyzer not running" from "no verdict" (too little data): neither is ever shown as a green 0.
"""

from grafanalib import core

from jelmon.catalogue import (
    ANALYZER_SUCCESS,
    BOTTLENECK_CASCADE,
    BOTTLENECK_EPISODES,
    BOTTLENECK_GAIN,
    BOTTLENECK_IMPACT,
    BOTTLENECK_INFO,
    BOTTLENECK_OVERALL,
    BOTTLENECK_SEVERITY,
    Gauge,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    GREY,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WARNING,
    steps,
    value_map,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.charts import heatmap
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_NO_ANALYZER = "analyzer not running"
_NO_VERDICT = "analyzer not running, or no verdict in this time range"


def rows(limits: Limits) -> list[Heading | Line]:
    """Return heading 102 and panels 40 to 49."""
    return [
        Heading(102, "Bottleneck analysis"),
        Line(8, [_severity(limits), _severity_overall(limits), _impact()]),
        Line(8, [_severity_day(), _gain()], (14, 10)),
        Line(8, [_impact_day(), _gain_day()]),
        Line(8, [_verdicts(limits), _cascade(limits), _episodes()], (12, 6, 6)),
    ]


def severity_now(limits: Limits) -> core.Panel:
    # No verdict differs from no analyzer: -1 means no verdict while the analyzer is up.
    alive = f"0 * max({queries.select(ANALYZER_SUCCESS, analyzer='bottleneck')}) - 1"
    return stat(
        BottlenecksPanel.SEVERITY_NOW,
        "The highest severity of any stage, from 0 to 100: share of the analysis window in which cards waited for the "
        "stage while it was not blocked itself. Warning from "
        f"{limits.number('bottleneck_forming')}, critical from {limits.number('bottleneck_severe')}.",
        [("severity", f"max({queries.gauge(BOTTLENECK_OVERALL, by=('pipeline',), how='max')}) or {alive}")],
        unit="none",
        decimals=0,
        levels=limits.levels(GREY, (0, OK), bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        no_value=_NO_ANALYZER,
        mappings=value_map({"-1": ("no verdict", GREY)}),
    )


def limiting_stage() -> core.Panel:
    alive = f"0 * max by (analyzer) ({queries.select(ANALYZER_SUCCESS, analyzer='bottleneck')}) - 1"
    limits = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")
    return stat(
        BottlenecksPanel.LIMITING_STAGE,
        "The stage that limits the pipeline, the state of its queue (stuck, growing, steady, draining) and why cards "
        "wait for it.",
        [("{{stage}} {{state}} {{cause}}", f"{limits} or on () {alive}")],
        unit="none",
        levels=steps(TEXT),
        no_value=_NO_ANALYZER,
        named=True,
        mappings=value_map({"-1": ("no verdict", GREY), "1": ("limiting", CRITICAL)}),
        links=[ONLY_STAGE],
    )


def _severity(limits: Limits) -> core.Panel:
    return graph(
        BottlenecksPanel.SEVERITY,
        "Share of the analysis window, from 0 to 100, in which cards waited for the stage while it was not blocked "
        "itself. Dashed: thresholds for warning and critical. A gap means no verdict, not 0.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max"))],
        unit="none",
        maximum=100,
        no_value=_NO_VERDICT,
        levels=limits.lines(bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        links=[ONLY_STAGE],
    )


def _severity_overall(limits: Limits) -> core.Panel:
    return graph(
        BottlenecksPanel.OVERALL_SEVERITY,
        "The highest severity of any stage in the pipeline.",
        [("{{pipeline}}", queries.gauge(BOTTLENECK_OVERALL, by=("pipeline",), how="max"))],
        unit="none",
        maximum=100,
        no_value=_NO_VERDICT,
        levels=limits.lines(bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
    )


def _impact() -> core.Panel:
    return graph(
        BottlenecksPanel.IMPACT,
        "Time that cards lost because of the stage in the analysis window: waiting for it, or blocked by it.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how="max"))],
        unit="s",
        axis="total time lost",
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _severity_day() -> core.Panel:
    return heatmap(
        BottlenecksPanel.SEVERITY_DAY,
        "Highest severity of each stage per half hour. Look for stages and times of day that recur.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_SEVERITY)),
        maximum=100,
        no_value=_NO_VERDICT,
        since="24h",
    )


def _impact_day() -> core.Panel:
    return heatmap(
        BottlenecksPanel.IMPACT_DAY,
        "Most time lost because of each stage per half hour.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_IMPACT)),
        unit="s",
        scheme="Oranges",
        no_value=_NO_VERDICT,
        since="24h",
    )


def _gain_day() -> core.Panel:
    return heatmap(
        BottlenecksPanel.GAIN_DAY,
        "Largest saving per card per half hour if the stage ran 20 % faster.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_GAIN)),
        unit="s",
        scheme="Blues",
        no_value=_NO_VERDICT,
        since="24h",
    )


def _worst_of(metric: Gauge) -> str:
    return queries.gauge(metric, by=queries.BY_STAGE, how="max", over="max", window="$__interval")


def _gain() -> core.Panel:
    return graph(
        BottlenecksPanel.GAIN,
        "Time per card that would be saved if the stage ran 20 % faster.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_GAIN, by=queries.BY_STAGE, how="max"))],
        unit="s",
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _verdicts(limits: Limits) -> core.Panel:
    severity = queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max")
    named = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")
    return table(
        BottlenecksPanel.LIMITING_STAGES,
        "The limiting stage of each pipeline, the state of its queue, the cause, the severity and the time lost.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(name="state", label="state"),
            Column(name="cause", label="cause"),
            Column(
                name="severity",
                query=f"{named} * on (pipeline, stage) group_left () {severity}",
                unit="none",
                levels=limits.levels(TEXT, bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
            ),
            Column(
                name="time lost",
                query=f"{named} * on (pipeline, stage) group_left () "
                f"{queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how='max')}",
                unit="s",
            ),
        ],
        no_value=_NO_VERDICT,
        sort_by="severity",
    )


def _cascade(limits: Limits) -> core.Panel:
    return graph(
        BottlenecksPanel.CASCADE_RISK,
        "Risk, from 0 to 100, that the bottleneck spreads to other stages. Dashed: alert threshold.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_CASCADE, by=queries.BY_STAGE, how="max"))],
        unit="none",
        maximum=100,
        levels=limits.lines(cascade_risk_high="orange"),
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _episodes() -> core.Panel:
    return table(
        BottlenecksPanel.EPISODES,
        "How often each stage became a bottleneck in the last 24 hours.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(
                name="episodes", query=queries.increase(BOTTLENECK_EPISODES, "24h", by=queries.BY_STAGE), unit="locale"
            ),
        ],
        no_value=_NO_ANALYZER,
        sort_by="episodes",
    )
