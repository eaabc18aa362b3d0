"""Queries on whether each pipeline moves, in the terms of the alert ``PipelineStalled``."""

from jelmon.catalogue import CARDS_IN_PROGRESS, CARDS_WAITING, LAST_ACTIVITY, STALL_LIMIT
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.limits import Limits

_PIPELINE = ("pipeline",)
_ALERT = "pipeline_stalled"
_LIMIT_SECONDS = 600.0  # without the alert


def age() -> str:
    """Return the seconds since each pipeline's last activity."""
    return queries.age(LAST_ACTIVITY, by=_PIPELINE)


def limit(limits: Limits) -> str:
    """Return each pipeline's own limit in seconds, or else the alert's."""
    declared = queries.gauge(STALL_LIMIT, by=_PIPELINE, how="max")
    known = queries.gauge(LAST_ACTIVITY, by=_PIPELINE, how="max")
    return f"({declared} or 0 * {known} + {limits.get(_ALERT, _LIMIT_SECONDS):g})"


def inactivity_share(limits: Limits) -> str:
    """Return each pipeline's time without activity as a share of its limit."""
    return f"({age()}) / {limit(limits)}"


def in_flight() -> str:
    """Return the cards of each pipeline that are in progress or wait."""
    running = queries.gauge(CARDS_IN_PROGRESS, by=_PIPELINE)
    return f"({running} + {queries.gauge(CARDS_WAITING, by=_PIPELINE)})"
