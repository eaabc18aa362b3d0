"""Render catalogue and definitions as ``docs/metrics.md`` and ``docs/alerts.md``."""

from datetime import UTC, datetime

from jelmon.catalogue import CATALOGUE, Histogram, Metric, Service, of_service
from jelmon_generators.compile.delivery import hops
from jelmon_generators.compile.maintenance import concerns
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.compiler import Compilation
from jelmon_generators.model.definitions import SEVERITIES, Alert
from jelmon_generators.model.windows import mutes
from jelmon_generators.promql.expressions import duration, number
from jelmon_generators.render.prometheus import RULES_FOLDER
from jelmon_generators.text import banner, table

MOMENTS = (datetime(2026, 1, 6, 10, 0, tzinfo=UTC), datetime(2026, 1, 4, 3, 0, tzinfo=UTC))


def metrics_document() -> dict[str, str]:
    """Return the document of all metrics, by service."""
    lines = [
        banner("src/jelmon/catalogue/"),
        "# Metrics",
        "",
        f"{len(CATALOGUE)} metric families. Units are base units: seconds, bytes, ratios from 0 to 1; a *score*",
        "ranges from 0 to 100. Prometheus adds `job` (`jelmon-<service>`) and `instance`. Histograms have the series",
        "`_bucket`, `_sum` and `_count`. All replicas of a service expose the same committed values, so aggregate with",
        "`max without (instance, pod)` before summing.",
    ]
    for service in Service:
        lines += ["", f"## {service.value.capitalize()}", "", f"Job `{service.job}`.", ""]
        lines += table(("metric", "type", "labels", "meaning"), [_metric_row(metric) for metric in of_service(service)])
    buckets: dict[tuple[float, ...], list[str]] = {}
    for metric in CATALOGUE:
        if isinstance(metric, Histogram):
            buckets.setdefault(metric.buckets, []).append(f"`{metric.name}`")
    lines += ["", "## Buckets", "", "Upper bounds in seconds; `+Inf` is implied.", ""]
    lines += table(
        ("bounds", "histograms"),
        [(", ".join(f"{bound:g}" for bound in bounds), ", ".join(names)) for bounds, names in buckets.items()],
    )
    return {"docs/metrics.md": "\n".join(lines) + "\n"}


def _metric_row(metric: Metric) -> tuple[str, str, str, str]:
    labels = []
    for label in metric.labels:
        values = metric.closed.get(label)
        labels.append(f"`{label}`" + (f" ({', '.join(values)})" if values and len(values) <= 8 else ""))
    return f"`{metric.name}`", metric.kind, ", ".join(labels), metric.help


def alerts_document(made: Compilation) -> dict[str, str]:
    """Return the document of all alerts: when they fire, who is notified, what to do."""
    bundle = made.bundle
    sources = "rules/"
    lines = [
        banner(sources),
        "# Alerts",
        "",
        "Every alert, its condition in words, who is notified, and its runbook. The definitions are in",
        f"`rules/alerts/`, the generated rules in `{RULES_FOLDER}/`.",
        "",
        *table(
            ("alert", "severity", "fires when", "after", "escalation"),
            [
                (
                    f"[{compiled.alert.name}](#{compiled.alert.name.lower()})",
                    compiled.alert.severity,
                    compiled.alert.condition.describe(bundle.signals),
                    duration(compiled.alert.duration_seconds) if compiled.alert.duration_seconds else "immediately",
                    compiled.alert.escalation or "",
                )
                for compiled in made.compiled
            ],
        ),
    ]
    lines += ["", "## Who is notified", ""]
    lines += ["By severity and escalation level, on a Tuesday morning and at 03:00 on a Sunday (UTC)."]
    lines += ["`jelmon routes explain` shows it for any labels and time.", ""]
    lines += table(("alert", *(f"{moment:%A %H:%M}" for moment in MOMENTS)), _notified_rows(made))
    lines += _objectives(made) + _windows(made)
    for compiled in made.compiled:
        lines += _alert_section(compiled, made)
    lines += ["", "## Signals", "", "The expressions that alerts compare. Each is recorded as `jelmore:<signal>`.", ""]
    lines += table(
        ("signal", "unit", "worse when", "meaning"),
        [(f"`{s.name}`", s.unit, s.direction.value, s.description) for s in bundle.signals.values() if not s.group],
    )
    return {"docs/alerts.md": "\n".join(lines) + "\n"}


def _objectives(made: Compilation) -> list[str]:
    """Describe the objectives and their series."""
    rows = [
        (
            slo.title,
            f"{slo.objective * 100:g} % over {duration(slo.period_seconds)}, by {', '.join(slo.by) or 'nothing'}",
            f"minutes in which {slo.condition.describe(made.bundle.signals)}"
            if slo.condition
            else f"`{slo.bad}` of `{slo.valid}`",
            f"`jelmore:slo_{slo.name}_budget_left_ratio`, `jelmore:slo_{slo.name}_budget_exhausted_in_seconds`",
        )
        for slo in made.bundle.slos.values()
    ]
    if not rows:
        return []
    return ["", "## Objectives", "", *table(("objective", "target", "bad", "series"), rows)]


