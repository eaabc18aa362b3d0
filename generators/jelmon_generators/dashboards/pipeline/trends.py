"""Trends of a day on the dashboard ``pipeline``: with the same day a week ago, and the usual range."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    CARDS_FINISHED,
    REGRESSION_BASELINE_LOWER,
    REGRESSION_BASELINE_UPPER,
    Gauge,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import DURATION, GREY, OK, RATE, Json, colours, fixed, override
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.model.dashboards import Panel, PipelinePanel

_DAY, _WEEK, _WINDOW = "24h", "7d", "1h"
_NOW, _AGO, _HIGH, _LOW = "now", "a week ago", "usual range", "usual range, low"


def rows() -> list[Heading | Line]:
    """Return the row of the trends."""
    return [Heading(109, "Trends of the last 24 hours"), Line(8, [_cards(), _success(), _time()])]


def _cards() -> core.Panel:
    def pace(offset: str) -> str:
        return queries.increase(CARDS_FINISHED, _WINDOW, offset=offset)

    return _trend(
        PipelinePanel.TREND_CARDS,
        f"Cards finished per hour, over {_WINDOW}",
        [(_NOW, pace("")), (_AGO, pace(_WEEK)), *_usual("cards_per_hour", how="sum")],
        unit="short",
        axis="cards per hour, over 1h",
        colour=RATE,
    )


def _success() -> core.Panel:
    def success(offset: str) -> str:
        return queries.ratio(
            queries.increase(CARDS_FINISHED, _WINDOW, offset=offset, outcome="success"),
            queries.increase(CARDS_FINISHED, _WINDOW, offset=offset, outcome=queries.JUDGED_OUTCOMES),
        )

    high, low = _usual("card_failure_ratio", how="max")
    return _trend(
        PipelinePanel.TREND_SUCCESS,
        f"Share of the cards finished over {_WINDOW} that succeeded",
        [(_NOW, success("")), (_AGO, success(_WEEK)), (_HIGH, f"1 - {low[1]}"), (_LOW, f"1 - {high[1]}")],
        unit="percentunit",
        colour=OK,
    )


def _time() -> core.Panel:
    def mean(offset: str) -> str:
        return queries.mean(CARD_PROCESSING, window=_WINDOW, offset=offset)

    return _trend(
        PipelinePanel.TREND_TIME,
        f"Mean time from start to finish of the cards finished over {_WINDOW}",
        [(_NOW, mean("")), (_AGO, mean(_WEEK)), *_usual("avg_processing_time_seconds", how="max")],
        unit="s",
        colour=DURATION,
    )


def _usual(signal: str, *, how: str) -> list[tuple[str, str]]:
    def bound(metric: Gauge) -> str:
        return queries.gauge(metric, how=how, signal=signal, stage=queries.OR_OF_NO_STAGE)

    return [(_HIGH, bound(REGRESSION_BASELINE_UPPER)), (_LOW, bound(REGRESSION_BASELINE_LOWER))]


def _trend(
    panel: Panel, what: str, series: list[tuple[str, str]], *, unit: str, colour: str, axis: str = ""
) -> core.Panel:
    return graph(
        panel,
        f"{what}. Dashed: a week ago. Grey: the usual range for this time of day, once the regression analyzer has "
        "learned it.",
        series,
        unit=unit,
        axis=axis,
        no_value="no cards in the last 24 hours",
        since=_DAY,
        interval="5m",
        overrides=[*colours({_NOW: colour}), *_ghost(), *_band()],
    )


def _ghost() -> list[Json]:
    dashes = {"fill": "dash", "dash": [6, 6]}
    return [override(_AGO, color=fixed(GREY), custom__lineStyle=dashes, custom__fillOpacity=0)]


def _band() -> list[Json]:
    hidden = {"legend": True, "tooltip": True, "viz": False}
    return [
        override(_HIGH, color=fixed(GREY), custom__fillBelowTo=_LOW, custom__lineWidth=0, custom__fillOpacity=20),
        override(_LOW, color=fixed(GREY), custom__lineWidth=0, custom__fillOpacity=0, custom__hideFrom=hidden),
    ]
