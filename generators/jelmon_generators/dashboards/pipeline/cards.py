"""Cards on the dashboard ``pipeline``: how many, how fast, with what outcome."""

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
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    DURATION,
    GREY,
    RATE,
    WAIT,
    colours,
    colours_of,
    fixed,
    go_to,
    override_pattern,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import PipelinePanel

_NO_CARDS = "no cards in this time range"


def rows() -> list[Heading | Line]:
    """Return the rows of the cards."""
    return [
        Heading(100, "Cards"),
        Line(8, [_velocity(), _outcomes(), _in_progress()]),
        Line(8, [_processing_time(), _wait()]),
    ]


def _velocity() -> core.Panel:
    return graph(
        PipelinePanel.VELOCITY,
        "Cards queued, started and finished, per hour. The backlog grows while more arrive than finish.",
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
        PipelinePanel.CARD_OUTCOMES,
        "Cards finished per hour, by outcome. failure: the work itself failed; error: the system failed.",
        [("{{outcome}}", queries.per_hour(CARDS_FINISHED, by=("outcome",)))],
        unit="short",
        axis="cards per hour",
        bars=True,
        overrides=colours_of(CARDS_FINISHED, "outcome"),
        links=[go_to("quality", "What is failing?")],
    )


def _in_progress() -> core.Panel:
    return graph(
        PipelinePanel.IN_PROGRESS,
        "Cards being worked on, and cards waiting to start. If more are in progress while velocity is unchanged, each "
        "card takes longer.",
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
        PipelinePanel.PROCESSING_TIME,
        "Time from the start of a card to its finish. Dashed: the target that the pipeline declares.",
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
        PipelinePanel.WAIT_TIME,
        "Time from the arrival of a card to its start.",
        [(f"p{percent}", queries.quantile(percent / 100, CARD_WAIT)) for percent in (50, 95, 99)],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=colours({"p50": "light-orange", "p95": WAIT, "p99": "dark-orange"}),
    )
