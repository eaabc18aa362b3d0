"""Cards on the dashboard ``pipeline``: how many, how fast, with what outcome."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARD_TARGET,
    CARD_WAIT,
    CARDS_FINISHED,
    CARDS_IN_PROGRESS,
    CARDS_QUEUED,
    CARDS_WAITING,
)
from jelmon_generators.dashboards import progress, queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DASHED,
    DURATION,
    GREY,
    WAIT,
    colours,
    colours_of,
    faint,
    fixed,
    go_to,
    override_pattern,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.heatmaps import buckets
from jelmon_generators.model.dashboards import PipelinePanel

_NO_CARDS = "no cards in this time range"
_PIPELINE = ("pipeline",)


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the rows of the cards."""
    return [
        Heading(100, "Cards"),
        Line(8, [_velocity(limits), _outcomes(), _in_progress()]),
        Line(8, [_processing_time(limits), _buckets(), _wait(), _inactivity(limits)]),
    ]


def _velocity(limits: Limits) -> core.Panel:
    short = limits.window("velocity_drop", "15m")
    long = limits.window("velocity_drop", "6h", index=1)
    share = limits.get("velocity_drop", 0.5)
    return graph(
        PipelinePanel.VELOCITY,
        f"Cards per hour, over {short}. The backlog grows while more arrive than finish. Dashed: {share:.0%}".replace(
            "%", " %"
        )
        + f" of the mean over {long}; below it the alert VelocityDrop fires.",
        [
            ("{{pipeline}} finished", queries.per_hour(CARDS_FINISHED, by=_PIPELINE, window=short)),
            ("{{pipeline}} arrived", queries.per_hour(CARDS_QUEUED, by=_PIPELINE, window=short)),
            (
                "{{pipeline}} alert below",
                f"{share:g} * {queries.per_hour(CARDS_FINISHED, by=_PIPELINE, window=long)}",
            ),
        ],
        unit="short",
        axis=f"cards per hour, over {short}",
        overrides=[
            faint("arrived"),
            override_pattern(".* alert below", color=fixed("orange"), **DASHED),
        ],
    )


def _outcomes() -> core.Panel:
    return graph(
        PipelinePanel.CARD_OUTCOMES,
        f"Cards finished in {queries.WINDOW}, by outcome. failure: the work itself failed; error: the system failed.",
        [("{{outcome}}", queries.count(CARDS_FINISHED, queries.WINDOW, by=("outcome",)))],
        unit="locale",
        axis=f"cards in {queries.WINDOW}",
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
            ("{{pipeline}} in progress", queries.gauge(CARDS_IN_PROGRESS, by=_PIPELINE)),
            ("{{pipeline}} waiting", queries.gauge(CARDS_WAITING, by=_PIPELINE)),
        ],
        unit="locale",
        axis="cards",
        overrides=[faint("waiting")],
    )


def _processing_time(limits: Limits) -> core.Panel:
    window = limits.window("processing_time_regression", "5m")
    return graph(
        PipelinePanel.PROCESSING_TIME,
        f"Time from the start of a card to its finish: percentiles over {queries.WINDOW}, and the mean over {window}, "
        "which the regression alerts compare with its baseline. Dashed: the target that the pipeline declares.",
        [
            *((f"p{percent}", queries.quantile(percent / 100, CARD_PROCESSING)) for percent in (50, 95, 99)),
            ("mean", queries.mean(CARD_PROCESSING, window=window)),
            ("target of {{pipeline}}", queries.gauge(CARD_TARGET, by=_PIPELINE, how="max")),
        ],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=[
            *colours({"p50": "light-blue", "p95": DURATION, "p99": "dark-blue", "mean": GREY}),
            override_pattern("target of .*", color=fixed("orange"), **DASHED),
        ],
    )


def _buckets() -> core.Panel:
    return buckets(
        PipelinePanel.PROCESSING_BUCKETS,
        "How many cards finished in each interval, by the time from start to finish. Two bands mean two kinds of card, "
        "which a percentile hides.",
        queries.buckets(CARD_PROCESSING, "$__interval"),
        unit="s",
        no_value=_NO_CARDS,
        interval="5m",
    )


def _wait() -> core.Panel:
    return graph(
        PipelinePanel.WAIT_TIME,
        f"Time from the arrival of a card to its start, over {queries.WINDOW}.",
        [(f"p{percent}", queries.quantile(percent / 100, CARD_WAIT)) for percent in (50, 95, 99)],
        unit="s",
        no_value=_NO_CARDS,
        exemplars=True,
        overrides=colours({"p50": "light-orange", "p95": WAIT, "p99": "dark-orange"}),
    )


def _inactivity(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.INACTIVITY,
        "Time since a card or stage last started, finished or was retried, as a share of the pipeline's limit, while "
        "it has cards in flight. From 100 % (dashed) the pipeline is stalled and the alert PipelineStalled fires.",
        [("{{pipeline}}", f"{progress.inactivity_share(limits)} and on (pipeline) {progress.in_flight()} > 0")],
        unit="percentunit",
        no_value="no cards in flight in this time range",
        levels=steps("transparent", (1, CRITICAL)),
        links=[go_to("bottlenecks", "Where is it stuck?", pipeline="${__field.labels.pipeline}")],
    )