def _windows(made: Compilation) -> list[str]:
    """Describe the maintenance windows and the objectives that exclude them."""
    rows = []
    heads = ("window", "silences", "when", "excluded from", "reason", "owner")
    for window in made.bundle.windows.values():
        scope = ", ".join(f"{name} {value}" for name, value in window.matchers) or f"every {window.route}"
        first = f"{window.first.isoformat()} {window.at:%H:%M} {window.zone.key}, {duration(window.duration_seconds)}"
        again = window.fields.text("rrule", "") if window.recurrence else ""
        spared = [slo.title for slo in made.bundle.slos.values() if concerns(window, slo.by)]
        when = f"{first}{f'; {again}' if again else ''}"
        rows.append((window.name, scope, when, ", ".join(spared) or "nothing", window.description, window.owner))
    if not rows:
        return []
    return ["", "## Maintenance windows", "", *table(heads, rows)]


def _notified_rows(made: Compilation) -> list[tuple[str, ...]]:
    """Return a row for each severity and each escalation level."""
    cases = [(severity, {"severity": severity}) for severity in SEVERITIES if severity != "none"]
    for escalation in made.bundle.escalations.values():
        for place, level in enumerate(escalation.levels, 1):
            labels = {"severity": "critical", "escalation": escalation.name, "escalation_level": str(place)}
            cases.append((f"{escalation.name}, level {place} after {number(level.minutes)} minutes", labels))
    return [(title, *(_notified_at(made, labels, moment) for moment in MOMENTS)) for title, labels in cases]


def _notified_at(made: Compilation, labels: dict[str, str], moment: datetime) -> str:
    channels: dict[str, None] = {}
    for hop in hops(made.routing.root, labels):
        if not any(mutes(made.bundle.windows[name], moment) for name in hop.muted_in):
            channels.update(dict.fromkeys(made.routing.receivers[hop.receiver]))
    return ", ".join(channels) or "none"


def _alert_section(compiled: Compiled, made: Compilation) -> list[str]:
    alert = compiled.alert
    facts = [
        ("condition", alert.condition.describe(made.bundle.signals)),
        *(("unless", part.describe(made.bundle.signals)) for part in alert.unless),
        ("fires after", duration(alert.duration_seconds) if alert.duration_seconds else "immediately"),
        *((("keeps firing for", duration(alert.keep_firing_seconds)),) if alert.keep_firing_seconds else ()),
        ("severity, team", f"{alert.severity}, {alert.team}"),
        ("notified", _channels(alert, made)),
    ]
    if alert.escalation:
        facts += [
            (f"level {place}", f"after {number(level.minutes)} minutes: {level.escalate_to} ({_names(level.channels)})")
            for place, level in enumerate(made.bundle.escalations[alert.escalation].levels, 1)
        ]
    if alert.inhibited_by:
        facts.append(("inhibited by", ", ".join(made.bundle.alerts[name].name for name, _ in alert.inhibited_by)))
    if alert.windows is not None:
        facts.append(("silenced by windows", ", ".join(name for name, _ in alert.windows) or "none"))
    if alert.auto_actions:
        facts.append(("automated actions", ", ".join(f"`{action}`" for action in alert.auto_actions)))
    if alert.dashboard:
        facts.append(("dashboard", f"{alert.dashboard}" + (f", panel *{alert.panel}*" if alert.panel else "")))
    facts.append(("labels", ", ".join(f"`{label}`" for label in sorted(compiled.expression.labels)) or "none"))
    facts.append(("see", f"[runbook](runbooks/{alert.name}.md), `{alert.source}`"))
    lines = ["", f"## {alert.name}", "", _plain(alert.summary) + ".", "", *table(("", ""), facts)]
    return [*lines, "", "```promql", compiled.rules[0].expr, "```"]


def _plain(template: str) -> str:
    """Return a summary without template syntax: ``{{ $labels.stage }}`` becomes ``<stage>``."""
    text = template
    while "{{" in text and "}}" in text:
        before, rest = text.split("{{", 1)
        inner, after = rest.split("}}", 1)
        words = inner.split()
        name = words[0].removeprefix("$labels.").removeprefix("$") if words else ""
        text = f"{before}*{name}*{after}"
    return text


def _channels(alert: Alert, made: Compilation) -> str:
    bundle = made.bundle
    key = "watchdog" if alert.rule_id == "watchdog" else alert.severity
    chosen = alert.channels or (bundle.routes[key].channels if key in bundle.routes else ())
    return _names((*bundle.everywhere, *chosen)) or "none"


def _names(channels: tuple[tuple[str, object], ...]) -> str:
    return ", ".join(dict.fromkeys(name for name, _ in channels))
