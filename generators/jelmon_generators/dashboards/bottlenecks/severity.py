"""How bad it is, on the dashboard ``bottlenecks``: stages by severity, the list of bottlenecks, a week of cost."""

from grafanalib import core

from jelmon.catalogue import (
    BOTTLENECK_EPISODES,
    BOTTLENECK_GAIN,
    BOTTLENECK_IMPACT,
    BOTTLENECK_INFO,
    BOTTLENECK_SEVERITY,
    STAGE_POSITION,
)
from jelmon_generators.dashboards import queries, verdicts
from jelmon_generators.dashboards.fields import (
    CRITICAL,
    GREY,
    OK,
    ONLY_STAGE,
    STAGE_LEGEND,
    TEXT,
    WARNING,
    override,
    stage_of_row,
    steps,
)
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph
from jelmon_generators.dashboards.panels.scatter import Series, xy_chart
from jelmon_generators.dashboards.panels.stats import stat
from jelmon_generators.dashboards.panels.tables import Column, table
from jelmon_generators.model.dashboards import BottlenecksPanel

_FORMING, _SEVERE = "bottleneck_forming", "bottleneck_severe"
_SEVERITY = queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max")
_OUTSIDE = 1000  # below the axis: a field without any value would blank the whole panel
_KINDS = (("critical", CRITICAL), ("warning", WARNING), ("minor", TEXT))


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row."""
    return [
        Heading(104, "How bad is it?"),
        Line(8, [_overview(limits), _list(limits)], (6, 18)),
        Line(9, [_week(), _bubbles(limits)], (14, 10)),
    ]


def _overview(limits: Limits) -> core.Panel:
    forming, severe = (limits.get(rule, value) for rule, value in ((_FORMING, 50.0), (_SEVERE, 75.0)))
    known = f"0 * count({_SEVERITY})"
    bounds = {
        "critical": f"{_SEVERITY} >= {severe:g}",
        "warning": f"({_SEVERITY} >= {forming:g}) < {severe:g}",
        "minor": f"({_SEVERITY} > 0) < {forming:g}",
    }
    declared = f"count({queries.gauge(STAGE_POSITION, by=queries.BY_STAGE, how='max')})"
    held_up = f"(count({_SEVERITY} > 0) or {known})"
    return stat(
        BottlenecksPanel.SEVERITIES,
        f"Stages by severity: critical from {severe:g}, warning from {forming:g}, minor above 0, calm the other "
        "declared stages.",
        [
            *((name, f"count({bound}) or {known}") for name, bound in bounds.items()),
            ("calm", f"{declared} - {held_up}"),
        ],
        unit="locale",
        decimals=0,
        levels=steps(GREY, (0, OK)),
        no_value=verdicts.ANALYZER_MISSING,
        overrides=[
            override(name, thresholds={"mode": "absolute", "steps": steps(GREY, (0, OK), (1, colour))})
            for name, colour in _KINDS
        ],
        named=True,
    )


def _list(limits: Limits) -> core.Panel:
    named = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "state", "cause"), how="max")
    since = f"{queries.alerts_since()} and on (pipeline, stage) {_SEVERITY} > 0"

    def of(value: str) -> str:
        return f"{named} * on (pipeline, stage) group_left () ({value})"

    return table(
        BottlenecksPanel.CRITICAL,
        "The limiting stages, worst first: since when an alert on the stage has been active, time that cards lost in "
        "the analysis window, what a stage 20 % faster would save per card, and episodes of the last 24 hours.",
        [
            Column(
                name="severity",
                query=of(_SEVERITY),
                unit="none",
                decimals=0,
                levels=limits.levels(TEXT, bottleneck_forming=WARNING, bottleneck_severe=CRITICAL),
            ),
            Column(name="pipeline", label="pipeline"),
            Column(
                name="stage",
                label="stage",
                width=120,
                links=[
                    stage_of_row("bottlenecks", "Show only this stage"),
                    stage_of_row("quality", "Show its quality"),
                ],
            ),
            Column(name="state", label="state", width=80),
            Column(name="cause", label="cause"),
            Column(
                name="since",
                query=of(f"min by (pipeline, stage) ({since})") + " * 1000",  # Grafana wants milliseconds
                unit="dateTimeFromNow",
            ),
            Column(
                name="time lost",
                query=of(queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how="max")),
                unit="s",
            ),
            Column(name="gain", query=of(queries.gauge(BOTTLENECK_GAIN, by=queries.BY_STAGE, how="max")), unit="s"),
            Column(
                name="episodes",
                query=of(queries.count(BOTTLENECK_EPISODES, "24h", by=queries.BY_STAGE)),
                unit="locale",
            ),
        ],
        no_value=verdicts.NO_VERDICT,
        sort_by="severity",
    )


def _week() -> core.Panel:
    lost = queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how="max", over="avg", window="1h")
    return graph(
        BottlenecksPanel.IMPACT_WEEK,
        "Mean time that cards lost because of each stage, over 1 hour, stacked. The widest band costs most.",
        [(STAGE_LEGEND, lost)],
        unit="s",
        axis="time lost",
        no_value=verdicts.NO_VERDICT,
        since="7d",
        interval="1h",
        stacked=True,
        links=[ONLY_STAGE],
    )


def _bubbles(limits: Limits) -> core.Panel:
    forming, severe = (limits.get(rule, value) for rule, value in ((_FORMING, 50.0), (_SEVERE, 75.0)))
    worst = queries.gauge(BOTTLENECK_SEVERITY, by=queries.BY_STAGE, how="max", over="max", window="7d")
    lost = f"{queries.gauge(BOTTLENECK_IMPACT, by=queries.BY_STAGE, how='max', over='avg', window='7d')} / 60"
    bands = {
        "minor": f"{worst} < {forming:g}",
        "warning": f"({worst} >= {forming:g}) < {severe:g}",
        "critical": f"{worst} >= {severe:g}",
    }
    colours = {"minor": "light-blue", "warning": WARNING, "critical": CRITICAL}
    fields = {"name": "stage", "Value #A": "episodes", "Value #B": "worst severity"}
    fields |= {f"Value #{chr(ord('C') + index)}": f"{name} minutes lost" for index, name in enumerate(bands)}
    frequency = queries.count(BOTTLENECK_EPISODES, "7d", by=queries.BY_STAGE)
    nothing = f"{frequency} * 0 - {_OUTSIDE}"
    return xy_chart(
        BottlenecksPanel.BUBBLES,
        "One bubble per stage: how often it was a bottleneck in 7 days, how much time cards lost because of it on "
        "average (minutes in an analysis window), its worst severity as size and colour. Upper right: fix first.",
        [
            _anchored(frequency),
            _anchored(worst),
            *(
                _anchored(f"(({lost} and on (pipeline, stage) {band}) or {nothing})", outside=True)
                for band in bands.values()
            ),
        ],
        [
            Series(name=name, x="episodes", y=f"{name} minutes lost", size="worst severity", colour=colours[name])
            for name in bands
        ],
        fields=fields,
        show="points",
        no_value=verdicts.NO_VERDICT,
        overrides=[
            override("episodes", custom__axisLabel="episodes in 7 days", min=-1),
            *(override(f"{name} minutes lost", custom__axisLabel="minutes lost", min=-0.5) for name in bands),
        ],
    )


def _anchored(by_stage: str, *, outside: bool = False) -> str:
    """Name the bubbles, and add one of severity 0 that is never seen: Grafana draws none if all have the same size."""
    anchor = f"0 * max({by_stage})" + (f" - {_OUTSIDE}" if outside else "")
    return f'{queries.named(by_stage)} or label_replace({anchor}, "name", " ", "", "")'
