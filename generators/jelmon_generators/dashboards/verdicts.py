"""The parts of the dashboard ``bottlenecks`` that the bottleneck analyzer fills.

They tell "the analyzer does not run" from "it runs and gives no verdict" (it gives none where there is too little to
judge by): neither is ever shown as a green 0.
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
from jelmon_generators.dashboards.board import Heading, Line
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
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, heatmap, table, tile

_NO_ANALYZER = "analyzer not running"
_NO_VERDICT = "analyzer not running, or no verdict in this time"


def rows(limits: Limits) -> list[Heading | Line]:
    """Heading 102 and panels 40 to 49."""
    return [
        Heading(102, "What the analyzer says"),
        Line(8, [_severity(limits), _severity_overall(limits), _impact()]),
        Line(8, [_severity_day(), _gain()], (14, 10)),
        Line(8, [_impact_day(), _gain_day()]),
        Line(8, [_verdicts(limits), _cascade(limits), _episodes()], (12, 6, 6)),
    ]


def overall(limits: Limits) -> core.Panel:
    # No verdict is not the same as no analyzer: -1 stands for the former while the analyzer is alive.
    alive = f"0 * max({queries.select(ANALYZER_SUCCESS, analyzer='bottleneck')}) - 1"
    return tile(
        12,
        "Bottleneck severity",
        "The highest severity of the stages, 0 to 100: share of the last minutes in which cards waited for the stage "
        "while nothing in it was held up. Warning from "
        f"{limits.number('bottleneck_forming')}, critical from {limits.number('bottleneck_severe')}.",
        [("severity", f"max({queries.gauge(BOTTLENECK_OVERALL, by=('pipeline',), how='max')}) or {alive}")],
        unit="none",
        decimals=0,
        levels=limits.levels(GREY, (0, OK), bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        no_value=_NO_ANALYZER,
        mappings=value_map({"-1": ("no verdict", GREY)}),
    )


def limiting() -> core.Panel:
    alive = f"0 * max by (analyzer) ({queries.select(ANALYZER_SUCCESS, analyzer='bottleneck')}) - 1"
    limits = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")
    return tile(
        13,
        "Limiting stage",
        "The stage that limits the pipeline, its state (stuck, growing, steady, draining) and why cards wait for it.",
        [("{{stage}} {{state}} {{cause}}", f"{limits} or on () {alive}")],
        unit="none",
        levels=steps(TEXT),
        no_value=_NO_ANALYZER,
        named=True,
        mappings=value_map({"-1": ("no verdict", GREY), "1": ("limits", CRITICAL)}),
        links=[ONLY_STAGE],
    )


def _severity(limits: Limits) -> core.Panel:
    return graph(
        40,
        "Severity by stage",
        "Share of the analyzer's window, 0 to 100, in which cards waited for the stage while nothing in it was held "
        "up. Dashed: warning at 50, critical at 75. A gap is no verdict, not 0.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max"))],
        unit="none",
        maximum=100,
        no_value=_NO_VERDICT,
        levels=limits.lines(bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
        links=[ONLY_STAGE],
    )


def _severity_overall(limits: Limits) -> core.Panel:
    return graph(
        41,
        "Severity overall",
        "The highest severity of the pipeline's stages.",
        [("{{pipeline}}", queries.gauge(BOTTLENECK_OVERALL, by=("pipeline",), how="max"))],
        unit="none",
        maximum=100,
        no_value=_NO_VERDICT,
        levels=limits.lines(bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
    )


def _impact() -> core.Panel:
    return graph(
        42,
        "Impact by stage",
        "Time that cards lost in the analyzer's window because of the stage: waiting there, and blocked before it.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how="max"))],
        unit="s",
        axis="time lost, all cards together",
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _severity_day() -> core.Panel:
    return heatmap(
        43,
        "Severity, last 24 hours",
        "The highest severity of each stage, half hour by half hour: is it always the same stage, or the same time?",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_SEVERITY)),
        maximum=100,
        no_value=_NO_VERDICT,
        since="24h",
    )


def _impact_day() -> core.Panel:
    return heatmap(
        48,
        "Impact, last 24 hours",
        "The most time that cards lost because of each stage, half hour by half hour: when does it cost most?",
        (STAGE_LEGEND, _worst_of(BOTTLENECK_IMPACT)),
        unit="s",
        scheme="Oranges",
        no_value=_NO_VERDICT,
        since="24h",
    )


def _gain_day() -> core.Panel:
    return heatmap(
        49,
        "Gain, last 24 hours",
        "The most that a card would have saved with each stage 20 % faster, half hour by half hour: what is worth it?",
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
        44,
        "Gain of a faster stage",
        "Time that a card would save if the stage ran 20 % faster.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_GAIN, by=queries.BY_STAGE, how="max"))],
        unit="s",
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _verdicts(limits: Limits) -> core.Panel:
    severity = queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max")
    named = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")
    return table(
        45,
        "The limiting stages",
        "The stage that limits each pipeline, its state, the cause of waiting, its severity and what it costs.",
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
        46,
        "Cascade risk",
        "Risk, 0 to 100, that the stage's trouble spreads to others. Dashed: where an alert fires.",
        [(STAGE_LEGEND, queries.gauge(BOTTLENECK_CASCADE, by=queries.BY_STAGE, how="max"))],
        unit="none",
        maximum=100,
        levels=limits.lines(cascade_risk_high="orange"),
        no_value=_NO_VERDICT,
        links=[ONLY_STAGE],
    )


def _episodes() -> core.Panel:
    return table(
        47,
        "How often",
        "Times in the last 24 hours that the stage became a bottleneck.",
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
