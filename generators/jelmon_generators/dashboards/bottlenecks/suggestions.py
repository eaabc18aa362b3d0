"""Panels of the dashboard ``bottlenecks`` on the causes of slow cards, on suggestions and on their results."""

from grafanalib import core

from jelmon.catalogue import (
    ATTRIBUTION_SHARE,
    ATTRIBUTION_SHARE_LOWER,
    ATTRIBUTION_SHARE_UPPER,
    BOTTLENECK_CONTENTION,
    SUGGESTION_GAIN,
    SUGGESTIONS,
    SUGGESTIONS_APPLIED,
    SUGGESTIONS_SAVED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    GREY,
    NO_CELL,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WARNING,
    stage_of_row,
    steps,
    value_map,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.tables import Column, matrix, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_DRIVER = ("pipeline", "driver")
_STRATEGY = ("pipeline", "strategy")
_ENOUGH = 5
_ALL = ("pipeline", "stage", "strategy")


def rows(limits: Limits, actions: core.Panel) -> list[Heading | Line]:
    """Return heading 103 and its panels; ``actions`` is drawn beside the strategies."""
    return [
        Heading(103, "Causes, suggestions and actions"),
        Line(8, [_drivers(), _drivers_over_time(), _contention(limits)], (10, 7, 7)),
        Line(9, [_open(), _matrix()], (9, 15)),
        Line(8, [_success_rates(), actions], (14, 10)),
    ]


def _drivers() -> core.Panel:
    return table(
        BottlenecksPanel.DRIVERS,
        "The extra time that the slowest 10 % of cards take, attributed to queue times, run times, retries, tests and "
        "host load, with 95 % confidence intervals.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="driver", label="driver"),
            Column(
                name="share",
                query=queries.gauge(ATTRIBUTION_SHARE, by=_DRIVER, how="max"),
                unit="percentunit",
                levels=steps(TEXT, (0.3, WARNING), (0.6, CRITICAL)),
            ),
            Column(
                name="lower bound",
                query=queries.gauge(ATTRIBUTION_SHARE_LOWER, by=_DRIVER, how="max"),
                unit="percentunit",
            ),
            Column(
                name="upper bound",
                query=queries.gauge(ATTRIBUTION_SHARE_UPPER, by=_DRIVER, how="max"),
                unit="percentunit",
            ),
        ],
        no_value="too few cards, or no model fits",
        sort_by="share",
    )


def _drivers_over_time() -> core.Panel:
    return graph(
        BottlenecksPanel.DRIVERS_OVER_TIME,
        "The share of each driver over time.",
        [("{{pipeline}} {{driver}}", queries.gauge(ATTRIBUTION_SHARE, by=_DRIVER, how="max"))],
        unit="percentunit",
        no_value="too few cards, or no model fits",
    )


def _contention(limits: Limits) -> core.Panel:
    return graph(
        BottlenecksPanel.CONTENTION,
        "Share of the waiting time for a stage during which its workers served another stage or a host resource was "
        "nearly exhausted. Dashed: alert threshold.",
        [
            (
                f"{STAGE_LEGEND} {{{{resource}}}}",
                queries.gauge(BOTTLENECK_CONTENTION, by=(*queries.BY_STAGE, "resource"), how="max"),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no waiting cards, or analyzer missing",
        levels=limits.lines(resource_contention_high="orange"),
        links=[ONLY_STAGE],
    )


def _open() -> core.Panel:
    here = stage_of_row("bottlenecks", "Show only this stage")
    return table(
        BottlenecksPanel.SUGGESTIONS,
        "Open suggestions and the time per card they would save, estimated by replaying the recent past. The full "
        "text is in the recommendations table.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage", links=[here]),
            Column(name="strategy", label="strategy"),
            Column(name="saved per card", query=queries.gauge(SUGGESTION_GAIN, by=_ALL, how="max"), unit="s"),
        ],
        no_value="no suggestions with a known gain",
        sort_by="saved per card",
    )


def _matrix() -> core.Panel:
    def applied(result: str = "") -> str:
        where = {"result": result} if result else {}
        return queries.gauge(SUGGESTIONS_APPLIED, by=_STRATEGY, **where)

    return table(
        BottlenecksPanel.STRATEGIES,
        "Open suggestions for each strategy, and for the last 30 days: how many were applied, their results (better "
        "or worse: card time changed by more than 5 %) and the mean time saved per card. A few cases prove little, "
        "and other changes may have contributed.",
        [
            Column(name="pipeline", label="pipeline", width=85),
            Column(name="strategy", label="strategy"),
            Column(name="open", query=queries.gauge(SUGGESTIONS, by=_STRATEGY, how="max"), unit="locale"),
            Column(name="applied", query=applied(), unit="locale"),
            Column(name="better", query=applied("better"), unit="locale"),
            Column(name="unchanged", query=applied("same"), unit="locale"),
            Column(name="worse", query=applied("worse"), unit="locale", levels=steps(TEXT, (1, WARNING))),
            Column(
                name="success rate",
                query=queries.ratio(applied("better"), applied()),
                unit="percentunit",
                levels=steps(TEXT, (0, CRITICAL), (0.3, WARNING), (0.6, OK)),
            ),
            Column(name="saved per card", query=queries.gauge(SUGGESTIONS_SAVED, by=_STRATEGY, how="max"), unit="s"),
        ],
        no_value="no suggestions yet",
        sort_by="applied",
    )


def _success_rates() -> core.Panel:
    every = queries.gauge(SUGGESTIONS_APPLIED, by=_STRATEGY)
    better = queries.gauge(SUGGESTIONS_APPLIED, by=_STRATEGY, result="better")
    enough = f"(({better} or 0 * {every}) / ({every} > 0) and {every} >= {_ENOUGH})"
    return matrix(
        BottlenecksPanel.STRATEGY_MATRIX,
        "Share of the suggestions applied in the last 30 days after which cards were more than 5 % faster, by strategy "
        f'and pipeline. "n < {_ENOUGH}": too few to say; a dash: never applied. The counts are in the table above.',
        f"{enough} or (({every} > 0) < {_ENOUGH}) * 0 - 1",
        row="strategy",
        column="pipeline",
        unit="percentunit",
        levels=steps(GREY, (0, CRITICAL), (0.3, WARNING), (0.6, OK)),
        mappings=[*value_map({"-1": (f"n < {_ENOUGH}", GREY)}), NO_CELL],
        no_value="no suggestion was applied yet",
    )
