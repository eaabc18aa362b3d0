"""What the terminal shows while the demo runs."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jelmon.demo.proof import NO_ANSWER, Addresses, Proof, Step, get_json, query

MOST_CHANGES = 2
YOUNG_CHANGE = 0.5
MOST_VERDICTS = 3
LIMITS_FROM = 40  # severity at which an episode ends: below it, chance decides which stage is the highest
_SEVERITIES = ("critical", "warning", "info", "")
_COMMON_LABELS = {"alertname", "severity", "pipeline", "job", "team", "service", "rule_id", "escalation"}
_SEVERITY_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One line of the stage table; None where there is no figure yet."""

    stage: str
    waiting: float | None
    running: float | None
    finished: float | None
    severity: float | None  # 0 to 100, how far the stage limits the pipeline
    run_p50: float | None
    run_p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert; ``labels`` tell it from others of the same name."""

    name: str
    severity: str
    state: str
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What Prometheus knows at one moment."""

    cards_per_hour: float | None = None
    finished: float | None = None
    in_progress: float | None = None
    waiting: float | None = None
    idle_seconds: float | None = None
    stages: list[StageRow] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)  # firing before pending, the worst first
    verdicts: list[str] = field(default_factory=list)  # of the analyzers
    trouble: str = ""


def take_snapshot(addresses: Addresses) -> Snapshot:
    """Query Prometheus; what it does not know is None."""
    try:
        return _snapshot(addresses)
    except NO_ANSWER as error:
        return Snapshot(trouble=f"Prometheus does not answer: {error}")


def _snapshot(addresses: Addresses) -> Snapshot:
    where = f'{{pipeline="{addresses.pipeline}"}}'

    def value(expression: str) -> float | None:
        result = query(addresses.prometheus, expression)
        return result[0][1] if result and result[0][1] == result[0][1] else None

    def by_stage(expression: str) -> dict[str, float]:
        return {
            labels["stage"]: value for labels, value in query(addresses.prometheus, expression) if "stage" in labels
        }

    def quantile(q: float) -> dict[str, float]:
        rate = f"rate(jelmore_stage_run_seconds_bucket{where}[2m])"
        return by_stage(f"histogram_quantile({q}, sum by (stage, le) ({rate}))")

    position = by_stage(f"max by (stage) (jelmore_stage_position{where})")
    waiting = by_stage(f"max by (stage) (jelmore_stage_queue_depth{where})")
    running = by_stage(f"max by (stage) (jelmore_stage_runs_in_progress{where})")
    finished = by_stage(f"sum by (stage) (max without (instance) (jelmore_stage_runs_finished_total{where}))")
    severity = by_stage(f"max by (stage) (jelmore_bottleneck_severity_score{where})")
    p50, p95 = quantile(0.5), quantile(0.95)
    alerts = get_json(f"{addresses.prometheus}/api/v1/alerts")["data"]["alerts"]
    return Snapshot(
        cards_per_hour=value(f"sum(rate(jelmore_cards_finished_total{where}[1m])) * 3600"),
        finished=value(f"sum(jelmore_cards_finished_total{where})"),
        in_progress=value(f"max(jelmore_cards_in_progress{where})"),
        waiting=value(f"max(jelmore_cards_waiting{where})"),
        idle_seconds=value(f"time() - max(jelmore_pipeline_last_activity_timestamp_seconds{where})"),
        stages=[
            StageRow(
                stage=stage,
                waiting=waiting.get(stage),
                running=running.get(stage),
                finished=finished.get(stage),
                severity=severity.get(stage),
                run_p50=p50.get(stage),
                run_p95=p95.get(stage),
            )
            for stage in sorted({*position, *running, *finished}, key=lambda stage: (position.get(stage, 1e9), stage))
        ],
        verdicts=[*_limits(addresses, where), *_changes(addresses, where), *_health(addresses, where)],
        alerts=sorted(
            (_alert(alert) for alert in alerts if alert["labels"]["alertname"] != "Watchdog"),
            key=lambda row: (row.state != "firing", _SEVERITIES.index(row.severity), row.name, row.labels),
        ),
    )


