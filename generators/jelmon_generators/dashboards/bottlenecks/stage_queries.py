"""Queries that several panels of the dashboard ``bottlenecks`` use."""

from jelmon.catalogue import (
    STAGE_IN_PROGRESS,
    STAGE_OLDEST_WAITING,
    STAGE_QUEUE_DEPTH,
    STAGE_WORKERS,
)
from jelmon_generators.dashboards import queries

UTILIZATION = queries.ratio(
    queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE, over="avg"),
    queries.gauge(STAGE_WORKERS, by=queries.BY_STAGE, how="max"),
)

QUEUE_DEPTH = queries.gauge(STAGE_QUEUE_DEPTH, by=queries.BY_STAGE)

LONGEST_WAIT = queries.age(STAGE_OLDEST_WAITING, by=queries.BY_STAGE, how="min")
