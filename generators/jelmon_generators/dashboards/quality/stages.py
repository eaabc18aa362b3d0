"""Stages on the dashboard ``quality``: which of them fail."""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_RUNS_FINISHED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    STAGE_LEGEND,
    colours_of,
    go_to,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import QualityPanel


def rows() -> list[Heading | Line]:
    """Return the row of the failing stages."""
    return [
        Heading(103, "Failing stages"),
        Line(8, [_stage_failures(), _stage_outcomes()]),
    ]


def _stage_failures() -> core.Panel:
    return graph(
        QualityPanel.STAGE_FAILURES,
        "Share of each stage's attempts that failed, errored or timed out.",
        [
            (
                STAGE_LEGEND,
                queries.ratio(
                    queries.rate(STAGE_RUNS_FINISHED, by=queries.BY_STAGE, outcome=queries.BAD_OUTCOMES),
                    queries.rate(STAGE_RUNS_FINISHED, by=queries.BY_STAGE, outcome=queries.JUDGED_OUTCOMES),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no attempts in this time range",
        links=[
            go_to("bottlenecks", "Show ${__field.labels.stage}", stage="${__field.labels.stage}"),
        ],
    )


def _stage_outcomes() -> core.Panel:
    return graph(
        QualityPanel.FAILED_ATTEMPTS,
        "Attempts per hour that failed, errored or timed out, over all stages.",
        [("{{outcome}}", queries.per_hour(STAGE_RUNS_FINISHED, by=("outcome",), outcome=queries.BAD_OUTCOMES))],
        unit="short",
        axis="attempts per hour",
        bars=True,
        no_value="no attempts in this time range",
        overrides=colours_of(STAGE_RUNS_FINISHED, "outcome"),
    )
