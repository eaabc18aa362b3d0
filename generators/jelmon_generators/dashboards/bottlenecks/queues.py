"""Queues on the dashboard ``bottlenecks``: where cards wait, and for how long."""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_HELD_UP,
    STAGE_IN_PROGRESS,
    STAGE_QUEUE_TIME,
    STAGE_RUN_TIME,
    Histogram,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.bottlenecks.stage_queries import LONGEST_WAIT, QUEUE_DEPTH, UTILIZATION
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GONE,
    GREY,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WAIT,
    WARNING,
    colours,
    stage_of_row,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.charts import stacked_bars
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_HOUR = "1h"


def rows() -> list[Heading | Line]:
    """Return the rows of the queues."""
    return [
        Heading(100, "Where cards wait"),
        Line(9, [_queue_depth(), _queue_time(), _oldest_waiting()]),
        Line(9, [_stages(), _time_per_card()], (17, 7)),
    ]


def longest_queue() -> core.Panel:
    return stat(
        BottlenecksPanel.LONGEST_QUEUE,
        "The stage with the most waiting cards, and their number.",
        [(STAGE_LEGEND, f"topk(1, {QUEUE_DEPTH})")],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, TEXT)),
        no_value=GONE,
        named=True,
        links=[ONLY_STAGE],
    )


def longest_wait() -> core.Panel:
    return stat(
        BottlenecksPanel.LONGEST_WAIT,
        "The stage with the oldest waiting card, and how long it has waited.",
        [(STAGE_LEGEND, f"topk(1, {LONGEST_WAIT})")],
        unit="s",
        decimals=0,
        levels=steps(GREY, (0, WAIT)),
        no_value="no waiting cards",
        named=True,
        links=[ONLY_STAGE],
    )


def _queue_depth() -> core.Panel:
    return graph(
        BottlenecksPanel.QUEUE_DEPTH,
        "Cards waiting for each stage.",
        [(STAGE_LEGEND, QUEUE_DEPTH)],
        unit="locale",
        axis="cards",
        links=[ONLY_STAGE],
    )


def _queue_time() -> core.Panel:
    return graph(
        BottlenecksPanel.QUEUE_TIME,
        f"95th percentile over {queries.WINDOW} of the time cards waited before they started. Cards that are still "
        'waiting are not included; see "Longest wait by stage".',
        [(STAGE_LEGEND, queries.quantile(0.95, STAGE_QUEUE_TIME, by=queries.BY_STAGE))],
        unit="s",
        no_value="no cards started in this time range",
        links=[ONLY_STAGE],
    )


def _oldest_waiting() -> core.Panel:
    return graph(
        BottlenecksPanel.OLDEST_WAITING,
        "How long the oldest card in each queue has been waiting. A straight upward line means that the queue is not "
        "being served.",
        [(STAGE_LEGEND, LONGEST_WAIT)],
        unit="s",
        no_value="no waiting cards",
        links=[ONLY_STAGE],
    )


def _stages() -> core.Panel:
    waited = queries.total_time(STAGE_QUEUE_TIME, by=queries.BY_STAGE, window=_HOUR)
    ran = queries.total_time(STAGE_RUN_TIME, by=queries.BY_STAGE, window=_HOUR)
    here = stage_of_row("bottlenecks", "Show only this stage")
    return table(
        BottlenecksPanel.STAGES,
        "Now: waiting cards, oldest wait, running attempts, blocked cards, worker utilization. Last hour: share of "
        "time in the stage spent waiting, and 95th percentiles of queue and run time.",
        [
            Column(name="pipeline", label="pipeline", width=80),
            Column(name="stage", label="stage", links=[here], width=95),
            Column(name="waiting", query=QUEUE_DEPTH, unit="locale"),
            Column(name="oldest wait", query=LONGEST_WAIT, unit="s"),
            Column(name="running", query=queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE), unit="locale"),
            Column(
                name="blocked",
                query=queries.gauge(STAGE_HELD_UP, by=queries.BY_STAGE),
                unit="locale",
                levels=steps(TEXT, (1, WARNING)),
            ),
            Column(
                name="utilization",
                query=UTILIZATION,
                unit="percentunit",
                levels=steps(TEXT, (0.8, WARNING), (0.95, CRITICAL)),
            ),
            Column(
                name="wait share",
                query=queries.ratio(waited, f"({waited} + {ran})"),
                unit="percentunit",
                levels=steps(TEXT, (0.5, WARNING), (0.8, CRITICAL)),
            ),
            Column(
                name="queue p95",
                query=queries.quantile(0.95, STAGE_QUEUE_TIME, by=queries.BY_STAGE, window=_HOUR),
                unit="s",
            ),
            Column(
                name="run p95",
                query=queries.quantile(0.95, STAGE_RUN_TIME, by=queries.BY_STAGE, window=_HOUR),
                unit="s",
            ),
        ],
        no_value=GONE,
        sort_by="wait share",
    )


def _time_per_card() -> core.Panel:
    def named(histogram: Histogram) -> str:
        return queries.named(queries.mean(histogram, by=queries.BY_STAGE, window=_HOUR))

    return stacked_bars(
        BottlenecksPanel.TIME_PER_CARD,
        "Mean queue time and run time over the last hour. The longest bar shows where cards spend most time; the "
        "orange part is waiting.",
        [("", named(STAGE_QUEUE_TIME)), ("", named(STAGE_RUN_TIME))],
        row="name",
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "pipeline": True, "stage": True},
                    "indexByName": {"name": 0, "Value #A": 1, "Value #B": 2},
                    "renameByName": {"Value #A": "queue time", "Value #B": "run time"},
                },
            },
        ],
        unit="s",
        no_value="no cards in the last hour",
        overrides=colours({"queue time": WAIT, "run time": DURATION}),
    )
