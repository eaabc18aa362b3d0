"""The tiles at the top of every dashboard (panels 1 to 7): what an engineer reads first."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARDS_FINISHED,
    CARDS_IN_PROGRESS,
    CARDS_WAITING,
    COLLECTED,
)
from jelmon_generators.dashboards import progress, queries
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GONE,
    GREY,
    NO_RULES,
    OK,
    RATE,
    SAMPLE,
    TEXT,
    WARNING,
    change,
    go_to,
    override,
    steps,
    value_map,
)
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.model.dashboards import OverviewPanel, PipelinePanel

_HOUR = "1h"


def overview(limits: Limits) -> Line:
    """Return the line of tiles."""
    return Line(
        5,
        [
            _in_flight(),
            _cards_finished(),
            _success(),
            _processing_time(limits),
            _last_activity(limits),
            _firing(),
            _data_age(limits),
        ],
        (3, 3, 5, 5, 3, 3, 2),
    )


def _in_flight() -> core.Stat:
    return stat(
        OverviewPanel.IN_FLIGHT,
        "Cards being worked on, and cards waiting to start.",
        [("in progress", queries.gauge(CARDS_IN_PROGRESS)), ("waiting", queries.gauge(CARDS_WAITING))],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, TEXT)),
        no_value=GONE,
        links=[go_to("bottlenecks", "Where do they wait?")],
    )


def _cards_finished() -> core.Stat:
    def finished(offset: str) -> str:
        return queries.count(CARDS_FINISHED, _HOUR, offset=offset)

    return stat(
        OverviewPanel.CARDS_FINISHED,
        "Cards finished in the last hour: a count, not a pace (see Velocity); and the change from the hour before.",
        [("cards", finished("")), ("change", queries.relative_change(finished, _HOUR))],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, RATE)),
        no_value=GONE,
        overrides=[change(steps(CRITICAL, (-0.3, WARNING), (-0.1, TEXT)))],
        links=[go_to("pipeline", "Velocity over time", panel=PipelinePanel.VELOCITY)],
    )


def _success() -> core.Stat:
    def success(offset: str) -> str:
        return queries.ratio(
            queries.increase(CARDS_FINISHED, _HOUR, offset=offset, outcome="success"),
            queries.increase(CARDS_FINISHED, _HOUR, offset=offset, outcome=queries.JUDGED_OUTCOMES),
        )

    return stat(
        OverviewPanel.SUCCESS_RATE,
        "Share of the cards finished in the last hour that succeeded, excluding cancelled and skipped cards, and the "
        "change from the hour before in percentage points.",
        [("last hour", success("")), ("change", queries.difference(success, _HOUR)), ("n", _judged())],
        unit="percentunit",
        decimals=1,
        levels=steps(GREY, (0, CRITICAL), (0.8, WARNING), (0.95, OK)),
        no_value="no cards",
        overrides=[change(steps(CRITICAL, (-0.05, WARNING), (-0.01, TEXT))), SAMPLE],
        links=[go_to("quality", "What is failing?")],
    )


def _judged() -> str:
    """Return the number of cards that a tile judges by: a change of few means little."""
    return queries.count(CARDS_FINISHED, _HOUR, outcome=queries.JUDGED_OUTCOMES)


def _processing_time(limits: Limits) -> core.Stat:
    def slow(offset: str) -> str:
        return queries.quantile(0.95, CARD_PROCESSING, window=_HOUR, offset=offset)

    return stat(
        OverviewPanel.PROCESSING_TIME,
        "95th percentile of the time from start to finish over the last hour, and the change from the hour before.",
        [("last hour", slow("")), ("change", queries.relative_change(slow, _HOUR)), ("n", _judged())],
        unit="s",
        levels=steps(GREY, (0, DURATION)),
        no_value="no cards",
        overrides=[
            change(limits.levels(TEXT, processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL)),
            SAMPLE,
        ],
        links=[go_to("pipeline", "Processing time over time", panel=PipelinePanel.PROCESSING_TIME)],
    )


def _last_activity(limits: Limits) -> core.Stat:
    share = progress.inactivity_share(limits)
    idle = f"0 * max({share}) - 1"
    return stat(
        OverviewPanel.LAST_ACTIVITY,
        "Time since a card or stage last started, finished or was retried, as a share of the limit that the pipeline "
        f"declares ({limits.minutes('pipeline_stalled')} otherwise): from 100 % it counts as stalled. The worst "
        "pipeline with cards in flight; a pipeline without any is idle and cannot stall.",
        [
            (
                "{{pipeline}}",
                f"topk(1, {share} and on (pipeline) {progress.in_flight()} > 0) or on () "
                f'label_replace({idle}, "pipeline", "no cards in flight", "", "")',
            )
        ],
        unit="percentunit",
        decimals=0,
        levels=steps(GREY, (0, OK), (0.5, WARNING), (1, CRITICAL)),
        mappings=value_map({"-1": ("idle", GREY)}),
        no_value=GONE,
        named=True,
        filled=True,
        links=[
            go_to(
                "pipeline",
                "Inactivity over time",
                panel=PipelinePanel.INACTIVITY,
            )
        ],
    )


def _firing() -> core.Stat:
    # The watchdog (severity none) always fires: without it our rules are not evaluated, and 0 would be wrong.
    watched = f"0 * count({queries.alerts('firing', severity='none')})"
    return stat(
        OverviewPanel.FIRING_ALERTS,
        'Alerts firing now. "no rules" means that even the always-firing watchdog is missing: no rules are evaluated.',
        [
            (severity, f"count({queries.alerts('firing', severity=severity)}) or {watched}")
            for severity in ("critical", "warning")
        ],
        unit="short",
        decimals=0,
        levels=steps(GREY, (0, OK), (1, WARNING)),
        no_value=NO_RULES,
        overrides=[
            override("critical", thresholds={"mode": "absolute", "steps": steps(GREY, (0, OK), (1, CRITICAL))}),
        ],
        filled=True,
        links=[go_to("pipeline", "Which alerts?", panel=PipelinePanel.ALERTS_FIRING)],
    )


def _data_age(limits: Limits) -> core.Stat:
    return stat(
        OverviewPanel.DATA_AGE,
        "Time since the exporter last completed a collection cycle; everything on this page is at least that old. "
        '"exporter gone" means no cycle in the last hour.',
        [("exporter", f"time() - max(max_over_time({queries.select(COLLECTED)}[1h]))")],
        unit="s",
        decimals=0,
        levels=limits.approaching(CRITICAL, "exporter_frozen", ok=OK, warning=WARNING, critical=CRITICAL),
        no_value="exporter gone",
        filled=True,
    )
