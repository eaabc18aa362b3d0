"""The health of each pipeline on the dashboard ``pipeline``, and what it is made of: the answer to "why 72?"."""

from grafanalib import core

from jelmon.catalogue import (
    ANALYZER_SUCCESS,
    HEALTH_COMPONENT,
    HEALTH_COVERAGE,
    HEALTH_POINTS_LOST,
    HEALTH_SCORE,
    HEALTH_WEIGHT,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.board import Heading, Line
from jelmon_generators.dashboards.fields import CRITICAL, GREY, OK, TEXT, WARNING, faint, steps, value_map
from jelmon_generators.dashboards.panels import Column, graph, stacked_bars, table, tile

_NO_ANALYZER = "analyzer not running"
_NO_SCORE = "analyzer not running, or no score in this time"
_PARTS = ("pipeline", "component")
_LEVELS = ((0, CRITICAL), (60, WARNING), (80, OK))


def rows() -> list[Heading | Line]:
    """Heading 106 and panels 70 to 73."""
    return [
        Heading(106, "Health, and what it is made of"),
        Line(8, [_score(), _points(), _parts(), _over_time()], (4, 6, 7, 7)),
    ]


def _score() -> core.Panel:
    # No score is not the same as no analyzer: -1 stands for the former while the analyzer is alive.
    alive = f"0 * max by (analyzer) ({queries.select(ANALYZER_SUCCESS, analyzer='health')}) - 1"
    return tile(
        70,
        "Health",
        "Health of the pipelines, 0 to 100, the lowest first. Points are lost by slow cards, failures, less leaving "
        "than coming, a bottleneck, silence and scarce resources; it is 40 at most while nothing succeeds, moves or "
        "is in time.",
        [("{{pipeline}}", f"sort({queries.gauge(HEALTH_SCORE, by=('pipeline',), how='max')}) or on () {alive}")],
        unit="none",
        decimals=0,
        levels=steps(GREY, *_LEVELS),
        no_value=_NO_ANALYZER,
        named=True,
        mappings=value_map({"-1": ("no score", GREY)}),
    )


def _points() -> core.Panel:
    return stacked_bars(
        71,
        "Points lost",
        "What keeps each pipeline from 100: a bar for each pipeline, a part for each thing that costs points.",
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
        72,
        "Why this score",
        "Every part of the health with its score (1 is well), its weight, and the points it costs. The score is 100 "
        "less the points lost. A part without data has a weight only, and counts in neither.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="part", label="component"),
            Column(
                name="score",
                query=queries.gauge(HEALTH_COMPONENT, by=_PARTS, how="max"),
                unit="percentunit",
                levels=steps(TEXT, *((bound / 100, colour) for bound, colour in _LEVELS)),
                width=70,
            ),
            Column(name="weight", query=queries.gauge(HEALTH_WEIGHT, by=_PARTS, how="max"), unit="none", width=70),
            Column(
                name="points lost",
                query=queries.gauge(HEALTH_POINTS_LOST, by=_PARTS, how="max"),
                unit="none",
                levels=steps(TEXT, (5, WARNING), (15, CRITICAL)),
                width=90,
            ),
        ],
        no_value=_NO_SCORE,
        sort_by="points lost",
    )


def _over_time() -> core.Panel:
    return graph(
        73,
        "Health over time",
        "The score of each pipeline. Dotted: how much of what it is made of has data, in percent; below 50 there is no "
        "score.",
        [
            ("{{pipeline}}", queries.gauge(HEALTH_SCORE, by=("pipeline",), how="max")),
            ("{{pipeline}} coverage", f"100 * {queries.gauge(HEALTH_COVERAGE, by=('pipeline',), how='max')}"),
        ],
        unit="none",
        maximum=100,
        no_value=_NO_SCORE,
        overrides=[faint("coverage")],
    )
