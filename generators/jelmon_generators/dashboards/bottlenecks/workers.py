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
        [("{{stage}}", f"topk(1, {UTILIZATION})")],
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
        unit="short",
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
        "Attempts finished per hour. The slowest stage limits the pipeline.",
        [(STAGE_LEGEND, queries.per_hour(STAGE_RUNS_FINISHED, by=queries.BY_STAGE))],
        unit="short",
        axis="attempts per hour",
        links=[ONLY_STAGE],
    )


def _run_time() -> core.Panel:
    return graph(
        BottlenecksPanel.RUN_TIME,
        "95th percentile of run time. Dashed: the time limit that the stage declares.",
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
                custom__lineStyle={"fill": "dash", "dash": [10, 10]},
                custom__fillOpacity=0,
            )
        ],
        links=[ONLY_STAGE],
    )


def _blocked() -> core.Panel:
    return graph(
        BottlenecksPanel.BLOCKED,
        "Cards finished in the stage that cannot move on because the next stage has no room. The cause is downstream.",
        [(STAGE_LEGEND, queries.gauge(STAGE_HELD_UP, by=queries.BY_STAGE))],
        unit="short",
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
    return graph(
        BottlenecksPanel.EXPECTED_WAIT,
        "Waiting cards divided by the rate at which the stage starts them. No line: the stage starts none.",
        [(STAGE_LEGEND, queries.ratio(QUEUE_DEPTH, queries.rate(STAGE_RUNS_STARTED, by=queries.BY_STAGE)))],
        unit="s",
        no_value="no cards started in this time range",
        links=[ONLY_STAGE],
    )


def _oldest_running(limits: Limits) -> core.Panel:
    return graph(
        BottlenecksPanel.OLDEST_RUNNING,
        "How long the oldest running attempt has been running. A straight upward line means that it hangs. Dashed: "
        "alert threshold for stages that declare no limit of their own.",
        [(STAGE_LEGEND, queries.age(STAGE_OLDEST_RUNNING, by=queries.BY_STAGE, how="min"))],
        unit="s",
        no_value="no running attempts",
        levels=limits.lines(stage_timeout="orange"),
        links=[ONLY_STAGE],
    )
