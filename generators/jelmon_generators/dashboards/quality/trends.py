"""A week of quality, with its targets, and the score, on the dashboard ``quality``."""

from collections.abc import Sequence

from grafanalib import core

from jelmon.catalogue import CARDS_FINISHED, GATE_EVALUATIONS, TESTS_FINISHED, Counter
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import CRITICAL, DASHED, GREY, OK, WARNING, fixed, override_pattern, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.model.dashboards import QualityPanel
from jelmon_generators.model.objectives import Objective

_DAY, _WEEK, _WINDOW = "24h", "7d", "6h"
_PASSED = {  # counter, what is good, what is judged
    "cards": (CARDS_FINISHED, {"outcome": "success"}, {"outcome": queries.JUDGED_OUTCOMES}),
    "tests": (TESTS_FINISHED, {"outcome": "passed"}, {"outcome": "!=skipped"}),
    "gates": (GATE_EVALUATIONS, {"verdict": "!=failed"}, {}),
}
_BAD: dict[str, tuple[Counter, dict[str, str]]] = {
    "failed cards": (CARDS_FINISHED, {"outcome": queries.BAD_OUTCOMES}),
    "failed tests": (TESTS_FINISHED, {"outcome": "=~failed|error"}),
    "failed gates": (GATE_EVALUATIONS, {"verdict": "failed"}),
}


def rows(limits: Limits, objectives: Sequence[Objective]) -> list[Heading | Line]:
    """Return the row of the trends."""
    return [Heading(104, "Trends of the last 7 days"), Line(8, [_rates(limits, objectives), _failures()], (14, 10))]


def score() -> core.Panel:
    """Return the tile of the score."""
    # an absent rate (no tests at all) must not count as 0: the mean is over those that there are
    rates = " or ".join(f'label_replace({_rate(name, _DAY)}, "part", "{name}", "", "")' for name in _PASSED)
    return stat(
        QualityPanel.SCORE,
        "Points from 0 to 100: the mean of three shares over 24 hours, those of cards that succeeded, of tests that "
        "passed and of gate verdicts that were not failed. A part without data does not count.",
        [("points", f"100 * avg({rates})")],
        unit="none",
        decimals=0,
        levels=steps(GREY, (0, CRITICAL), (80, WARNING), (95, OK)),
        no_value="no data in 24 hours",
    )


def _rate(name: str, window: str) -> str:
    counter, good, judged = _PASSED[name]
    return queries.ratio(
        queries.increase(counter, window, by=(), **good), queries.increase(counter, window, by=(), **judged)
    )


def _rates(limits: Limits, objectives: Sequence[Objective]) -> core.Panel:
    targets = [
        (f"target of {objective.name}", f"{objective.goal:g} + 0 * {_rate('cards', _WINDOW)}")
        for objective in objectives
        if "pipeline" in objective.by
    ]
    if "gate_failure_rate_high" in limits:
        least = 1 - limits["gate_failure_rate_high"]
        targets.append(("target of gates", f"{least:g} + 0 * {_rate('gates', _WINDOW)}"))
    return graph(
        QualityPanel.TRENDS,
        f"Shares over {_WINDOW} of cards that succeeded, tests that passed and gate verdicts that were not failed. "
        "Dashed: what the objectives promise, and where the alert on gates fires.",
        [*((name, _rate(name, _WINDOW)) for name in _PASSED), *targets],
        unit="percentunit",
        maximum=1,
        no_value="no data in the last 7 days",
        since=_WEEK,
        interval="1h",
        overrides=[override_pattern("target of .*", color=fixed("orange"), **DASHED)],
    )


def _failures() -> core.Panel:
    return graph(
        QualityPanel.TREND_FAILURES,
        "Failures per hour, over 1h.",
        [(name, queries.count(counter, "1h", by=(), **where)) for name, (counter, where) in _BAD.items()],
        unit="locale",
        axis="per hour, over 1h",
        no_value="no data in the last 7 days",
        since=_WEEK,
        interval="1h",
        bars=True,
    )
