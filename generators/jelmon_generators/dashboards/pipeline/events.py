"""Events on the dashboard ``pipeline``: whether the data is complete and current."""

from grafanalib import core

from jelmon.catalogue import (
    CONSUMER_LAG,
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    EVENTS_LATE,
    EVENTS_LOST,
    EVENTS_PARKED,
    LAST_EVENT,
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
        Heading(105, "Data completeness", collapsed=True),
        Line(7, [_events(), _not_counted(limits), _lag(limits), _last_event(limits)]),
    ]


def _events() -> core.Panel:
    return graph(
        PipelinePanel.EVENTS,
        "Events counted by the exporter, by type.",
        [("{{type}}", queries.rate(EVENTS_APPLIED, by=("type",)))],
        unit="ops",
        bars=True,
    )


def _not_counted(limits: Limits) -> core.Panel:
    parked = limits.window("dead_letters_parked", "15m")
    lost = limits.window("events_lost", "1h")
    return graph(
        PipelinePanel.EVENTS_NOT_COUNTED,
        f"Counts, over the windows of their alerts. parked ({parked}): unreadable, kept in the dead-letter stream. "
        f"lost ({lost}): removed from the stream before they were counted, so totals are too low. duplicate "
        f"({queries.WINDOW}): already counted, ignored. late ({queries.WINDOW}): counted, but the card had already "
        "moved on. An alert fires above 0 parked or lost events.",
        [
            ("parked: {{reason}}", queries.count(EVENTS_PARKED, parked, by=("reason",))),
            ("lost", queries.count(EVENTS_LOST, lost)),
            ("duplicate", queries.count(EVENTS_DUPLICATE, queries.WINDOW)),
            ("late", queries.count(EVENTS_LATE, queries.WINDOW)),
        ],
        unit="locale",
        axis="events",
        overrides=[
            *colours({"lost": "dark-red", "duplicate": GREY, "late": WARNING}),
            override_pattern("parked: .*", custom__fillOpacity=20),
        ],
    )


def _lag(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.CONSUMER_LAG,
        "Events in the stream that have not been counted yet. While it is above 0, this page shows the past. "
        f"Alert threshold (dashed): {limits.number('consumer_lag_high')}.",
        [("lag", queries.gauge(CONSUMER_LAG))],
        unit="locale",
        axis="events",
        levels=limits.lines(consumer_lag_high="orange"),
        overrides=[override("lag", color=fixed(TEXT))],
    )


def _last_event(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.LAST_EVENT,
        "Time since the last event from any source. Dashed: alert threshold.",
        [("last event", queries.age(LAST_EVENT))],
        unit="s",
        no_value="no events yet",
        levels=limits.lines(event_input_absent="orange"),
    )
