"""The dashboard ``pipeline``: is it moving, how fast, how long do cards take, who was alarmed, is the host well."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARD_TARGET,
    CARD_WAIT,
    CARDS_FINISHED,
    CARDS_IN_PROGRESS,
    CARDS_QUEUED,
    CARDS_STARTED,
    CARDS_WAITING,
    STAGE_IN_PROGRESS,
    STAGE_OLDEST_WAITING,
    STAGE_QUEUE_DEPTH,
    STAGE_QUEUE_TIME,
    STAGE_RETRIES,
    STAGE_RUN_TIME,
)
from jelmon_generators.dashboards import health, queries, slower, system
from jelmon_generators.dashboards.board import Heading, Line, write
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GREY,
    NO_RULES,
    RATE,
    STAGE_LEGEND,
    WAIT,
    WARNING,
    colours,
    colours_of,
    faint,
    fixed,
    go_to,
    override_pattern,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, table, timeline
from jelmon_generators.dashboards.vital_signs import vital_signs

_TO_STAGE = go_to("jelmore-bottlenecks", "Is ${__field.labels.stage} the bottleneck?", stage="${__field.labels.stage}")
_NO_CARDS = "no cards in this time"


def render(limits: Limits) -> tuple[str, str]:
    return write(
        name="pipeline",
        title="Jelmore / Pipeline",
        description="Is the pipeline moving, how fast, how long do cards take, who was alarmed, is the host well?",
        rows=[
            vital_signs(limits),
            *health.rows(),
            *slower.rows(limits),
            Heading(100, "Cards"),
            Line(8, [_velocity(), _outcomes(), _in_progress()]),
            Line(8, [_processing_time(), _wait()]),
            Heading(101, "Stages"),
            Line(8, [_queue_depth(), _oldest_waiting(), _running()]),
            Line(9, [_queue_time(), _run_time(), _retries()], (9, 9, 6)),
            Heading(102, "Alerts"),
            Line(9, [_alerts_over_time(), _alerts_now()], (14, 10)),
            *system.rows(limits),
        ],
    )


# --- cards ---


def _velocity() -> core.Panel:
    return graph(
        10,
        "Velocity",
        "Cards that arrived, were begun and left, at the pace of cards per hour. Arrivals above finishes: the backlog "
        "grows.",
        [
            ("arrived", queries.per_hour(CARDS_QUEUED)),
            ("started", queries.per_hour(CARDS_STARTED)),
            ("finished", queries.per_hour(CARDS_FINISHED)),
        ],
        unit="short",
        axis="cards per hour",
        overrides=colours({"arrived": WAIT, "started": DURATION, "finished": RATE}),
    )


def _outcomes() -> core.Panel:
    return graph(
        11,
        "Finished cards by outcome",
        "How the cards ended that left, at the pace of cards per hour. failure: the work failed; error: the "
        "system did.",
        [("{{outcome}}", queries.per_hour(CARDS_FINISHED, by=("outcome",)))],
        unit="short",
        axis="cards per hour",
        bars=True,
        overrides=colours_of(CARDS_FINISHED, "outcome"),
        links=[go_to("jelmore-quality", "What fails?")],
    )


def _in_progress() -> core.Panel:
    return graph(
        12,
        "In progress and waiting",
        "Cards on which work has begun, and cards that wait for it. Progress that rises at the same velocity means "
        "that each card takes longer.",
        [
            ("{{pipeline}} in progress", queries.gauge(CARDS_IN_PROGRESS, by=("pipeline",))),
            ("{{pipeline}} waiting", queries.gauge(CARDS_WAITING, by=("pipeline",))),
        ],
        unit="short",
        axis="cards",
        overrides=[override_pattern(".* waiting", custom__lineStyle={"fill": "dash", "dash": [6, 6]})],
    )


def _processing_time() -> core.Panel:
    return graph(
        13,
        "Processing time of a card",
        "From the start of a card to its finish. The dashed line is the time that the pipeline declares as its target.",
        [
            *((f"p{percent}", queries.quantile(percent / 100, CARD_PROCESSING)) for percent in (50, 95, 99)),
            ("mean", queries.mean(CARD_PROCESSING)),
            ("target of {{pipeline}}", queries.gauge(CARD_TARGET, by=("pipeline",), how="max")),
        ],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=[
            *colours({"p50": "light-blue", "p95": DURATION, "p99": "dark-blue", "mean": GREY}),
            override_pattern(
                "target of .*",
                color=fixed("orange"),
                custom__lineStyle={"fill": "dash", "dash": [10, 10]},
                custom__fillOpacity=0,
            ),
        ],
    )


def _wait() -> core.Panel:
    return graph(
        14,
        "Wait of a card before its start",
        "From the arrival of a card to the start of work on it.",
        [(f"p{percent}", queries.quantile(percent / 100, CARD_WAIT)) for percent in (50, 95, 99)],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=colours({"p50": "light-orange", "p95": WAIT, "p99": "dark-orange"}),
    )


# --- stages ---


def _queue_depth() -> core.Panel:
    return graph(
        20,
        "Queue depth by stage",
        "Cards that wait for the stage. A line that climbs and does not come back is a bottleneck.",
        [(STAGE_LEGEND, queries.gauge(STAGE_QUEUE_DEPTH, by=queries.BY_STAGE))],
        unit="short",
        axis="cards",
        links=[_TO_STAGE],
    )


def _oldest_waiting() -> core.Panel:
    return graph(
        21,
        "Oldest waiting card by stage",
        "How long the card has waited that has waited longest for the stage. No line: none waits.",
        [(STAGE_LEGEND, queries.age(STAGE_OLDEST_WAITING, by=queries.BY_STAGE, how="min"))],
        unit="s",
        no_value="no card waits",
        links=[_TO_STAGE],
    )


def _running() -> core.Panel:
    return graph(
        22,
        "Running by stage",
        "Attempts of a stage that run at the time.",
        [(STAGE_LEGEND, queries.gauge(STAGE_IN_PROGRESS, by=queries.BY_STAGE))],
        unit="short",
        axis="attempts",
        links=[_TO_STAGE],
    )


def _queue_time() -> core.Panel:
    return graph(
        23,
        "Queue time by stage, p50 and p95",
        "From queued for the stage to started in it. Compare it with the run time beside it: a card that waits longer "
        "than it runs needs more workers, not faster ones.",
        [
            (f"{STAGE_LEGEND} p{percent}", queries.quantile(percent / 100, STAGE_QUEUE_TIME, by=queries.BY_STAGE))
            for percent in (50, 95)
        ],
        unit="s",
        no_value=_NO_CARDS,
        overrides=[faint("p50")],
        links=[_TO_STAGE],
    )


def _run_time() -> core.Panel:
    return graph(
        24,
        "Run time by stage, p50 and p95",
        "From started in the stage to finished, one attempt.",
        [
            (f"{STAGE_LEGEND} p{percent}", queries.quantile(percent / 100, STAGE_RUN_TIME, by=queries.BY_STAGE))
            for percent in (50, 95)
        ],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=[faint("p50")],
        links=[_TO_STAGE],
    )


def _retries() -> core.Panel:
    return graph(
        25,
        "Retries by stage",
        "Further attempts that were decided on, at the pace of retries per hour.",
        [(STAGE_LEGEND, queries.per_hour(STAGE_RETRIES, by=queries.BY_STAGE))],
        unit="short",
        axis="retries per hour",
        links=[_TO_STAGE],
    )


# --- alerts ---


def _alerts_over_time() -> core.Panel:
    names = "by (alertname, severity)"
    return timeline(
        30,
        "Alerts over time",
        "Each alert that was pending or firing in this time. Alerts that concern no pipeline are shown whatever "
        "pipeline is chosen.",
        [
            (
                "{{alertname}} ({{severity}})",
                f"max {names} ({queries.alerts('firing')}) * 2 or max {names} ({queries.alerts('pending')})",
            )
        ],
        words={"1": ("pending", WARNING), "2": ("firing", CRITICAL)},
        no_value="no alert in this time",
    )


def _alerts_now() -> core.Panel:
    kept = "by (alertname, severity, pipeline, stage)"
    since = f"{queries.alerts_since()} and ignoring (alertstate) {queries.alerts('firing')}"
    return table(
        31,
        "Alerts that fire now",
        "What fires, for which pipeline and stage, and since when. Empty: nothing fires, or nobody checks, which the "
        f'tile at the top shows as "{NO_RULES}".',
        [
            Column(name="alert", label="alertname"),
            Column(name="severity", label="severity", width=90),
            Column(name="pipeline", label="pipeline", width=110),
            Column(
                name="stage",
                label="stage",
                width=110,
                links=[go_to("jelmore-bottlenecks", "Look at the stage", stage="${__data.fields.stage}")],
            ),
            Column(
                name="since",
                query=f"min {kept} ({since}) * 1000",  # Grafana wants milliseconds
                unit="dateTimeFromNow",
                width=130,
            ),
        ],
        no_value="nothing fires",
        sort_by="since",
    )
