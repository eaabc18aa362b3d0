"""The last rows of the dashboard ``bottlenecks``: what makes slow cards slow, what to do, and what really worked."""

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
from jelmon_generators.dashboards.board import Heading, Line
from jelmon_generators.dashboards.fields import CRITICAL, OK, ONLY_STAGE, STAGE_LEGEND, TEXT, WARNING, link, steps
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, table

_DRIVER = ("pipeline", "driver")
_STRATEGY = ("pipeline", "strategy")
_ALL = ("pipeline", "stage", "strategy")


def rows(limits: Limits) -> list[Heading | Line]:
    """Heading 103 and panels 50 to 54."""
    return [
        Heading(103, "Why, and what to do about it"),
        Line(8, [_drivers(), _drivers_over_time(), _contention(limits)], (9, 8, 7)),
        Line(9, [_open(), _matrix()], (10, 14)),
    ]


def _drivers() -> core.Panel:
    return table(
        50,
        "What makes slow cards slow",
        "What the slowest tenth of the cards take longer than the others, shared out to waits and runs of stages, "
        "retries, tests and the load of the hosts; with the ends of the interval in which each share lies (95 %).",
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
                name="at least",
                query=queries.gauge(ATTRIBUTION_SHARE_LOWER, by=_DRIVER, how="max"),
                unit="percentunit",
            ),
            Column(
                name="at most",
                query=queries.gauge(ATTRIBUTION_SHARE_UPPER, by=_DRIVER, how="max"),
                unit="percentunit",
            ),
        ],
        no_value="too few cards, or no model explains them",
        sort_by="share",
    )


def _drivers_over_time() -> core.Panel:
    return graph(
        51,
        "Drivers of slow cards",
        "The shares of the drivers over time: when one of them rises, so did what it stands for.",
        [("{{pipeline}} {{driver}}", queries.gauge(ATTRIBUTION_SHARE, by=_DRIVER, how="max"))],
        unit="percentunit",
        no_value="too few cards, or no model explains them",
    )


def _contention(limits: Limits) -> core.Panel:
    return graph(
        52,
        "Contention",
        "Share of the waiting for a stage in which its workers served another stage, or a resource of some host was "
        "nearly used up. Dashed: where an alert fires.",
        [
            (
                f"{STAGE_LEGEND} {{{{resource}}}}",
                queries.gauge(BOTTLENECK_CONTENTION, by=(*queries.BY_STAGE, "resource"), how="max"),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no card waited, or the analyzer does not run",
        levels=limits.lines(resource_contention_high="orange"),
        links=[ONLY_STAGE],
    )


def _open() -> core.Panel:
    here = link("Only this stage", "/d/jelmore-bottlenecks?${__url_time_range}&var-stage=${__data.fields.stage}")
    return table(
        53,
        "What would help now",
        "Suggestions that stand open, and the time that a card would save, found by playing the last minutes "
        "through. The words of the advice are in the table of recommendations.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage", links=[here]),
            Column(name="strategy", label="strategy"),
            Column(name="saves a card", query=queries.gauge(SUGGESTION_GAIN, by=_ALL, how="max"), unit="s"),
        ],
        no_value="no suggestion whose gain is known",
        sort_by="saves a card",
    )


def _matrix() -> core.Panel:
    def applied(result: str = "") -> str:
        where = {"result": result} if result else {}
        return queries.gauge(SUGGESTIONS_APPLIED, by=_STRATEGY, **where)

    return table(
        54,
        "Strategies: what really worked",
        "Each strategy with the suggestions that stand open, and of the last 30 days how many were applied, what "
        "came of them (better, worse: the time of a card changed by more than 5 %), and what a card saved on "
        "average. Few cases prove little, and other things change too.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="strategy", label="strategy"),
            Column(name="open", query=queries.gauge(SUGGESTIONS, by=_STRATEGY, how="max"), unit="locale", width=60),
            Column(name="applied", query=applied(), unit="locale", width=70),
            Column(name="better", query=applied("better"), unit="locale", width=65),
            Column(name="same", query=applied("same"), unit="locale", width=65),
            Column(name="worse", query=applied("worse"), unit="locale", width=65, levels=steps(TEXT, (1, WARNING))),
            Column(
                name="worked",
                query=queries.ratio(applied("better"), applied()),
                unit="percentunit",
                levels=steps(CRITICAL, (0.3, WARNING), (0.6, OK)),
                width=75,
            ),
            Column(name="saved a card", query=queries.gauge(SUGGESTIONS_SAVED, by=_STRATEGY, how="max"), unit="s"),
        ],
        no_value="no suggestion yet",
        sort_by="applied",
    )
