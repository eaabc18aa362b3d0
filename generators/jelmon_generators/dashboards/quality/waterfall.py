"""How the time of a card is spent, step by step, on the dashboard ``quality``.

Prometheus knows no single card. What is drawn is the mean card of the last hour: each stage waits and runs as long as
it did on average, in the order in which the pipeline declares its stages.
"""

from grafanalib import core

from jelmon.catalogue import STAGE_POSITION, STAGE_QUEUE_TIME, STAGE_RUN_TIME, STAGE_RUNS_FINISHED, Histogram
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import DURATION, TEXT, WAIT, colours, override, stage_of_row, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.charts import merged, stacked_bars
from jelmon_generators.dashboards.panels.tables import COUNT, Column, table
from jelmon_generators.model.dashboards import QualityPanel

_HOUR = "1h"
_MOST_STAGES = 12
_POSITION = queries.gauge(STAGE_POSITION, by=queries.BY_STAGE, how="max")


def rows() -> list[Heading | Line]:
    """Return the row."""
    return [Heading(105, "Execution"), Line(10, [_waterfall(), _steps()], (13, 11))]


def _mean(histogram: Histogram) -> str:
    return queries.mean(histogram, by=queries.BY_STAGE, window=_HOUR)


def _offset() -> str:
    """Return the time that a card has spent before each stage.

    PromQL cannot compare positions of different series, so there is one part for each position.
    """
    run = _mean(STAGE_RUN_TIME)
    spent = f"({run} + ({_mean(STAGE_QUEUE_TIME)} or 0 * {run}))"
    own = f"0 * {run}"
    parts = [
        f"(({_POSITION} == {position}) * 0 + on (pipeline) group_left () "
        f"sum by (pipeline) ({spent} and {_POSITION} < {position}))"
        for position in range(1, _MOST_STAGES)
    ]
    return f"({' or '.join(parts)} or {own})"


def _numbered(by_stage: str) -> str:
    """Name each bar "pipeline / position / stage": bars are in alphabetical order."""
    position = f'count_values by (pipeline, stage) ("position", {_POSITION})'
    joined = f"({by_stage}) * on (pipeline, stage) group_left (position) {position}"
    return f'label_join({joined}, "name", " / ", "pipeline", "position", "stage")'


def _waterfall() -> core.Panel:
    hidden = {"legend": True, "tooltip": True, "viz": False}
    return stacked_bars(
        QualityPanel.WATERFALL,
        "The mean card of the last hour, from left to right: how long it waits for each stage (orange) and runs there "
        "(blue), after the stages before. In the order that the pipeline declares.",
        [("", _numbered(part)) for part in (_offset(), _mean(STAGE_QUEUE_TIME), _mean(STAGE_RUN_TIME))],
        row="name",
        transformations=merged("name", "before", "wait", "run", without=("pipeline", "stage", "position")),
        unit="s",
        no_value="no attempts in the last hour",
        overrides=[
            override(
                "before",
                color={"mode": "fixed", "fixedColor": "transparent"},
                custom__fillOpacity=0,  # transparent is painted black otherwise
                custom__lineWidth=0,
                custom__hideFrom=hidden,
            ),
            *colours({"wait": WAIT, "run": DURATION}),
        ],
    )


def _steps() -> core.Panel:
    return table(
        QualityPanel.WATERFALL_STEPS,
        "The same as figures: position, attempts in the last hour (n), mean wait and mean run time of each stage.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage", links=[stage_of_row("bottlenecks", "Show only this stage")]),
            Column(name="position", query=_POSITION, unit=COUNT, levels=steps(TEXT)),
            Column(name="n", query=queries.count(STAGE_RUNS_FINISHED, _HOUR, by=queries.BY_STAGE), unit=COUNT),
            Column(name="wait", query=_mean(STAGE_QUEUE_TIME), unit="s"),
            Column(name="run", query=_mean(STAGE_RUN_TIME), unit="s"),
        ],
        no_value="no attempts in the last hour",
        sort_by="position",
        descending=False,
    )