def _alert(alert: dict[str, Any]) -> AlertRow:
    labels = alert["labels"]
    severity = labels.get("severity", "")
    return AlertRow(
        name=labels["alertname"],
        severity=severity if severity in _SEVERITIES else "",
        state=alert["state"],
        labels=" ".join(
            f"{name}={value}"
            for name, value in sorted(labels.items())
            if name not in _COMMON_LABELS and (name, value) != ("instance", "all")
        ),
    )


def _limits(addresses: Addresses, where: str) -> list[str]:
    """Return the stage that limits the pipeline, how much, why, and what a speed-up would gain."""

    def by_stage(metric: str) -> dict[str | None, float]:
        return {
            labels.get("stage"): value
            for labels, value in query(addresses.prometheus, f"max by (stage) ({metric}{where})")
        }

    gain, severity = by_stage("jelmore_bottleneck_gain_seconds"), by_stage("jelmore_bottleneck_severity_score")
    if severity and max(severity.values()) < LIMITS_FROM:
        return [f"no stage limits the pipeline (severity up to {number(max(severity.values()))} of 100)"]
    return [
        f"{labels['stage']} limits the pipeline, severity {number(severity.get(labels['stage']))} of 100 "
        f"({labels['state']}, {labels['cause']})" + _saving(gain.get(labels["stage"]))
        for labels, _ in query(addresses.prometheus, f"jelmore_bottleneck_info{where}")
    ]


def _saving(seconds: float | None) -> str:
    return "" if seconds is None else f"; 20 % faster saves {seconds:.1f} s a card"


def _changes(addresses: Addresses, where: str) -> list[str]:
    """Return the largest changes: run times before queue times, which follow from them.

    A series with a baseline counts if its interval excludes 0; a younger one if it seems to change by half or more.
    """

    def by_series(part: str) -> dict[tuple[str, str], float]:
        result = query(addresses.prometheus, f"jelmore_regression_{part}{where}")
        return {(labels["signal"], labels.get("stage", "")): value for labels, value in result}

    changes, lower, upper = (by_series(f"change_{part}ratio") for part in ("", "lower_", "upper_"))
    ready = by_series("baseline_ready")
    shown = [
        series
        for series, change in changes.items()
        if (
            lower.get(series, 0.0) > 0 or upper.get(series, 0.0) < 0
            if ready.get(series)
            else abs(change) >= YOUNG_CHANGE
        )
    ]
    shown.sort(key=lambda series: (series[0] != "stage_run_seconds", -abs(changes[series]), series))
    return [
        f"{signal} of {stage or addresses.pipeline} "
        + ("changed" if ready.get((signal, stage)) else "seems to have changed")
        + f" by {100 * changes[signal, stage]:+.0f} %"
        + ("" if ready.get((signal, stage)) else "; no verdict yet: the baseline needs 3 days")
        for signal, stage in shown[:MOST_CHANGES]
    ]


def _health(addresses: Addresses, where: str) -> list[str]:
    """Return the score and the components that cost the most points."""
    score = query(addresses.prometheus, f"max(jelmore_health_score{where})")
    lost = query(addresses.prometheus, f"topk(3, max by (component) (jelmore_health_points_lost{where}) >= 1)")
    parts = ", ".join(f"{labels['component']} -{value:.0f}" for labels, value in lost)
    return [f"health {score[0][1]:.0f} of 100" + (f" ({parts})" if parts else "")] if score else []


def number(value: float | None, form: str = ",.0f", unit: str = "") -> str:
    """Return the value as text, or a dash: no data is not 0."""
    return "-" if value is None or value != value else f"{value:{form}}{unit}"


