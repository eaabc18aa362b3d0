"""The monitoring itself on the dashboard ``pipeline``: what the alerts on it compare.

These panels draw recorded signals, as their alerts do: much of it is of Prometheus and Alertmanager, which are not in
the catalogue.
"""

from grafanalib import core

from jelmon.catalogue import EXPORTER_RESETS, LABELS_OVERFLOWED, STREAM_CHANGES
from jelmon_generators.dashboards import queries
from jelmon_generators.dashboards.fields import CRITICAL, OK
from jelmon_generators.dashboards.layout import Heading, Line
from jelmon_generators.dashboards.limits import Limits
from jelmon_generators.dashboards.panels.graphs import graph, timeline
from jelmon_generators.model.dashboards import PipelinePanel

_CHECKS = (  # signal, labels that tell its series apart, name, whether 0 is good
    ("heartbeat", (), "rules evaluated", False),
    ("exporter_up", ("instance",), "exporter {{instance}} scraped", False),
    ("event_source_up", ("source",), "source {{source}} connected", False),
    ("state_store_up", (), "state store", False),
    ("history_up", ("instance",), "alert history {{instance}}", False),
    ("store_database_up", ("instance",), "store database {{instance}}", False),
    ("alertmanagers_discovered", ("instance",), "Prometheus {{instance}} knows an Alertmanager", False),
    ("prometheus_reload_ok", ("instance",), "Prometheus {{instance}} configuration", False),
    ("alertmanager_reload_ok", ("instance",), "Alertmanager {{instance}} configuration", False),
    ("exporter_reload_ok", ("instance",), "exporter {{instance}} configuration", False),
    ("rules_difference", (), "Prometheus and responder have the same rules", True),
)
_NO_RULES = "no rules are evaluated"


def rows(limits: Limits) -> list[Heading | Line]:
    """Return the row of the monitoring."""
    return [
        Heading(108, "Monitoring of the monitoring", collapsed=True),
        Line(10, [_checks(), _baselines()], (16, 8)),
        Line(7, [_exporter_age(limits), _analyzer_age(limits), _store_age(limits), _store_maintenance(limits)]),
        Line(7, [_irregularities(limits), _rule_faults(), _undelivered(limits)]),
        Line(7, [_notification_faults(), _store_queue(limits), _store_rejected(), _silences(limits)]),
    ]


def _by(signal: str, labels: tuple[str, ...], *, how: str = "max") -> str:
    grouping = f" by ({', '.join(labels)})" if labels else ""
    return f"{how}{grouping} ({queries.recorded(signal)})"


def _checks() -> core.Panel:
    return timeline(
        PipelinePanel.CHECKS,
        "What must be up for alerts to be worth anything. A missing row: the service is not installed, or gone.",
        [
            (name, f"{_by(signal, labels)} {'== bool 0' if zero_is_good else '> bool 0'}")
            for signal, labels, name, zero_is_good in _CHECKS
        ],
        words={"0": ("down", CRITICAL), "1": ("up", OK)},
        no_value=_NO_RULES,
    )


def _baselines() -> core.Panel:
    return timeline(
        PipelinePanel.BASELINES_MISSING,
        "Whether the regression analyzer has learned a baseline for each signal.",
        [
            (
                "{{signal}} {{pipeline}}",
                f"max by (signal, pipeline) ({queries.recorded('regression_baseline_ready', 'pipeline')})",
            )
        ],
        words={"0": ("missing", CRITICAL), "1": ("ready", OK)},
        no_value="analyzer missing, or no rules are evaluated",
    )


def _exporter_age(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.EXPORTER_AGE,
        "Time since each exporter last completed a collection cycle. Dashed: alert threshold.",
        [("{{instance}}", _by("exporter_age_seconds", ("instance",)))],
        unit="s",
        no_value=_NO_RULES,
        levels=limits.lines(exporter_frozen=CRITICAL),
    )


def _analyzer_age(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.ANALYZER_AGE,
        "Time since the last successful cycle of each analyzer. Dashed: alert threshold.",
        [("{{analyzer}}", _by("analyzer_age_seconds", ("analyzer",)))],
        unit="s",
        no_value="no analyzer, or no rules are evaluated",
        levels=limits.lines(analyzer_stale="orange"),
    )


