"""Findings of the regression analyzer on the dashboard ``pipeline``: what regressed, since when, by how much."""

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
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph, timeline
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import PipelinePanel

_NO_BASELINE = "analyzer not running, or no baseline yet"
_LEGEND = "{{signal}} {{pipeline}} {{stage}}"
_TIME_OF_CARDS = "avg_processing_time_seconds"
"""The signal that ``rules/signals.yaml`` and the analyzer both know."""


def rows(limits: Limits) -> list[Heading | Line]:
    """Return heading 107 and panels 80 to 83."""
    return [
        Heading(107, "Regressions"),
        Line(9, [_worse(limits), _verdicts()], (15, 9)),
        Line(8, [_change(limits)]),
        Line(8, [_band(limits)]),
    ]


def _ever(verdict: Gauge) -> str:
    """Select the signals for which the verdict was true at any time shown."""
    return f"{queries.of_signals(verdict, over='max', window='$__range')} > 0"


def _verdict() -> str:
    """Return 0 for normal, 1 for an early warning, 2 for severe."""
    return f"({queries.of_signals(REGRESSION_EARLY_WARNING)} + {queries.of_signals(REGRESSION_SEVERE)})"


def _worse(limits: Limits) -> core.Panel:
    changed = limits.levels(TEXT, processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL)
    return table(
        PipelinePanel.CHANGES,
        "Each monitored signal: its change from the baseline for this time of day, the 95 % confidence interval, and "
        "the last change point. "
        '"early warning": more than 10 % worse and statistically significant; "severe": more than 50 % worse, and at '
        "least 25 % with 95 % confidence.",
        [
            Column(name="signal", label="signal"),
            Column(name="pipeline", label="pipeline"),
            Column(name="stage", label="stage"),
            Column(
                name="verdict",
                query=_verdict(),
                unit="none",
                levels=steps(TEXT, (1, WARNING), (2, CRITICAL)),
                mappings=value_map({"0": ("normal", TEXT), "1": ("early warning", WARNING), "2": ("severe", CRITICAL)}),
            ),
            Column(name="change", query=queries.of_signals(REGRESSION_CHANGE), unit="percentunit", levels=changed),
            Column(name="lower bound", query=queries.of_signals(REGRESSION_CHANGE_LOWER), unit="percentunit"),
            Column(name="upper bound", query=queries.of_signals(REGRESSION_CHANGE_UPPER), unit="percentunit"),
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
        PipelinePanel.WARNINGS,
        "When each signal was worse than its baseline. Only signals that regressed in the selected time range are "
        "shown.",
        [
            (
                _LEGEND,
                f"{_verdict()} and on ({', '.join(queries.BY_SIGNAL)}) "
                f"({_ever(REGRESSION_EARLY_WARNING)} or {_ever(REGRESSION_SEVERE)})",
            )
        ],
        words={"0": ("normal", OK), "1": ("early warning", WARNING), "2": ("severe", CRITICAL)},
        no_value="no regressions, or analyzer missing",
    )


def _change(limits: Limits) -> core.Panel:
    signal = "avg_processing_time_seconds"
    median, baseline = (queries.recorded(f"{signal}:{kind}", "pipeline") for kind in ("median5m", "baseline"))
    return graph(
        PipelinePanel.REGRESSION_SIZE,
        "Change from baseline of the signals that regressed; dotted: 95 % confidence interval. Dashed: thresholds of "
        "the alerts on processing time. Without a baseline from the analyzer these compare the mean processing time "
        "with its daily median.",
        [
            (_LEGEND, queries.announced(REGRESSION_CHANGE)),
            (
                "{{pipeline}} against its daily median",
                f"max by (pipeline) (({median} - {baseline}) / ({baseline} > 0))",
            ),
            (f"{_LEGEND} lower bound", queries.announced(REGRESSION_CHANGE_LOWER)),
            (f"{_LEGEND} upper bound", queries.announced(REGRESSION_CHANGE_UPPER)),
        ],
        unit="percentunit",
        no_value="no regressions, or analyzer missing",
        levels=limits.lines(processing_time_regression=WARNING, processing_time_regression_severe=CRITICAL),
        overrides=[faint("(lower|upper) bound")],
    )


def _usual(metric: Gauge) -> str:
    return queries.gauge(metric, how="max", signal=_TIME_OF_CARDS, stage=queries.OR_OF_NO_STAGE)


def _band(limits: Limits) -> core.Panel:
    window = limits.window("processing_time_regression", "5m")
    panel = graph(
        PipelinePanel.BASELINE,
        f"Mean card processing time over {window}. Grey: the usual range for this time of day.",
        [
            ("mean", queries.mean(CARD_PROCESSING, window=window)),
            ("baseline", _usual(REGRESSION_BASELINE)),
            ("baseline, high", _usual(REGRESSION_BASELINE_UPPER)),
            ("baseline, low", _usual(REGRESSION_BASELINE_LOWER)),
        ],
        unit="s",
        no_value="no cards in this time, no baseline yet",
        overrides=[
            *colours({"mean": DURATION}),
            override(
                "baseline", color=fixed(GREY), custom__lineStyle={"fill": "dash", "dash": [6, 6]}, custom__fillOpacity=0
            ),
            override(
                "baseline, high",
                color=fixed(GREY),
                custom__fillBelowTo="baseline, low",
                custom__lineWidth=0,
                custom__fillOpacity=20,
            ),
            override("baseline, low", color=fixed(GREY), custom__lineWidth=0, custom__fillOpacity=0),
        ],
    )
    panel.repeat = core.Repeat(variable="pipeline", direction="h", maxPerRow=3)
    return panel