def render(snapshot: Snapshot, proof: Proof, started: float, *, height: int = 24) -> RenderableType:
    """Return what changes on the screen. It fits a terminal of 80 by 24; a higher one shows more alerts."""
    elapsed = int(time.monotonic() - started)
    head = Text.assemble(
        ("jelmon demo", "bold"),
        f"  {elapsed // 60}:{elapsed % 60:02d}  ",
        (f"{number(snapshot.cards_per_hour)} cards/h", "bold cyan"),
        f"  finished {number(snapshot.finished)}  in progress {number(snapshot.in_progress)}"
        f"  last activity {number(snapshot.idle_seconds, '.0f', ' s ago')}",
    )
    steps = _steps(proof)
    taken = 2 + len(snapshot.stages) + len(steps) + min(len(snapshot.verdicts), MOST_VERDICTS) + 2
    parts: list[RenderableType] = [
        head,
        _stages(snapshot),
        *_alerts(snapshot, max(2, height - 1 - taken)),
        *[Text(f"  {verdict}") for verdict in snapshot.verdicts[:MOST_VERDICTS]],
        *steps,
    ]
    if snapshot.trouble:
        parts.append(Text(snapshot.trouble, style="red"))
    for part in parts:
        if isinstance(part, Text):
            part.no_wrap, part.overflow = True, "ellipsis"
    return Group(*parts, Text("Ctrl-C stops everything.", style="dim"))


def _stages(snapshot: Snapshot) -> Table:
    table = Table("stage", box=None, pad_edge=False)
    for column in ("queued", "running", "finished", "severity", "run p50", "run p95"):
        table.add_column(column, justify="right")
    for row in snapshot.stages:
        table.add_row(
            row.stage,
            number(row.waiting),
            number(row.running),
            number(row.finished),
            number(row.severity),
            number(row.run_p50, ".1f", " s"),
            number(row.run_p95, ".1f", " s"),
        )
    if not snapshot.stages:
        table.add_row("waiting for the first scrape ...")
    return table


def _alerts(snapshot: Snapshot, lines: int) -> list[Text]:
    """Return the firing alerts, one a line, the worst first; pending ones are counted."""
    firing = [alert for alert in snapshot.alerts if alert.state == "firing"]
    pending = sum(alert.state == "pending" for alert in snapshot.alerts)
    head = Text.assemble(
        ("alerts  ", "bold"),
        (f"{len(firing)} firing" if firing else "none firing", "red" if firing else "green"),
        f", {pending} pending" if pending else "",
    )
    shown = firing if len(firing) < lines else firing[: max(1, lines - 2)]
    rows = [
        Text(f"  {alert.severity:<8}  {alert.name}  {alert.labels}", _SEVERITY_STYLE.get(alert.severity, ""))
        for alert in shown
    ]
    return [head, *rows] + [Text(f"  and {len(firing) - len(shown)} more")] * (len(shown) < len(firing))


def _steps(proof: Proof) -> list[Text]:
    """Return the steps of the proof; once it is complete, what followed and what to do next."""
    if proof.complete:
        done = [_step(step, proof) for step in (proof.steps[-1], *proof.aftermath)]
        return [
            Text(f"path of the stall alert: all {len(proof.steps)} steps seen", style="bold green"),
            *done,
            *_next(),
        ]
    return [Text("path of the stall alert", style="bold"), *(_step(step, proof) for step in proof.steps)]


def _step(step: Step, proof: Proof) -> Text:
    if step.seen_at is None:
        return Text(f"  · {step.name}", style="dim")
    return Text.assemble(
        (f"  ✔ {step.name}", "green"), (f"  {step.evidence} (after {step.seen_at - proof.started:.0f} s)", "dim")
    )


def _next() -> list[Text]:
    return [
        Text("next", style="bold"),
        Text("  open the board, whose address is above"),
        Text("  send your own events: the two lines above"),
        Text("  write an alert: `jelmon init my-rules`, then docs/alerting.md"),
    ]


def where_to_look(addresses: Addresses) -> Text:
    """Return the address to open in a browser, which links to all others, and how to send events."""
    card = f"--pipeline mine --subject 1 --nats.url {addresses.nats}"
    return Text.assemble(
        ("open ", ""),
        (f"{addresses.board}/", "bold"),
        "\nsend your own events:\n",
        f"  jelmon emit card.started {card}\n  jelmon emit card.finished --outcome success {card}\n",
    )
