"""What the regression analyzer found, on the dashboard ``pipeline``: what got worse, since when, by how much."""

from grafanalib import core

from jelmon.catalogue import (
    CARD_PROCESSING,
    REGRESSION_BASELINE,
    REGRESSION_BASELINE_LOWER,
    REGRESSION_BASELINE_UPPER,
    REGRESSION_CHANGE,
    REGRESSION_CHANGE_LOWER,
    REGRESSION_CHANGE_POINT,
    REGRESSION_CHANGE_UPPER,
    REGRESSION_EARLY_WARNING,
    REGRESSION_SEVERE,
    Gauge,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.board import Heading, Line
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    DURATION,
    GREY,
    OK,
    TEXT,
    WARNING,
    colours,
    faint,
    fixed,
    override,
    steps,
    value_map,
)
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels import Column, graph, table, timeline

_NO_BASELINE = "analyzer not running, or no baseline yet"
_LEGEND = "{{signal}} {{pipeline}} {{stage}}"
_TIME_OF_CARDS = "avg_processing_time_seconds"
"""The signal that ``rules/signals.yaml`` and the analyzer both know."""


def rows(limits: Limits) -> list[Heading | Line]:
    """Heading 107 and panels 80 to 83."""
    return [
        Heading(107, "Is it worse than usual?"),
        Line(9, [_worse(limits), _verdicts()], (14, 10)),
        Line(8, [_change(limits), _band()], (10, 14)),
    ]


def _ever(verdict: Gauge) -> str:
    """Signals of which it was true at any time shown."""
    return f"{queries.of_signals(verdict, over='max', window='$__range')} > 0"


def _verdict() -> str:
    """0 as usual, 1 early warning, 2 severe."""
    return f"({queries.of_signals(REGRESSION_EARLY_WARNING)} + {queries.of_signals(REGRESSION_SEVERE)})"


def _worse(limits: Limits) -> core.Panel:
    changed = limits.levels(TEXT, processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL)
    return table(
        80,
        "What changed",
        "Each signal that is watched: its change against the usual level at this time of day, the ends of the "
        'interval in which the change lies (95 %), and when it last changed. "early warning": worse by more than 10 '
        '% and surely not by chance; "severe": by more than 50 %, and at least by 25 %.',
        [
            Column(name="signal", label="signal"),
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(
                name="verdict",
                query=_verdict(),
                unit="none",
                levels=steps(TEXT, (1, WARNING), (2, CRITICAL)),
                mappings=value_map(
                    {"0": ("as usual", TEXT), "1": ("early warning", WARNING), "2": ("severe", CRITICAL)}
                ),
            ),
            Column(name="change", query=queries.of_signals(REGRESSION_CHANGE), unit="percentunit", levels=changed),
            Column(name="at least", query=queries.of_signals(REGRESSION_CHANGE_LOWER), unit="percentunit"),
            Column(name="at most", query=queries.of_signals(REGRESSION_CHANGE_UPPER), unit="percentunit"),
            Column(
                name="changed",
                query=f"{queries.of_signals(REGRESSION_CHANGE_POINT)} * 1000",  # Grafana wants milliseconds
                unit="dateTimeFromNow",
            ),
        ],
        no_value=_NO_BASELINE,
        sort_by="verdict",
    )


def _verdicts() -> core.Panel:
    return timeline(
        81,
        "Early warnings and severe changes",
        "When each signal was worse than usual. Only signals that were so at any time shown.",
        [
            (
                _LEGEND,
                f"{_verdict()} and on ({', '.join(queries.BY_SIGNAL)}) "
                f"({_ever(REGRESSION_EARLY_WARNING)} or {_ever(REGRESSION_SEVERE)})",
            )
        ],
        words={"0": ("as usual", OK), "1": ("early warning", WARNING), "2": ("severe", CRITICAL)},
        no_value="nothing was worse than usual, or the analyzer does not run",
    )


def _change(limits: Limits) -> core.Panel:
    return graph(
        82,
        "Change of what is worse, with its interval",
        "The change against the usual level of the signals that are worse, and (dotted) the ends of the interval in "
        "which it lies. Dashed: where alerts on the processing time fire.",
        [
            (_LEGEND, queries.announced(REGRESSION_CHANGE)),
            (f"{_LEGEND} at least", queries.announced(REGRESSION_CHANGE_LOWER)),
            (f"{_LEGEND} at most", queries.announced(REGRESSION_CHANGE_UPPER)),
        ],
        unit="percentunit",
        no_value="nothing was worse than usual, or the analyzer does not run",
        levels=limits.lines(processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL),
        overrides=[faint("at (least|most)")],
    )


def _usual(metric: Gauge) -> str:
    return queries.gauge(metric, how="max", signal=_TIME_OF_CARDS, stage=queries.OR_OF_NO_STAGE)


def _band() -> core.Panel:
    panel = graph(
        83,
        "Processing time of $pipeline and its usual range",
        "Mean time of a card from start to finish; grey: the range that is usual at this time of day.",
        [
            ("now", queries.mean(CARD_PROCESSING)),
            ("usual", _usual(REGRESSION_BASELINE)),
            ("usual, high", _usual(REGRESSION_BASELINE_UPPER)),
            ("usual, low", _usual(REGRESSION_BASELINE_LOWER)),
        ],
        unit="s",
        no_value="no cards in this time, and no baseline yet",
        overrides=[
            *colours({"now": DURATION}),
            override(
                "usual", color=fixed(GREY), custom__lineStyle={"fill": "dash", "dash": [6, 6]}, custom__fillOpacity=0
            ),
            override(
                "usual, high",
                color=fixed(GREY),
                custom__fillBelowTo="usual, low",
                custom__lineWidth=0,
                custom__fillOpacity=20,
            ),
            override("usual, low", color=fixed(GREY), custom__lineWidth=0, custom__fillOpacity=0),
        ],
    )
    panel.repeat = core.Repeat(variable="pipeline", direction="h")
    return panel
