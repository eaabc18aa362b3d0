"""Stages on the dashboard ``pipeline``: queues, running attempts, times, retries."""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_IN_PROGRESS,
    STAGE_OLDEST_WAITING,
    STAGE_QUEUE_DEPTH,
    STAGE_QUEUE_TIME,
    STAGE_RETRIES,
    STAGE_RUN_TIME,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    STAGE_LEGEND,
    go_to,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel

_TO_STAGE = go_to(
    "bottlenecks",
    "Is ${__field.labels.stage} the bottleneck?",
    pipeline="${__field.labels.pipeline}",
    stage="${__field.labels.stage}",
)

_NO_CARDS = "no cards in this time range"


def rows() -> list[Heading | Line]:
    """Return the rows of the stages."""
    return [
        Heading(101, "Stages"),
        Line(8, [_queue_depth(), _oldest_waiting(), _running()]),
        Line(9, [_queue_time(), _run_time(), _retries()], (9, 9, 6)),
    ]


def _queue_depth() -> core.Panel:
    return graph(
        PipelinePanel.QUEUE_DEPTH,
        "Cards waiting for each stage. A queue that keeps growing points to a bottleneck.",
        [(STAGE_LEGEND, queries.gauge(STAGE_QUEUE_DEPTH, by=queries.BY_STAGE))],
        unit="locale",
        axis="cards",
        links=[_TO_STAGE],
    )


def _oldest_waiting() -> core.Panel:
    return graph(
        PipelinePanel.OLDEST_WAITING,
        "How long the oldest card in each queue has been waiting. No line: the queue is empty.",
        [(STAGE_LEGEND, queries.age(STAGE_OLDEST_WAITING, by=queries.BY_STAGE, how="min"))],
        unit="s",
        no_value="no waiting cards",
        links=[_TO_STAGE],
    )


def _running() -> core.Panel:
    return graph(
        PipelinePanel.RUNNING,
        "Attempts currently running in each stage.",
        [(STAGE_LEGEND, queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE))],
        unit="locale",
        axis="attempts",
        links=[_TO_STAGE],
    )


def _queue_time() -> core.Panel:
    return graph(
        PipelinePanel.QUEUE_TIME,
        f"95th percentile over {queries.WINDOW} of the time from queued to started. Compare it with the run "
        "time: a stage whose cards wait longer than they run needs more workers, not faster ones.",
        [(STAGE_LEGEND, queries.quantile(0.95, STAGE_QUEUE_TIME, by=queries.BY_STAGE))],
        unit="s",
        no_value=_NO_CARDS,
        links=[_TO_STAGE],
    )


def _run_time() -> core.Panel:
    return graph(
        PipelinePanel.RUN_TIME,
        f"95th percentile over {queries.WINDOW} of the time from started to finished, per attempt.",
        [(STAGE_LEGEND, queries.quantile(0.95, STAGE_RUN_TIME, by=queries.BY_STAGE))],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        links=[_TO_STAGE],
    )


def _retries() -> core.Panel:
    return graph(
        PipelinePanel.RETRIES,
        f"Retries in {queries.WINDOW}.",
        [(STAGE_LEGEND, queries.count(STAGE_RETRIES, queries.WINDOW, by=queries.BY_STAGE))],
        unit="locale",
        axis=f"retries in {queries.WINDOW}",
        links=[_TO_STAGE],
    )
