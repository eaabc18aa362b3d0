"""The health score on the dashboard ``pipeline``, and the components that explain it."""

from grafanalib import core

from jelmon.catalogue import (
    HEALTH_COMPONENT,
    HEALTH_COVERAGE,
    HEALTH_POINTS_LOST,
    HEALTH_SCORE,
    HEALTH_WEIGHT,
)
from jelmon_generators.dashboards import queries, verdicts
from jelmon_generators.dashboards.fields import CRITICAL, GREY, OK, TEXT, WARNING, faint, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.charts import stacked_bars
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import PipelinePanel

_NO_SCORE = "analyzer missing, or no score in this time range"
_PARTS = ("pipeline", "component")
_LEVELS = ((0, CRITICAL), (60, WARNING), (80, OK))


def rows() -> list[Heading | Line]:
    """Return heading 106 and panels 70 to 73."""
    return [
        Heading(106, "Health"),
        Line(8, [_score(), _points(), _parts(), _over_time()], (4, 5, 8, 7)),
    ]


def _score() -> core.Panel:
    return stat(
        PipelinePanel.HEALTH,
        "Health of each pipeline from 0 to 100, lowest first. Slow cards, failures, a growing backlog, a bottleneck, "
        "inactivity and scarce resources cost points. The score is capped at 40 while no card succeeds, moves or "
        f"finishes in time. {verdicts.EXPLAINED}",
        [
            (
                "{{pipeline}}",
                verdicts.or_reason(
                    f"sort({queries.gauge(HEALTH_SCORE, by=('pipeline',), how='max')})", "health", label="pipeline"
                ),
            )
        ],
        unit="none",
        decimals=0,
        levels=steps(GREY, *_LEVELS),
        no_value=verdicts.ANALYZER_MISSING,
        named=True,
        mappings=verdicts.WITHHELD,
    )


def _points() -> core.Panel:
    return stacked_bars(
        PipelinePanel.POINTS_LOST,
        "What keeps each pipeline from 100, by component.",
        [("", f"{queries.gauge(HEALTH_POINTS_LOST, by=_PARTS, how='max')} > 0")],
        row="pipeline\\component",
        transformations=[
            {
                "id": "groupingToMatrix",
                "options": {"columnField": "component", "rowField": "pipeline", "valueField": "Value"},
            }
        ],
        unit="none",
        no_value="no points lost, or no score",
    )


def _parts() -> core.Panel:
    return table(
        PipelinePanel.HEALTH_COMPONENTS,
        "Score (1 is healthy, 0 the worst), weight and points lost for each component. The health score is 100 minus "
        "the points lost. A component without data shows only its weight and does not affect the score.",
        [
            Column(name="pipeline", label="pipeline", width=85),
            Column(name="component", label="component", width=85),
            Column(
                name="score",
                query=queries.gauge(HEALTH_COMPONENT, by=_PARTS, how="max"),
                unit="none",
                decimals=2,
                levels=steps(TEXT, *((bound / 100, colour) for bound, colour in _LEVELS)),
            ),
            Column(name="weight", query=queries.gauge(HEALTH_WEIGHT, by=_PARTS, how="max"), unit="none", decimals=0),
            Column(
                name="points lost",
                query=queries.gauge(HEALTH_POINTS_LOST, by=_PARTS, how="max"),
                unit="none",
                decimals=1,
                levels=steps(TEXT, (5, WARNING), (15, CRITICAL)),
            ),
        ],
        no_value=_NO_SCORE,
        sort_by="points lost",
    )


def _over_time() -> core.Panel:
    return graph(
        PipelinePanel.HEALTH_OVER_TIME,
        "Health score of each pipeline. Dotted: share of the components that have data, in percent; below 50 there is "
        "no score.",
        [
            ("{{pipeline}}", queries.gauge(HEALTH_SCORE, by=("pipeline",), how="max")),
            ("{{pipeline}} coverage", f"100 * {queries.gauge(HEALTH_COVERAGE, by=('pipeline',), how='max')}"),
        ],
        unit="none",
        maximum=100,
        no_value=_NO_SCORE,
        overrides=[faint("coverage")],
    )
