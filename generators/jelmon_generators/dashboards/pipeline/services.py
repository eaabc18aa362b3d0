"""Services and sessions on the dashboard ``pipeline``."""

from grafanalib import core

from jelmon.catalogue import (
    CALL_ERRORS,
    CALL_TIME,
    CALLS_FINISHED,
    SESSIONS_ACTIVE,
    TARGET_UP,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    OK,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph, timeline
from jelmon_generators.model.dashboards import PipelinePanel


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the services and sessions."""
    return [
        Heading(103, "Services and sessions", collapsed=True),
        Line(7, [_services(), _call_failures(limits), _call_errors()]),
        Line(7, [_call_time(), _sessions()]),
    ]


def _services() -> core.Panel:
    return timeline(
        PipelinePanel.SERVICES,
        "Result of the latest probe of each target.",
        [("{{target}}", queries.gauge(TARGET_UP, by=("target",), how="max"))],
        words={"0": ("down", CRITICAL), "1": ("up", OK)},
        no_value="no targets probed",
    )


def _call_failures(limits: Limits) -> core.Panel:
    window = limits.window("target_error_rate_high", "5m")
    return graph(
        PipelinePanel.CALL_FAILURES,
        f"Share of the calls to each service that failed, over {window}. Dashed: alert threshold.",
        [
            (
                "{{target}}",
                queries.ratio(
                    queries.increase(CALLS_FINISHED, window, by=("target",), outcome=queries.BAD_OUTCOMES),
                    queries.increase(CALLS_FINISHED, window, by=("target",)),
                ),
            )
        ],
        unit="percentunit",
        no_value="no calls in this time range",
        levels=limits.lines(target_error_rate_high="orange"),
    )


def _call_time() -> core.Panel:
    return graph(
        PipelinePanel.CALL_TIME,
        f"95th percentile of the duration of calls to each service, over {queries.WINDOW}.",
        [("{{target}}", queries.quantile(0.95, CALL_TIME, by=("target",)))],
        unit="s",
        no_value="no calls in this time range",
    )


def _call_errors() -> core.Panel:
    return graph(
        PipelinePanel.CALL_ERRORS,
        "Failed calls per second, by error class.",
        [("{{target}}: {{reason}}", queries.rate(CALL_ERRORS, by=("target", "reason")))],
        unit="ops",
        no_value="no errors reported",
        bars=True,
    )


def _sessions() -> core.Panel:
    return graph(
        PipelinePanel.SESSIONS,
        "Sessions that have started and not finished, by kind.",
        [("{{kind}}", queries.gauge(SESSIONS_ACTIVE, by=("kind",)))],
        unit="short",
        no_value="no sessions reported",
        axis="sessions",
    )
