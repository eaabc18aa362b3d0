"""The line of tiles at the top of every dashboard (panels 1 to 7): what somebody woken at night reads first."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARDS_FINISHED,
    CARDS_IN_PROGRESS,
    CARDS_WAITING,
    COLLECTED,
    LAST_ACTIVITY,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.board import Line
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GONE,
    GREY,
    NO_RULES,
    OK,
    RATE,
    TEXT,
    WARNING,
    change,
    go_to,
    override,
    steps,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import tile

_HOUR = "1h"


def vital_signs(limits: Limits) -> Line:
    """Is it moving, how fast, does it succeed, is it slow, is it silent, is anybody alarmed, and is this still true?"""
    return Line(
        5,
        [
            _in_flight(),
            _cards_per_hour(),
            _success(),
            _processing_time(limits),
            _last_activity(limits),
            _firing(),
            _data_age(limits),
        ],
        (3, 4, 4, 4, 3, 3, 3),
    )


def _in_flight() -> core.Stat:
    return tile(
        1,
        "In flight",
        "Cards on which work has begun, and cards that arrived and wait for it.",
        [("in progress", queries.gauge(CARDS_IN_PROGRESS)), ("waiting", queries.gauge(CARDS_WAITING))],
        unit="short",
        levels=steps(GREY, (0, TEXT)),
        no_value=GONE,
        links=[go_to("jelmore-bottlenecks", "Where do they wait?")],
    )


def _cards_per_hour() -> core.Stat:
    def finished(offset: str) -> str:
        return queries.increase(CARDS_FINISHED, _HOUR, offset=offset)

    return tile(
        2,
        "Cards per hour",
        "Cards that left the pipeline in the last hour, and by how much that differs from the hour before.",
        [("last hour", finished("")), ("change", queries.relative_change(finished, _HOUR))],
        unit="short",
        decimals=0,
        levels=steps(GREY, (0, RATE)),
        no_value=GONE,
        overrides=[change(steps(CRITICAL, (-0.3, WARNING), (-0.1, TEXT)))],
        links=[go_to("jelmore-pipeline", "Velocity over time", panel=10)],
    )


def _success() -> core.Stat:
    def success(offset: str) -> str:
        return queries.ratio(
            queries.increase(CARDS_FINISHED, _HOUR, offset=offset, outcome="success"),
            queries.increase(CARDS_FINISHED, _HOUR, offset=offset, outcome=queries.JUDGED_OUTCOMES),
        )

    return tile(
        3,
        "Success",
        "Share of the last hour's cards that succeeded (cancelled and skipped ones left out), and the difference to "
        "the hour before in percentage points.",
        [("last hour", success("")), ("change", queries.difference(success, _HOUR))],
        unit="percentunit",
        decimals=1,
        levels=steps(GREY, (0, CRITICAL), (0.8, WARNING), (0.95, OK)),
        no_value="no cards",
        overrides=[change(steps(CRITICAL, (-0.05, WARNING), (-0.01, TEXT)))],
        links=[go_to("jelmore-quality", "What fails?")],
    )


def _processing_time(limits: Limits) -> core.Stat:
    def slow(offset: str) -> str:
        return queries.quantile(0.95, CARD_PROCESSING, window=_HOUR, offset=offset)

    return tile(
        4,
        "Processing time, p95",
        "95 % of the last hour's cards took no longer from start to finish, and the change against the hour before.",
        [("last hour", slow("")), ("change", queries.relative_change(slow, _HOUR))],
        unit="s",
        levels=steps(GREY, (0, DURATION)),
        no_value="no cards",
        overrides=[
            change(limits.levels(TEXT, processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL))
        ],
        links=[go_to("jelmore-pipeline", "Processing time over time", panel=13)],
    )


def _last_activity(limits: Limits) -> core.Stat:
    return tile(
        5,
        "Since last activity",
        "Time since a card or stage last started, finished or was tried again, in the pipeline that has been quiet for "
        "longest. An arrival alone is no activity. Above "
        f"{limits.minutes('pipeline_stalled')} the pipeline counts as stalled, unless it declares a limit of its own.",
        [("{{pipeline}}", f"topk(1, {queries.age(LAST_ACTIVITY, by=('pipeline',))})")],
        unit="s",
        decimals=0,
        levels=limits.approaching(GREY, "pipeline_stalled", ok=OK, warning=WARNING, critical=CRITICAL),
        no_value=GONE,
        named=True,
        filled=True,
        links=[go_to("jelmore-bottlenecks", "Where is it stuck?")],
    )


def _firing() -> core.Stat:
    # The watchdog (severity none) fires always: with it the 0 is a fact, without it nobody evaluates our rules.
    watched = f"0 * count({queries.alerts('firing', severity='none')})"
    return tile(
        6,
        "Firing alerts",
        'Alerts that fire now. "no rules": even the watchdog, which always fires, does not, so nothing is checked.',
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
        links=[go_to("jelmore-pipeline", "Which?", panel=31)],
    )


def _data_age(limits: Limits) -> core.Stat:
    return tile(
        7,
        "Age of the data",
        'Time since the exporter last did a round of work. Everything on this page is as old as that. "exporter gone": '
        "nothing for an hour.",
        [("exporter", f"time() - max(max_over_time({queries.select(COLLECTED)}[1h]))")],
        unit="s",
        decimals=0,
        levels=limits.approaching(CRITICAL, "exporter_frozen", ok=OK, warning=WARNING, critical=CRITICAL),
        no_value="exporter gone",
        filled=True,
    )
