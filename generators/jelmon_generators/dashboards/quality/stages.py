"""Stages on the dashboard ``quality``: which of them fail."""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_RUNS_FINISHED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    ONLY_STAGE,
    STAGE_LEGEND,
    colours_of,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import QualityPanel


def rows(savings: core.Panel) -> list[Heading | Line]:
    """Return the row of the failing stages; ``savings`` is drawn beside them."""
    return [
        Heading(103, "Failing stages, and what would help"),
        Line(8, [_stage_failures(), _stage_outcomes(), savings], (7, 7, 10)),
    ]


def _stage_failures() -> core.Panel:
    return graph(
        QualityPanel.STAGE_FAILURES,
        f"Share of each stage's attempts over {queries.WINDOW} that failed, errored or timed out.",
        [
            (
                STAGE_LEGEND,
                queries.ratio(
                    queries.increase(
                        STAGE_RUNS_FINISHED, queries.WINDOW, by=queries.BY_STAGE, outcome=queries.BAD_OUTCOMES
                    ),
                    queries.increase(
                        STAGE_RUNS_FINISHED, queries.WINDOW, by=queries.BY_STAGE, outcome=queries.JUDGED_OUTCOMES
                    ),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no attempts in this time range",
        links=[ONLY_STAGE],
    )


def _stage_outcomes() -> core.Panel:
    return graph(
        QualityPanel.FAILED_ATTEMPTS,
        f"Attempts in {queries.WINDOW} that failed, errored or timed out, over all stages.",
        [
            (
                "{{outcome}}",
                queries.count(STAGE_RUNS_FINISHED, queries.WINDOW, by=("outcome",), outcome=queries.BAD_OUTCOMES),
            )
        ],
        unit="locale",
        axis=f"attempts in {queries.WINDOW}",
        bars=True,
        no_value="no attempts in this time range",
        overrides=colours_of(STAGE_RUNS_FINISHED, "outcome"),
    )
