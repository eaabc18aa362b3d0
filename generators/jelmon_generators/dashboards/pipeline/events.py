"""Events on the dashboard ``pipeline``: whether the data is complete and current."""

from grafanalib import core

from jelmon.catalogue import (
    CONSUMER_LAG,
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    EVENTS_LATE,
    EVENTS_LOST,
    EVENTS_PARKED,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    GREY,
    TEXT,
    WARNING,
    colours,
    fixed,
    override,
    override_pattern,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the events."""
    return [
        Heading(105, "Data completeness"),
        Line(7, [_events(), _not_counted(), _lag(limits)]),
    ]


def _events() -> core.Panel:
    return graph(
        PipelinePanel.EVENTS,
        "Events counted by the exporter, by type.",
        [("{{type}}", queries.rate(EVENTS_APPLIED, by=("type",)))],
        unit="ops",
        bars=True,
    )


def _not_counted() -> core.Panel:
    return graph(
        PipelinePanel.EVENTS_NOT_COUNTED,
        "parked: unreadable, kept in the dead-letter stream. lost: removed from the stream before they were counted, "
        "so totals are too low. duplicate: already counted, ignored. late: counted, but the card had already moved on.",
        [
            ("parked: {{reason}}", queries.rate(EVENTS_PARKED, by=("reason",))),
            ("lost", queries.rate(EVENTS_LOST)),
            ("duplicate", queries.rate(EVENTS_DUPLICATE)),
            ("late", queries.rate(EVENTS_LATE)),
        ],
        unit="ops",
        overrides=[
            *colours({"lost": "dark-red", "duplicate": GREY, "late": WARNING}),
            override_pattern("parked: .*", custom__fillOpacity=20),
        ],
    )


def _lag(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.CONSUMER_LAG,
        "Events in the stream that have not been counted yet. While it is above 0, this page shows the past. "
        f"Alert threshold: {limits.number('consumer_lag_high')}.",
        [("lag", queries.gauge(CONSUMER_LAG))],
        unit="short",
        axis="events",
        overrides=[override("lag", color=fixed(TEXT))],
    )
