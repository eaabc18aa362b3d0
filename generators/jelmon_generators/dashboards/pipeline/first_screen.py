"""The first lines of the dashboard ``pipeline``: which pipeline is in what state, where, why, and who says so."""

from grafanalib import core

from jelmon.catalogue import BOTTLENECK_INFO, BOTTLENECK_OVERALL, HEALTH_SCORE, STAGE_OLDEST_WAITING
from jelmon_generators.dashboards import progress, queries
from jelmon_generators.dashboards.fields import CRITICAL, GONE, GREY, OK, TEXT, WARNING, go_to, steps, value_map
from jelmon_generators.dashboards.layout import Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.tables import COUNT, Column, table
from jelmon_generators.dashboards.pipeline import alerts
from jelmon_generators.model.dashboards import PipelinePanel

_PIPELINE = ("pipeline",)
_STATES = {"3": ("stalled", CRITICAL), "2": ("held up", WARNING), "1": ("moving", OK), "0": ("idle", GREY)}
_STALLED = 4  # says more than any other critical alert of a pipeline
_SEVERITIES = {"critical": 3, "warning": 2, "info": 1}


def lines(limits: Limits) -> list[Line]:
    """Return the table of pipelines, and the alerts."""
    return [Line(6, [_pipelines(limits)]), Line(8, [alerts.alerts_now(), alerts.alerts_over_time()], (13, 11))]


def _pipelines(limits: Limits) -> core.Panel:
    own = "${__data.fields.pipeline}"
    firing = [queries.alerts("firing", severity=severity) for severity in _SEVERITIES]
    return table(
        PipelinePanel.PIPELINES,
        "One line for each pipeline, worst first. stalled: cards are in flight and nothing has happened for longer "
        "than the pipeline's limit; held up: a stage limits it severely; idle: no cards in flight. Then the stage that "
        "limits it and why (without a verdict of the analyzer the stage with the longest wait), the time without "
        "activity as a share of the limit, cards in flight, health, and its alerts: the gravest by name, and how many.",
        [
            Column(
                name="state",
                query=_state(limits),
                unit="none",
                mappings=value_map(_STATES),
                levels=steps(TEXT, (0, GREY), (1, OK), (2, WARNING), (3, CRITICAL)),
                filled=True,
                width=90,
            ),
            Column(
                name="pipeline", label="pipeline", width=110, links=[go_to("pipeline", "Only this one", pipeline=own)]
            ),
            Column(name="limiting", query=_limiting_stage(), hidden=True),
            Column(
                name="limited by stage",
                label="stage",
                width=160,
                links=[go_to("bottlenecks", "Show its bottlenecks", pipeline=own)],
            ),
            Column(name="cause", label="cause", width=110),
            Column(
                name="inactivity",
                query=progress.inactivity_share(limits),
                unit="percentunit",
                decimals=0,
                levels=steps(TEXT, (0.5, WARNING), (1, CRITICAL)),
            ),
            Column(name="limit", query=f"{progress.limit(limits)} + 0", unit="s"),
            Column(name="in flight", query=progress.in_flight(), unit=COUNT),
            Column(
                name="health",
                query=queries.gauge(HEALTH_SCORE, by=_PIPELINE, how="max"),
                unit="none",
                decimals=0,
                levels=steps(TEXT, (0, CRITICAL), (60, WARNING), (80, OK)),
            ),
            Column(name="gravest", query=_gravest_alert(), hidden=True),
            Column(name="alert", label="alertname", width=230),
            Column(
                name="alerts",
                query=" + ".join(f"(count by (pipeline) ({one}) or 0 * {_known()})" for one in firing),
                unit=COUNT,
                levels=steps(TEXT, (1, WARNING)),
            ),
        ],
        no_value=GONE,
        sort_by="state",
    )


def _known() -> str:
    return progress.in_flight()


def _state(limits: Limits) -> str:
    """Return 3 for stalled, 2 for held up, 1 for moving, 0 for idle."""
    busy = f"{progress.in_flight()} > 0"
    stalled = f"({progress.inactivity_share(limits)}) >= 1 and on (pipeline) {busy}"
    severity = queries.gauge(BOTTLENECK_OVERALL, by=_PIPELINE, how="max")
    held_up = f"{severity} >= {limits.get('bottleneck_forming', 50):g} and on (pipeline) {busy}"
    return f"({stalled}) * 0 + 3 or ({held_up}) * 0 + 2 or ({busy}) * 0 + 1 or 0 * {progress.in_flight()}"


def _limiting_stage() -> str:
    verdict = queries.gauge(BOTTLENECK_INFO, by=("pipeline", "stage", "cause"), how="max")
    waiting = queries.age(STAGE_OLDEST_WAITING, by=queries.BY_STAGE, how="min")
    longest = f'label_replace(topk by (pipeline) (1, {waiting}), "cause", "longest wait", "", "")'
    return f"topk by (pipeline) (1, {verdict}) or on (pipeline) {longest}"


def _gravest_alert() -> str:
    ranked = " or ".join(
        f"max by (pipeline, alertname) ({queries.alerts('firing', severity=severity)}) * {rank}"
        for severity, rank in _SEVERITIES.items()
    )
    stalled = queries.alerts("firing", severity="critical", rule_id="pipeline_stalled")
    ranked = f"max by (pipeline, alertname) ({stalled}) * {_STALLED} or {ranked}"
    # alerts that belong to no pipeline would make a line of their own
    return f"topk by (pipeline) (1, ({ranked}) and on (pipeline) {_known()})"