def _store_age(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.STORE_AGE,
        "Time since the store last wrote samples. Dashed: alert threshold.",
        [("store", _by("store_age_seconds", ()))],
        unit="s",
        no_value="no store, or no rules are evaluated",
        levels=limits.lines(store_behind="orange"),
    )


def _store_maintenance(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.STORE_MAINTENANCE,
        "Time since a store last maintained its database. Dashed: alert threshold.",
        [("maintenance", _by("store_maintenance_age_seconds", ()))],
        unit="s",
        no_value="no store, or no rules are evaluated",
        levels=limits.lines(store_maintenance_failing="orange"),
    )


def _irregularities(limits: Limits) -> core.Panel:
    resets = limits.window("counters_reset", "1h")
    changes = limits.window("stream_changed", "1h")
    overflow = limits.window("label_overflow", "1h")
    return graph(
        PipelinePanel.IRREGULARITIES,
        "How often counters were reset below exposed values, the stream was recreated, truncated or trimmed, and label "
        "values were counted in an overflow series. Each raises an alert above 0.",
        [
            ("counters reset: {{reason}}", queries.count(EXPORTER_RESETS, resets, by=("reason",))),
            ("stream {{reason}}", queries.count(STREAM_CHANGES, changes, by=("reason",))),
            ("label overflow: {{metric}}", queries.count(LABELS_OVERFLOWED, overflow, by=("metric",))),
        ],
        unit="locale",
        no_value="none",
    )


def _rule_faults() -> core.Panel:
    return graph(
        PipelinePanel.RULE_FAULTS,
        "Evaluations of rules that failed, and evaluations that Prometheus skipped because it was too slow. Each "
        "raises an alert above 0.",
        [
            ("{{rule_group}} failed", _by("rule_failures", ("rule_group",))),
            ("{{rule_group}} missed", _by("rule_iterations_missed", ("rule_group",))),
        ],
        unit="locale",
        no_value=_NO_RULES,
    )


def _undelivered(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.UNDELIVERED,
        "Share of the alerts that Prometheus could not send to any Alertmanager. Dashed: alert threshold.",
        [("{{instance}}", _by("alerts_undelivered_ratio", ("instance",)))],
        unit="percentunit",
        maximum=1,
        no_value="no alerts were sent, or no rules are evaluated",
        levels=limits.lines(alert_delivery_failing=CRITICAL),
    )


def _notification_faults() -> core.Panel:
    return graph(
        PipelinePanel.NOTIFICATION_FAULTS,
        "Notifications that Alertmanager could not deliver (5 minutes), and e-mails that the mail server refused "
        "permanently (15 minutes). Each raises an alert above 0.",
        [
            ("{{integration}} failed", _by("notification_failures", ("integration",))),
            ("{{channel}} refused", _by("emails_refused", ("channel",))),
        ],
        unit="locale",
        no_value="none, or no rules are evaluated",
    )


def _store_queue(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.STORE_QUEUE,
        "Share of the store's queue that is in use. Dashed: alert threshold.",
        [("{{instance}}", _by("store_queue_ratio", ("instance",)))],
        unit="percentunit",
        no_value="no store, or no rules are evaluated",
        levels=limits.lines(store_overloaded="orange"),
    )


def _store_rejected() -> core.Panel:
    return graph(
        PipelinePanel.STORE_REJECTED,
        "Samples that the store refused, by reason. An alert fires above 0.",
        [("{{reason}}", _by("store_rejected", ("reason",)))],
        unit="locale",
        no_value="none, or no store",
    )


def _silences(limits: Limits) -> core.Panel:
    return graph(
        PipelinePanel.SILENCES,
        "Time until the last silence of a firing alert ends. Dashed: below it an alert fires.",
        [("{{alert}}", _by("silence_ends_in_seconds", ("alert",)))],
        unit="s",
        no_value="no silences",
        levels=limits.lines(silence_ending_soon="orange"),
    )
