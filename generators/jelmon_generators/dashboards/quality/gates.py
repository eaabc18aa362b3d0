"""Quality gates on the dashboard ``quality``: which gates fail, and how often."""

from grafanalib import core

from jelmon.catalogue import (
    GATE_EVALUATIONS,
)
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import (
    CHANGE_OF_FAILURES,
    CRITICAL,
    GREY,
    OK,
    TEXT,
    WARNING,
    colours_of,
    steps,
    value_map,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph, status_history
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import QualityPanel

_HOUR = "1h"

_RANGE = "$__range"

_GATE_ALERT = "gate_failure_rate_high"


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the gates."""
    return [
        Heading(100, "Quality gates"),
        Line(7, [_status(limits), _history(limits)], (9, 15)),
        Line(8, [_gate_failures(limits), _gate_verdicts(), _gates_table(limits)], (9, 7, 8)),
    ]


def failed_gates(limits: Limits) -> core.Panel:
    def failing(offset: str) -> str:
        return queries.ratio(
            queries.increase(GATE_EVALUATIONS, _HOUR, offset=offset, verdict="failed"),
            queries.increase(GATE_EVALUATIONS, _HOUR, offset=offset),
        )

    return stat(
        QualityPanel.FAILED_GATES,
        'Share of gate verdicts in the last hour that were "failed", and the change from the hour before in '
        "percentage points. "
        f"Alert threshold: {limits.share(_GATE_ALERT)}.",
        [("last hour", failing("")), ("change", queries.difference(failing, _HOUR))],
        unit="percentunit",
        decimals=1,
        levels=limits.approaching(GREY, _GATE_ALERT, ok=OK, warning=WARNING, critical=CRITICAL),
        no_value="no verdicts",
        overrides=[CHANGE_OF_FAILURES],
    )


def _gate_failures(limits: Limits) -> core.Panel:
    window = limits.window(_GATE_ALERT, "30m")
    by = ("pipeline", "gate")
    return graph(
        QualityPanel.GATE_FAILURES,
        f'Share of each gate\'s verdicts over {window} that were "failed". Alert threshold (dashed): '
        f"{limits.share(_GATE_ALERT)}, from 10 verdicts.",
        [
            (
                "{{pipeline}} / {{gate}}",
                queries.ratio(
                    queries.increase(GATE_EVALUATIONS, window, by=by, verdict="failed"),
                    queries.increase(GATE_EVALUATIONS, window, by=by),
                ),
            )
        ],
        unit="percentunit",
        maximum=1,
        no_value="no verdicts in this time range",
        levels=limits.lines(gate_failure_rate_high="orange"),
    )


def _gate_verdicts() -> core.Panel:
    return graph(
        QualityPanel.GATE_VERDICTS,
        f"Gate verdicts in {queries.WINDOW}.",
        [("{{verdict}}", queries.count(GATE_EVALUATIONS, queries.WINDOW, by=("verdict",)))],
        unit="locale",
        axis=f"verdicts in {queries.WINDOW}",
        bars=True,
        no_value="no verdicts in this time range",
        overrides=colours_of(GATE_EVALUATIONS, "verdict"),
    )


def _gates_table(limits: Limits) -> core.Panel:
    by = ("pipeline", "gate")
    failed = queries.increase(GATE_EVALUATIONS, _RANGE, by=by, verdict="failed")
    every = queries.increase(GATE_EVALUATIONS, _RANGE, by=by)
    return table(
        QualityPanel.GATES,
        "Gates over the selected time range, worst first. A ratio based on few verdicts means little.",
        [
            Column(name="pipeline", label="pipeline"),
            Column(name="gate", label="gate"),
            Column(name="verdicts", query=queries.count(GATE_EVALUATIONS, _RANGE, by=by), unit="locale"),
            Column(
                name="failed",
                query=queries.ratio(failed, every),
                unit="percentunit",
                levels=limits.approaching(TEXT, _GATE_ALERT, ok=TEXT, warning=WARNING, critical=CRITICAL),
            ),
        ],
        no_value="no verdicts in this time range",
        sort_by="failed",
    )


_BY_GATE = ("pipeline", "gate")
_GATE = "{{pipeline}} / {{gate}}"
_WORDS = {"0": ("PASS", OK), "1": ("WARN", WARNING), "2": ("FAIL", CRITICAL), "9": ("GONE", GREY)}


def _state(limits: Limits) -> str:
    """Return 2 where a gate fails too often, 1 from half of that, 0 where it passes.

    9 for a gate that had verdicts in the last day and has none now: its tile stays.
    """
    window = limits.window(_GATE_ALERT, "30m")
    every = queries.increase(GATE_EVALUATIONS, window, by=_BY_GATE)
    failed = queries.increase(GATE_EVALUATIONS, window, by=_BY_GATE, verdict="failed")
    day = queries.increase(GATE_EVALUATIONS, "24h", by=_BY_GATE)
    return (
        f"({failed} / ({every} > 0) >= {limits.get(_GATE_ALERT, 0.2):g}) * 0 + 2 or "
        f"({failed} / ({every} > 0) >= {limits.get(_GATE_ALERT, 0.2) / 2:g}) * 0 + 1"
        f" or ({every} > 0) * 0 or ({day} > 0) * 0 + 9"
    )


def _status(limits: Limits) -> core.Panel:
    return stat(
        QualityPanel.GATE_STATUS,
        f"Each gate over {limits.window(_GATE_ALERT, '30m')}. FAIL: as many verdicts failed as raise the alert "
        f"({limits.share(_GATE_ALERT)}); WARN: half as many; GONE: verdicts in the last 24 hours, none now.",
        [(_GATE, _state(limits))],
        unit="none",
        levels=steps(GREY, (0, OK), (1, WARNING), (2, CRITICAL), (9, GREY)),
        mappings=value_map(_WORDS),
        no_value="no verdicts in 24 hours",
        named=True,
        filled=True,
    )


def _history(limits: Limits) -> core.Panel:
    return status_history(
        QualityPanel.GATE_HISTORY,
        "The status of each gate in the selected time range.",
        [(_GATE, _state(limits))],
        words=_WORDS,
        no_value="no verdicts in this time range",
    )
