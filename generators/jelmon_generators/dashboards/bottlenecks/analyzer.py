"""Panels of the dashboard ``bottlenecks`` that show the verdicts of the bottleneck analyzer.

They distinguish a missing analyzer from one that gives no verdict, and then say why: neither is ever a green 0.
"""

from grafanalib import core

from jelmon.catalogue import (
    ANALYZER_SKIPPED,
    ANALYZER_SUCCESS,
    BOTTLENECK_CASCADE,
    BOTTLENECK_EPISODES,
    BOTTLENECK_GAIN,
    BOTTLENECK_IMPACT,
    BOTTLENECK_INFO,
    BOTTLENECK_OVERALL,
    BOTTLENECK_SEVERITY,
    STAGE_POSITION,
    Gauge,
)
from jelmon_generators.dashboards import queries, verdicts
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    GREY,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WARNING,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.heatmaps import STEP, heatmap
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_NO_VERDICT = verdicts.NO_VERDICT


def rows(limits: Limits) -> list[Heading | Line]:
    """Return heading 102 and panels 40 to 49."""
    return [
        Heading(102, "Bottleneck analysis"),
        Line(8, [_severity(limits), _severity_overall(limits), _impact(), _cascade(limits)]),
        Line(8, [_severity_day(), _gain()], (14, 10)),
        Line(8, [_impact_day(), _gain_day()]),
        Line(8, [_verdicts(limits), _episodes(), _withheld()], (11, 6, 7)),
    ]


def severity_now(limits: Limits) -> core.Panel:
    overall = f"max({queries.gauge(BOTTLENECK_OVERALL, by=('pipeline',), how='max')})"
    return stat(
        BottlenecksPanel.SEVERITY_NOW,
        "The highest severity of any stage, from 0 to 100: share of the analysis window in which cards waited for the "
        "stage while it was not blocked itself. Warning from "
        f"{limits.number('bottleneck_forming')}, critical from {limits.number('bottleneck_severe')}. "
        f"{verdicts.EXPLAINED}",
        [("{{shown}}", verdicts.or_reason(overall, "bottleneck", label="shown"))],
        unit="none",
        decimals=0,
        levels=limits.levels(GREY, (0, OK), bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        no_value=verdicts.ANALYZER_MISSING,
        mappings=verdicts.WITHHELD,
        named=True,
    )


def limiting_stage(limits: Limits) -> core.Panel:
    severity = queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max")
    named = queries.gauge(BOTTLENECK_INFO, by=queries.BY_STAGE, how="max")
    worst = f"topk(1, {severity} and on (pipeline, stage) {named})"
    joined = f'label_join({worst}, "shown", " / ", "pipeline", "stage")'
    return stat(
        BottlenecksPanel.LIMITING_STAGE,
        "The stage that limits its pipeline most, coloured by its severity. Its queue and the cause are in the list of "
        f"limiting stages. {verdicts.EXPLAINED}",
        [("{{shown}}", verdicts.or_reason(joined, "bottleneck", label="shown"))],
        unit="none",
        levels=limits.levels(GREY, (0, TEXT), bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        no_value=verdicts.ANALYZER_MISSING,
        name_only=True,
        mappings=verdicts.WITHHELD,
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
        "Highest severity of each stage per quarter of an hour; 0 is calm, a gap means that no analyzer "
        "ran. Look for stages and times of day that recur.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_SEVERITY)),
        maximum=100,
        no_value=_NO_VERDICT,
        since="24h",
    )


def _impact_day() -> core.Panel:
    return heatmap(
        BottlenecksPanel.IMPACT_DAY,
        "Most time lost because of each stage per quarter of an hour.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_IMPACT)),
        unit="s",
        scheme="Oranges",
        no_value=_NO_VERDICT,
        since="24h",
    )


def _gain_day() -> core.Panel:
    return heatmap(
        BottlenecksPanel.GAIN_DAY,
        "Largest saving per card per quarter of an hour if the stage ran 20 % faster.",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_GAIN)),
        unit="s",
        scheme="Blues",
        no_value=_NO_VERDICT,
        since="24h",
    )


def _worst_of(metric: Gauge) -> str:
    """Return the highest verdict in each cell; 0 for every other declared stage while the analyzer was up.

    So a gap means that there was no analyzer, and nothing else.
    """

    def cell(gauge: Gauge, *, by: tuple[str, ...] = queries.BY_STAGE, **where: str) -> str:
        return queries.gauge(gauge, by=by, how="max", over="max", window=STEP, offset=f"-{STEP}", **where)

    alive = cell(ANALYZER_SUCCESS, by=(), analyzer="bottleneck")
    return f"{cell(metric)} or 0 * {cell(STAGE_POSITION)} and on () {alive}"


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
                name="episodes", query=queries.count(BOTTLENECK_EPISODES, "24h", by=queries.BY_STAGE), unit="locale"
            ),
        ],
        no_value=verdicts.ANALYZER_MISSING,
        sort_by="episodes",
    )


def _withheld() -> core.Panel:
    return table(
        BottlenecksPanel.WITHHELD,
        "Why analyzers gave no verdict, regression, gain or score for a signal, stage or pipeline, and how often. "
        f"{verdicts.EXPLAINED}",
        [
            Column(name="analyzer", label="analyzer"),
            Column(name="reason", label="reason", width=150),
            Column(
                name="times",
                query=f"{queries.count(ANALYZER_SKIPPED, '1h', by=('analyzer', 'reason'))} > 0",
                unit="locale",
            ),
        ],
        no_value="none withheld, or analyzer missing",
        sort_by="times",
    )
