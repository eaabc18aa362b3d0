"""Workers on the dashboard ``bottlenecks``: who is busy, and who is blocked."""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_HELD_UP,
    STAGE_OLDEST_RUNNING,
    STAGE_QUEUE_CAPACITY,
    STAGE_RUN_TIME,
    STAGE_RUNS_FINISHED,
    STAGE_RUNS_STARTED,
    STAGE_TIME_LIMIT,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.bottlenecks.stage_queries import QUEUE_DEPTH, UTILIZATION
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DASHED,
    GONE,
    GREY,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    WARNING,
    fixed,
    override_pattern,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.model.dashboards import BottlenecksPanel

_TIME_LIMIT = 1800.0  # seconds, without the alert


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the rows of the workers."""
    return [
        Heading(101, "Utilization"),
        Line(8, [_utilization(), _throughput(), _run_time()]),
        Line(8, [_blocked(), _queue_utilization(), _expected_wait(), _oldest_running(limits)]),
    ]


def busiest_stage() -> core.Panel:
    return stat(
        BottlenecksPanel.BUSIEST_STAGE,
        "The stage with the highest share of its declared workers busy. Near 100 % it has no spare capacity.",
        [(STAGE_LEGEND, f"topk(1, {UTILIZATION})")],
        unit="percentunit",
        decimals=0,
        levels=steps(GREY, (0, OK), (0.8, WARNING), (0.95, CRITICAL)),
        no_value="no workers declared",
        named=True,
        links=[ONLY_STAGE],
    )


def blocked_cards() -> core.Panel:
    return stat(
        BottlenecksPanel.BLOCKED_CARDS,
        "Cards finished in their stage that cannot move on because the next stage has no room. The cause is in the "
        "next stage.",
        [("cards", queries.gauge(STAGE_HELD_UP))],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, OK), (1, WARNING)),
        no_value=GONE,
    )


def _utilization() -> core.Panel:
    return graph(
        BottlenecksPanel.UTILIZATION,
        "Running attempts as a share of the declared workers. Above 80 % (dashed) waiting times rise sharply.",
        [(STAGE_LEGEND, UTILIZATION)],
        unit="percentunit",
        no_value="no workers declared",
        levels=steps("transparent", (0.8, "orange")),
        links=[ONLY_STAGE],
    )


def _throughput() -> core.Panel:
    return graph(
        BottlenecksPanel.THROUGHPUT,
        f"Attempts finished per hour, over {queries.WINDOW}. The slowest stage limits the pipeline.",
        [(STAGE_LEGEND, queries.per_hour(STAGE_RUNS_FINISHED, by=queries.BY_STAGE))],
        unit="short",
        axis=f"attempts per hour, over {queries.WINDOW}",
        links=[ONLY_STAGE],
    )


def _run_time() -> core.Panel:
    return graph(
        BottlenecksPanel.RUN_TIME,
        f"95th percentile of run time over {queries.WINDOW}. Dashed: the time limit that the stage declares.",
        [
            (STAGE_LEGEND, queries.quantile(0.95, STAGE_RUN_TIME, by=queries.BY_STAGE)),
            (f"{STAGE_LEGEND} limit", queries.gauge(STAGE_TIME_LIMIT, by=queries.BY_STAGE, how="max")),
        ],
        unit="s",
        no_value="no attempts in this time range",
        overrides=[
            override_pattern(
                ".* limit",
                color=fixed("orange"),
                **DASHED,
            )
        ],
        links=[ONLY_STAGE],
    )


def _blocked() -> core.Panel:
    return graph(
        BottlenecksPanel.BLOCKED,
        "Cards finished in the stage that cannot move on because the next stage has no room. The cause is downstream.",
        [(STAGE_LEGEND, queries.gauge(STAGE_HELD_UP, by=queries.BY_STAGE))],
        unit="locale",
        axis="cards",
        links=[ONLY_STAGE],
    )


def _queue_utilization() -> core.Panel:
    return graph(
        BottlenecksPanel.QUEUE_UTILIZATION,
        "Waiting cards as a share of the declared queue capacity. At 100 % the previous stage is blocked.",
        [
            (
                STAGE_LEGEND,
                queries.ratio(QUEUE_DEPTH, queries.gauge(STAGE_QUEUE_CAPACITY, by=queries.BY_STAGE, how="max")),
            )
        ],
        unit="percentunit",
        no_value="no capacity declared",
        levels=steps("transparent", (1, "orange")),
        links=[ONLY_STAGE],
    )


def _expected_wait() -> core.Panel:
    started = queries.increase(STAGE_RUNS_STARTED, queries.WINDOW, by=queries.BY_STAGE)
    return graph(
        BottlenecksPanel.EXPECTED_WAIT,
        f"Waiting cards divided by the pace at which the stage started them over {queries.WINDOW}. No line: it started "
        "none.",
        [
            (
                STAGE_LEGEND,
                f"{queries.duration_seconds(queries.WINDOW)} * {queries.ratio(QUEUE_DEPTH, started)}",
            )
        ],
        unit="s",
        no_value="no cards started in this time range",
        links=[ONLY_STAGE],
    )


def _oldest_running(limits: Limits) -> core.Panel:
    declared = queries.gauge(STAGE_TIME_LIMIT, by=queries.BY_STAGE, how="max")
    known = queries.gauge(STAGE_OLDEST_RUNNING, by=queries.BY_STAGE, how="max")
    limit = f"({declared} or 0 * {known} + {limits.get('stage_timeout', _TIME_LIMIT):g})"
    return graph(
        BottlenecksPanel.OLDEST_RUNNING,
        "How long the oldest running attempt has been running, as a share of the limit that the stage declares "
        f"({limits.minutes('stage_timeout')} otherwise). A straight upward line means that it hangs; from 100 % "
        "(dashed) the alert StageTimeout fires.",
        [(STAGE_LEGEND, f"({queries.age(STAGE_OLDEST_RUNNING, by=queries.BY_STAGE, how='min')}) / {limit}")],
        unit="percentunit",
        no_value="no running attempts",
        levels=steps("transparent", (1, "orange")),
        links=[ONLY_STAGE],
    )
