"""The dashboard ``bottlenecks``: where cards wait and who is busy (from the exporter's metrics).

The exporter's part works without any analyzer; what the analyzer adds is in `verdicts`.
"""

from grafanalib import core

from jelmon.catalogue import (
    STAGE_HELD_UP,
    STAGE_IN_PROGRESS,
    STAGE_OLDEST_RUNNING,
    STAGE_OLDEST_WAITING,
    STAGE_QUEUE_CAPACITY,
    STAGE_QUEUE_DEPTH,
    STAGE_QUEUE_TIME,
    STAGE_RUN_TIME,
    STAGE_RUNS_FINISHED,
    STAGE_RUNS_STARTED,
    STAGE_TIME_LIMIT,
    STAGE_WORKERS,
)
from jelmon_generators.dashboards import advice, queries, verdicts
from jelmon_generators.dashboards.board import Heading, Line, write
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GONE,
    GREY,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WAIT,
    WARNING,
    colours,
    fixed,
    link,
    override_pattern,
    steps,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, stacked_bars, table, tile
from jelmon_generators.dashboards.vital_signs import vital_signs

_HOUR = "1h"

_UTILISATION = queries.ratio(
    queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE, over="avg"),
    queries.gauge(STAGE_WORKERS, by=queries.BY_STAGE, how="max"),
)
_QUEUE_DEPTH = queries.gauge(STAGE_QUEUE_DEPTH, by=queries.BY_STAGE)
_WAITED = queries.age(STAGE_OLDEST_WAITING, by=queries.BY_STAGE, how="min")


def render(limits: Limits) -> tuple[str, str]:
    return write(
        name="bottlenecks",
        title="Jelmore / Bottlenecks",
        description="Where do cards wait, who is busy, which stage limits the pipeline, what would a faster one gain?",
        rows=[
            vital_signs(limits),
            Line(
                4,
                [
                    _longest_queue(),
                    _longest_wait(),
                    _busiest(),
                    _held_up_tile(),
                    verdicts.overall(limits),
                    verdicts.limiting(),
                ],
            ),
            Heading(100, "Where cards wait"),
            Line(9, [_queue_depth(), _queue_time(), _oldest_waiting()]),
            Line(9, [_stages(), _where_time_goes()], (15, 9)),
            Heading(101, "Who is busy"),
            Line(8, [_utilisation(), _throughput(), _run_time()]),
            Line(8, [_held_up(), _queue_fill(), _time_to_drain(), _oldest_running(limits)]),
            *verdicts.rows(limits),
            *advice.rows(limits),
        ],
    )


# --- the second line of tiles ---


def _longest_queue() -> core.Panel:
    return tile(
        8,
        "Longest queue",
        "The stage for which most cards wait now, and their number.",
        [("{{stage}}", f"topk(1, {_QUEUE_DEPTH})")],
        unit="short",
        levels=steps(GREY, (0, TEXT)),
        no_value=GONE,
        named=True,
        links=[ONLY_STAGE],
    )


def _longest_wait() -> core.Panel:
    return tile(
        9,
        "Longest wait",
        "The stage for which a card has waited longest, and how long.",
        [("{{stage}}", f"topk(1, {_WAITED})")],
        unit="s",
        decimals=0,
        levels=steps(GREY, (0, WAIT)),
        no_value="no card waits",
        named=True,
        links=[ONLY_STAGE],
    )


def _busiest() -> core.Panel:
    return tile(
        10,
        "Busiest stage",
        "The stage with the largest share of its declared workers at work. Near 100 % it cannot take more.",
        [("{{stage}}", f"topk(1, {_UTILISATION})")],
        unit="percentunit",
        decimals=0,
        levels=steps(GREY, (0, OK), (0.8, WARNING), (0.95, CRITICAL)),
        no_value="no workers declared",
        named=True,
        links=[ONLY_STAGE],
    )


def _held_up_tile() -> core.Panel:
    return tile(
        11,
        "Held up",
        "Cards that are finished in their stage and that the next stage has no room for. Look at the stage after it.",
        [("cards", queries.gauge(STAGE_HELD_UP))],
        unit="short",
        decimals=0,
        levels=steps(GREY, (0, OK), (1, WARNING)),
        no_value=GONE,
    )


# --- where cards wait ---


def _queue_depth() -> core.Panel:
    return graph(
        20,
        "Queue depth",
        "Cards that wait for the stage.",
        [(STAGE_LEGEND, _QUEUE_DEPTH)],
        unit="short",
        axis="cards",
        links=[ONLY_STAGE],
    )


def _queue_time() -> core.Panel:
    return graph(
        21,
        "Queue time, p95",
        "95 % of the cards waited no longer for the stage. Counted when they start: a card that waits still is in "
        '"longest wait".',
        [(STAGE_LEGEND, queries.quantile(0.95, STAGE_QUEUE_TIME, by=queries.BY_STAGE))],
        unit="s",
        no_value="no card started in this time",
        links=[ONLY_STAGE],
    )


def _oldest_waiting() -> core.Panel:
    return graph(
        22,
        "Longest wait",
        "How long the card has waited that has waited longest for the stage. A straight climb: nothing is taken from "
        "the queue.",
        [(STAGE_LEGEND, _WAITED)],
        unit="s",
        no_value="no card waits",
        links=[ONLY_STAGE],
    )


