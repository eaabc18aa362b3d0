"""A row for each objective in ``rules/slos.yaml``: what is promised, what is kept, how fast the budget burns."""

from collections.abc import Iterable, Sequence

from grafanalib import core

from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import CRITICAL, OK, TEXT, WARNING, steps
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import Panel, objective_panels
from jelmon_generators.model.objectives import Burn, Objective

_NOTHING_COUNTED = "nothing was counted, or no rules are evaluated"
_FAR = 1e6
_VARIABLES = ("pipeline", "stage")


def rows(objectives: Sequence[Objective]) -> list[Heading | Line]:
    """Return a heading and a line for each objective."""
    return [row for objective in objectives for row in _row(objective)]


def _row(objective: Objective) -> Iterable[Heading | Line]:
    number, figures, burn, budget, counted = objective_panels(objective.name)
    yield Heading(number, f"Objective: {objective.title}, {_percent(objective.goal)} over {objective.period}")
    yield Line(
        7,
        [
            _figures(objective, figures),
            _burn(objective, burn),
            _budget(objective, budget),
            _counted(objective, counted),
        ],
        (12, 5, 4, 3),
    )


def _percent(ratio: float) -> str:
    return f"{ratio * 100:g} %"


def _of(objective: Objective, signal: str) -> str:
    labels = [label for label in objective.by if label in _VARIABLES]
    return f"max by ({', '.join(objective.by)}) ({queries.recorded(signal, *labels)})"


def _legend(objective: Objective) -> str:
    return " / ".join(f"{{{{{label}}}}}" for label in objective.by)


def _figures(objective: Objective, panel: Panel) -> core.Panel:
    allowed = 1 - objective.goal
    bad = _of(objective, objective.bad)
    windows = [burn for burn in objective.burns if burn.window in ("1h", "6h", "3d")]
    return table(
        panel,
        f"Promised: {_percent(objective.goal)} over {objective.period}. Kept so far, share of the error budget that is "
        "left, how many times faster than allowed it burns over several windows, and when it is spent at the pace of "
        "the first. An empty time: it is not being spent, or already gone.",
        [
            *(Column(name=label, label=label, width=90) for label in objective.by),
            Column(
                name="kept",
                query=f"1 - {bad}",
                unit="percentunit",
                decimals=2,
                levels=steps(TEXT, (0, CRITICAL), (objective.goal, OK)),
            ),
            Column(
                name="budget left",
                query=_of(objective, objective.left),
                unit="percentunit",
                decimals=0,
                levels=steps(TEXT, (-_FAR, CRITICAL), (0, WARNING), (0.25, OK)),
            ),
            *(
                Column(
                    name=f"burn {burn.window}",
                    query=f"{_of(objective, burn.long)} / {allowed:.6g}",
                    unit="none",
                    decimals=1,
                    levels=steps(TEXT, (1, WARNING), (burn.threshold / allowed, CRITICAL)),
                )
                for burn in windows
            ),
            Column(name="spent in", query=_of(objective, objective.exhausted_in), unit="s"),
        ],
        no_value=_NOTHING_COUNTED,
        sort_by="budget left",
        descending=False,
    )


def _burn(objective: Objective, panel: Panel) -> core.Panel:
    def share(burn: Burn) -> str:
        short, long = (_of(objective, signal) for signal in (burn.short, burn.long))
        return f"(({short} < {long}) or {long}) / {burn.threshold:.6g}"

    burns = [(f"{_legend(objective)} {burn.window}", share(burn)) for burn in objective.burns]
    whole = (_legend(objective), f"{_of(objective, objective.bad)} / {1 - objective.goal:.6g}")
    return graph(
        panel,
        "For each pair of windows the smaller share of bad events, as a share of the threshold at which the alert "
        "fires: from 100 % (dashed) it does, if there are enough events.",
        burns or [whole],
        unit="percentunit",
        no_value=_NOTHING_COUNTED,
        levels=steps("transparent", (1, "orange")),
    )


def _budget(objective: Objective, panel: Panel) -> core.Panel:
    return graph(
        panel,
        f"Share of the error budget of the last {objective.period} that is left. Below 0 the objective is missed.",
        [(_legend(objective), _of(objective, objective.left))],
        unit="percentunit",
        no_value=_NOTHING_COUNTED,
        interval="15m",
        levels=steps("transparent", (0, CRITICAL)),
    )


def _counted(objective: Objective, panel: Panel) -> core.Panel:
    events = _of(objective, objective.counted)
    absent = [("series", f"max({queries.recorded(objective.series)})")] if objective.series else []
    return graph(
        panel,
        "What the objective counted in 5 minutes, and the series that it counts: at 0 it cannot fail, and an alert "
        "says so where one is defined.",
        [(_legend(objective), events), *absent],
        unit="short",
        no_value=_NOTHING_COUNTED,
    )