def _stages() -> core.Panel:
    waited = queries.total_time(STAGE_QUEUE_TIME, by=queries.BY_STAGE, window=_HOUR)
    ran = queries.total_time(STAGE_RUN_TIME, by=queries.BY_STAGE, window=_HOUR)
    here = link("Only this stage", "/d/jelmore-bottlenecks?${__url_time_range}&var-stage=${__data.fields.stage}")
    return table(
        23,
        "Stages at a glance",
        "Now: waiting, longest wait, running, held up, busy (share of the declared workers). Last hour: share of the "
        "time in the stage that cards spent waiting, and the times that 95 % of cards stay below.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage", links=[here]),
            Column(name="waiting", query=_QUEUE_DEPTH),
            Column(name="longest", query=_WAITED, unit="s"),
            Column(name="running", query=queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE)),
            Column(
                name="held up",
                query=queries.gauge(STAGE_HELD_UP, by=queries.BY_STAGE),
                levels=steps(TEXT, (1, WARNING)),
            ),
            Column(
                name="busy",
                query=_UTILISATION,
                unit="percentunit",
                levels=steps(TEXT, (0.8, WARNING), (0.95, CRITICAL)),
            ),
            Column(
                name="waits",
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
        sort_by="waits",
    )


def _where_time_goes() -> core.Panel:
    return stacked_bars(
        24,
        "Where a card's time goes",
        "Mean wait and mean run of the last hour, by stage. The longest bar is where a card spends its time; the "
        "orange part of it is the time that nobody works.",
        [
            ("", queries.mean(STAGE_QUEUE_TIME, by=queries.BY_STAGE, window=_HOUR)),
            ("", queries.mean(STAGE_RUN_TIME, by=queries.BY_STAGE, window=_HOUR)),
        ],
        row="stage",
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "pipeline": True},
                    "indexByName": {"stage": 0, "Value #A": 1, "Value #B": 2},
                    "renameByName": {"Value #A": "waits", "Value #B": "runs"},
                },
            },
        ],
        unit="s",
        no_value="no cards in the last hour",
        overrides=colours({"waits": WAIT, "runs": DURATION}),
    )


# --- who is busy ---


def _utilisation() -> core.Panel:
    return graph(
        30,
        "Busy workers",
        "Attempts that run, as a share of the workers that the stage declares. Above 80 % (dashed) waits grow fast.",
        [(STAGE_LEGEND, _UTILISATION)],
        unit="percentunit",
        no_value="no workers declared",
        levels=steps("transparent", (0.8, "orange")),
        links=[ONLY_STAGE],
    )


def _throughput() -> core.Panel:
    return graph(
        31,
        "Throughput",
        "Attempts that ended, at the pace of attempts per hour. The pipeline is no faster than its slowest stage.",
        [(STAGE_LEGEND, queries.per_hour(STAGE_RUNS_FINISHED, by=queries.BY_STAGE))],
        unit="short",
        axis="attempts per hour",
        links=[ONLY_STAGE],
    )


def _run_time() -> core.Panel:
    return graph(
        32,
        "Run time, p95, and its limit",
        "95 % of the attempts ran no longer. Dashed: the longest run that the stage declares.",
        [
            (STAGE_LEGEND, queries.quantile(0.95, STAGE_RUN_TIME, by=queries.BY_STAGE)),
            (f"{STAGE_LEGEND} limit", queries.gauge(STAGE_TIME_LIMIT, by=queries.BY_STAGE, how="max")),
        ],
        unit="s",
        no_value="no attempts in this time",
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


def _held_up() -> core.Panel:
    return graph(
        33,
        "Held up by the next stage",
        "Cards finished in the stage that the next one has no room for: the trouble is further on.",
        [(STAGE_LEGEND, queries.gauge(STAGE_HELD_UP, by=queries.BY_STAGE))],
        unit="short",
        axis="cards",
        links=[ONLY_STAGE],
    )


def _queue_fill() -> core.Panel:
    return graph(
        34,
        "Room in the queue",
        "Cards that wait, as a share of what the stage declares as its queue's capacity. At 100 % the stage before is "
        "held up.",
        [
            (
                STAGE_LEGEND,
                queries.ratio(_QUEUE_DEPTH, queries.gauge(STAGE_QUEUE_CAPACITY, by=queries.BY_STAGE, how="max")),
            )
        ],
        unit="percentunit",
        no_value="no capacity declared",
        levels=steps("transparent", (1, "orange")),
        links=[ONLY_STAGE],
    )


def _time_to_drain() -> core.Panel:
    return graph(
        35,
        "Time to serve the queue",
        "Cards that wait, divided by the rate at which the stage takes them: what a card that comes now has to wait. "
        "No line: the stage takes none.",
        [(STAGE_LEGEND, queries.ratio(_QUEUE_DEPTH, queries.rate(STAGE_RUNS_STARTED, by=queries.BY_STAGE)))],
        unit="s",
        no_value="no card started in this time",
        links=[ONLY_STAGE],
    )


def _oldest_running(limits: Limits) -> core.Panel:
    return graph(
        36,
        "Longest run",
        "How long the attempt has run that has run longest. A straight climb: it hangs. Dashed: where an alert fires, "
        "unless the stage declares a limit of its own.",
        [(STAGE_LEGEND, queries.age(STAGE_OLDEST_RUNNING, by=queries.BY_STAGE, how="min"))],
        unit="s",
        no_value="nothing runs",
        levels=limits.lines(stage_timeout="orange"),
        links=[ONLY_STAGE],
    )
