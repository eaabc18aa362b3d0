"""Every metric of the product, declared once: what services may expose, rules may ask and panels may draw.

Names are ``jelmore_<thing>_<unit>[_total]`` in base units (seconds, bytes, ratios from 0 to 1; a *score* goes from 0 to
100). No identifier of unbounded variety (card, session, path, commit) is ever a label, and nothing is labelled
``service`` or ``env``: service discovery sets those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jelmon.events import EVENT_TYPES, Outcome, Severity, TestOutcome, Verdict


class Service(StrEnum):
    """Who exposes a metric; the Prometheus ``job`` is ``jelmon-<service>``."""

    EXPORTER = "exporter"
    ANALYZER = "analyzer"
    RESPONDER = "responder"
    STORE = "store"

    @property
    def job(self) -> str:
        return f"jelmon-{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric family; the only place its name is spelled.

    ``closed`` gives the values of labels that are small closed sets: a counter's series for them exist, at 0, as soon
    as the other labels are known, so that ``increase()`` sees the first event.
    """

    name: str
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    service: Service = Service.EXPORTER
    closed: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """``counter``, ``gauge`` or ``histogram``, as on a ``# TYPE`` line."""
        return type(self).__name__.lower()

    @property
    def series(self) -> tuple[str, ...]:
        """The names a query may use."""
        return (self.name,)

    @property
    def series_labels(self) -> tuple[str, ...]:
        """The labels a query may use, without those that Prometheus adds (``job``, ``instance``)."""
        return self.labels


class Counter(Metric):
    """Only goes up. The name ends in ``_total``."""


class Gauge(Metric):
    """Goes up and down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Metric):
    """Counts observations in buckets. ``buckets`` are upper bounds in ascending order, without ``+Inf``."""

    buckets: tuple[float, ...]

    @property
    def series(self) -> tuple[str, ...]:
        return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")

    @property
    def series_labels(self) -> tuple[str, ...]:
        return (*self.labels, "le")


# --- buckets, in seconds ---
WORK_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 259200, 604800)
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CYCLE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# --- closed label sets ---
_OUTCOME = {"outcome": tuple(Outcome)}
_TEST_OUTCOME = {"outcome": tuple(TestOutcome)}
_VERDICT = {"verdict": tuple(Verdict)}
_SEVERITY = {"severity": tuple(Severity)}
ALERT_SEVERITIES = ("critical", "warning", "info", "none")

_PIPELINE = ("pipeline",)
_STAGE = ("pipeline", "stage")

# --- pipeline: cards ---
CARDS_QUEUED = Counter(name="jelmore_cards_queued_total", help="Cards that arrived.", labels=_PIPELINE)
CARDS_STARTED = Counter(name="jelmore_cards_started_total", help="Cards on which work began.", labels=_PIPELINE)
CARDS_FINISHED = Counter(
    name="jelmore_cards_finished_total",
    help="Cards that left the pipeline.",
    labels=("pipeline", "outcome"),
    closed=_OUTCOME,
)
CARDS_WAITING = Gauge(
    name="jelmore_cards_waiting", help="Cards that arrived and on which no work has begun.", labels=_PIPELINE
)
CARDS_IN_PROGRESS = Gauge(
    name="jelmore_cards_in_progress", help="Cards started and not yet finished.", labels=_PIPELINE
)
CARD_PROCESSING = Histogram(
    name="jelmore_card_processing_seconds",
    help="Time from the start of a card to its finish.",
    unit="seconds",
    labels=("pipeline", "outcome"),
    buckets=WORK_BUCKETS,
)
CARD_WAIT = Histogram(
    name="jelmore_card_wait_seconds",
    help="Time from the arrival of a card to its start.",
    unit="seconds",
    labels=_PIPELINE,
    buckets=WORK_BUCKETS,
)
LAST_ACTIVITY = Gauge(
    name="jelmore_pipeline_last_activity_timestamp_seconds",
    help="Event time of the newest start, finish or retry of a card or stage; an arrival alone is no activity.",
    unit="seconds",
    labels=_PIPELINE,
)

# --- pipeline: what it declares about itself ---
STALL_LIMIT = Gauge(
    name="jelmore_pipeline_stall_limit_seconds",
    help="Declared time without activity after which the pipeline counts as stalled.",
    unit="seconds",
    labels=_PIPELINE,
)
CARD_TARGET = Gauge(
    name="jelmore_pipeline_card_target_seconds",
    help="Declared time that a card should take from start to finish.",
    unit="seconds",
    labels=_PIPELINE,
)
STAGE_POSITION = Gauge(
    name="jelmore_stage_position", help="Declared place of the stage in its pipeline, from 1.", labels=_STAGE
)
STAGE_WORKERS = Gauge(
    name="jelmore_stage_workers", help="Declared number of cards that the stage can serve at once.", labels=_STAGE
)
STAGE_QUEUE_CAPACITY = Gauge(
    name="jelmore_stage_queue_capacity", help="Declared number of cards that may wait for the stage.", labels=_STAGE
)
STAGE_TIME_LIMIT = Gauge(
    name="jelmore_stage_time_limit_seconds", help="Declared longest run of the stage.", unit="seconds", labels=_STAGE
)

# --- pipeline: stages ---
STAGE_RUNS_STARTED = Counter(
    name="jelmore_stage_runs_started_total", help="Attempts of a stage that began.", labels=_STAGE
)
STAGE_RUNS_FINISHED = Counter(
    name="jelmore_stage_runs_finished_total",
    help="Attempts of a stage that ended.",
    labels=("pipeline", "stage", "outcome"),
    closed=_OUTCOME,
)
STAGE_RETRIES = Counter(
    name="jelmore_stage_retries_total", help="Further attempts that were decided on.", labels=_STAGE
)
STAGE_TRANSITIONS = Counter(
    name="jelmore_stage_transitions_total",
    help="Cards that went from one stage to the next.",
    labels=("pipeline", "from_stage", "to_stage"),
)
STAGE_QUEUE_TIME = Histogram(
    name="jelmore_stage_queue_seconds",
    help="Time that a card waited for a stage, from queued to started.",
    unit="seconds",
    labels=_STAGE,
    buckets=WORK_BUCKETS,
)
STAGE_RUN_TIME = Histogram(
    name="jelmore_stage_run_seconds",
    help="Time that an attempt of a stage ran, from started to finished.",
    unit="seconds",
    labels=("pipeline", "stage", "outcome"),
    buckets=WORK_BUCKETS,
)
STAGE_IN_PROGRESS = Gauge(
    name="jelmore_stage_runs_in_progress", help="Attempts of a stage that run now.", labels=_STAGE
)
STAGE_QUEUE_DEPTH = Gauge(name="jelmore_stage_queue_depth", help="Cards that wait for the stage now.", labels=_STAGE)
STAGE_HELD_UP = Gauge(
    name="jelmore_stage_held_up", help="Cards finished in the stage that the next stage has no room for.", labels=_STAGE
)
STAGE_OLDEST_WAITING = Gauge(
    name="jelmore_stage_oldest_waiting_timestamp_seconds",
    help="When the card that has waited longest for the stage was queued; absent when none waits.",
    unit="seconds",
    labels=_STAGE,
)
STAGE_OLDEST_RUNNING = Gauge(
    name="jelmore_stage_oldest_running_timestamp_seconds",
    help="When the attempt that has run longest was started; absent when none runs.",
    unit="seconds",
    labels=_STAGE,
)

# --- quality ---
GATE_EVALUATIONS = Counter(
    name="jelmore_gate_evaluations_total",
    help="Verdicts of quality gates.",
    labels=("pipeline", "gate", "verdict"),
    closed=_VERDICT,
)
TESTS_FINISHED = Counter(
    name="jelmore_tests_finished_total",
    help="Tests that ended.",
    labels=("pipeline", "category", "outcome"),
    closed=_TEST_OUTCOME,
)
TEST_TIME = Histogram(
    name="jelmore_test_seconds",
    help="Time that a test ran.",
    unit="seconds",
    labels=("pipeline", "category"),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
TEST_FAILURES = Counter(
    name="jelmore_test_failures_total",
    help="Tests that failed or broke, by class of failure.",
    labels=("pipeline", "category", "reason"),
)
SCANS_FINISHED = Counter(
    name="jelmore_security_scans_finished_total",
    help="Security scans that ended.",
    labels=("pipeline", "scanner", "outcome"),
    closed=_OUTCOME,
)
SCAN_TIME = Histogram(
    name="jelmore_security_scan_seconds",
    help="Time that a security scan ran.",
    unit="seconds",
    labels=("pipeline", "scanner"),
    buckets=WORK_BUCKETS,
)
SCAN_FINDINGS = Counter(
    name="jelmore_security_findings_total",
    help="Security findings reported by scans.",
    labels=("pipeline", "scanner", "severity"),
    closed=_SEVERITY,
)

# --- services ---
TARGET_UP = Gauge(
    name="jelmore_target_up", help="1 if the last probe of the target succeeded, else 0.", labels=("target",)
)
PROBE_TIME = Histogram(
    name="jelmore_probe_seconds",
    help="Time that a probe took.",
    unit="seconds",
    labels=("target",),
    buckets=CALL_BUCKETS,
)
PROBE_PHASE = Gauge(
    name="jelmore_probe_phase_seconds",
    help="Time of the last probe by phase; a phase that was not reached is absent.",
    unit="seconds",
    labels=("target", "phase"),
    closed={"phase": ("resolve", "connect", "tls", "processing", "transfer")},
)
PROBE_FAILURES = Counter(
    name="jelmore_probe_failures_total",
    help="Probes that failed, by what failed.",
    labels=("target", "reason"),
    closed={
        "reason": (
            "resolve",
            "connect",
            "tls",
            "timeout",
            "status",
            "redirect",
            "body",
            "protocol",
            "blocked",
            "secret",
        )
    },
)
PROBE_TLS_EXPIRY = Gauge(
    name="jelmore_probe_tls_expiry_timestamp_seconds",
    help="When the first certificate of the target's chain expires.",
    unit="seconds",
    labels=("target",),
)
CALLS_FINISHED = Counter(
    name="jelmore_calls_finished_total",
    help="Calls to services that ended.",
    labels=("target", "outcome"),
    closed=_OUTCOME,
)
CALL_TIME = Histogram(
    name="jelmore_call_seconds",
    help="Time that a call to a service took.",
    unit="seconds",
    labels=("target",),
    buckets=CALL_BUCKETS,
)
CALL_ERRORS = Counter(
    name="jelmore_call_errors_total", help="Calls that failed, by class of error.", labels=("target", "reason")
)

# --- sessions, work recorded by hooks, actions ---
SESSIONS_STARTED = Counter(name="jelmore_sessions_started_total", help="Sessions that began.", labels=("kind",))
SESSIONS_FINISHED = Counter(
    name="jelmore_sessions_finished_total", help="Sessions that ended.", labels=("kind", "outcome"), closed=_OUTCOME
)
SESSIONS_ACTIVE = Gauge(name="jelmore_sessions_active", help="Sessions begun and not yet ended.", labels=("kind",))
SESSION_TIME = Histogram(
    name="jelmore_session_seconds",
    help="Time from start to end of a session.",
    unit="seconds",
    labels=("kind",),
    buckets=WORK_BUCKETS,
)
WORK_RECORDED = Counter(
    name="jelmore_work_recorded_total",
    help="Work reported by hooks of outside tools.",
    labels=("tool", "kind", "outcome"),
    closed=_OUTCOME,
)
WORK_TIME = Histogram(
    name="jelmore_work_seconds",
    help="Time that reported work took.",
    unit="seconds",
    labels=("tool", "kind"),
    buckets=WORK_BUCKETS,
)
ACTIONS_REQUESTED = Counter(
    name="jelmore_actions_requested_total", help="Automated actions that were asked for.", labels=("action",)
)
ACTIONS_FINISHED = Counter(
    name="jelmore_actions_finished_total",
    help="Automated actions that ended, as the pipeline reports.",
    labels=("action", "outcome"),
    closed=_OUTCOME,
)

# --- system, of the host that the exporter runs on ---
_HOST = ("host",)
SYSTEM_CPU = Gauge(
    name="jelmore_system_cpu_usage_ratio",
    help="CPU time used since the last collection, as a share of what the host (or the container's limit) has.",
    unit="ratio",
    labels=_HOST,
)
SYSTEM_CPUS = Gauge(name="jelmore_system_cpus", help="CPUs that may be used.", labels=_HOST)
SYSTEM_MEMORY = Gauge(
    name="jelmore_system_memory_usage_ratio",
    help="Memory in use, as a share of what the host (or the container's limit) has.",
    unit="ratio",
    labels=_HOST,
)
SYSTEM_MEMORY_TOTAL = Gauge(
    name="jelmore_system_memory_total_bytes", help="Memory that may be used.", unit="bytes", labels=_HOST
)
SYSTEM_SWAP = Gauge(
    name="jelmore_system_swap_usage_ratio", help="Swap in use, as a share of all.", unit="ratio", labels=_HOST
)
SYSTEM_DISK = Gauge(
    name="jelmore_system_disk_usage_ratio",
    help="Disk space in use, as a share of what unprivileged users may have.",
    unit="ratio",
    labels=("host", "mountpoint"),
)
SYSTEM_DISK_FREE = Gauge(
    name="jelmore_system_disk_free_bytes",
    help="Disk space free for unprivileged users.",
    unit="bytes",
    labels=("host", "mountpoint"),
)
SYSTEM_DISK_IO = Gauge(
    name="jelmore_system_disk_io_ratio",
    help="Share of the time since the last collection in which the disk was busy.",
    unit="ratio",
    labels=("host", "device"),
)
SYSTEM_LOAD = Gauge(
    name="jelmore_system_load", help="Load average.", labels=("host", "period"), closed={"period": ("1m", "5m", "15m")}
)
SYSTEM_NETWORK = Counter(
    name="jelmore_system_network_bytes_total",
    help="Bytes sent and received, without loopback.",
    unit="bytes",
    labels=("host", "direction"),
    closed={"direction": ("receive", "transmit")},
)

# --- the exporter's own health ---
EXPORTER_INFO = Gauge(
    name="jelmore_exporter_info", help="Always 1; the labels say what runs.", labels=("version", "state_store")
)
EVENTS_APPLIED = Counter(
    name="jelmore_exporter_events_applied_total",
    help="Events counted, by type.",
    labels=("type",),
    closed={"type": tuple(EVENT_TYPES)},
)
EVENTS_DUPLICATE = Counter(
    name="jelmore_exporter_events_duplicate_total", help="Events seen before (same id) and not counted again."
)
EVENTS_LATE = Counter(
    name="jelmore_exporter_events_late_total",
    help="Events that came after a newer state of their card; counted, but live gauges keep the newer state.",
)
EVENTS_SKEWED = Counter(
    name="jelmore_exporter_events_skewed_total",
    help="Negative durations, counted as 0, and event times far in the future, taken as 15 minutes ahead.",
)
EVENTS_PARKED = Counter(
    name="jelmore_exporter_events_parked_total",
    help="Events that could not be read and were parked in the dead-letter stream.",
    labels=("reason",),
    closed={"reason": ("oversized", "malformed", "unknown_type", "invalid")},
)
HTTP_EVENTS = Counter(
    name="jelmore_exporter_http_events_total",
    help="Events taken over HTTP, by what became of them.",
    labels=("result",),
    closed={"result": ("stored", "duplicate", "refused", "failed")},
)
EVENTS_LOST = Counter(
    name="jelmore_exporter_events_lost_total",
    help="Messages that the stream dropped before they were counted: exact, or nearly (docs/guarantees.md).",
)
STREAM_CHANGES = Counter(
    name="jelmore_exporter_stream_changes_total",
    help="Times that the stream was found to be another one, shorter, or trimmed past what was counted.",
    labels=("reason",),
    closed={"reason": ("recreated", "truncated", "trimmed")},
)
EXPORTER_RESETS = Counter(
    name="jelmore_exporter_state_resets_total",
    help="Times that counters had to start again below a value shown before.",
    labels=("reason",),
)
LABELS_OVERFLOWED = Counter(
    name="jelmore_exporter_label_overflow_total",
    help="Updates that went to the overflow series of a metric.",
    labels=("metric",),
)
CONSUMER_LAG = Gauge(
    name="jelmore_exporter_consumer_lag", help="Events in the stream that are not yet counted.", labels=("partition",)
)
PARTITION_OWNED = Gauge(
    name="jelmore_exporter_partition_owned",
    help="1 if this replica counts the partition's events, else 0.",
    labels=("partition",),
)
LAST_EVENT = Gauge(
    name="jelmore_exporter_last_event_timestamp_seconds",
    help="When an event last arrived, by the exporter's clock.",
    unit="seconds",
)
SOURCE_UP = Gauge(
    name="jelmore_exporter_source_up", help="1 if the source of events is connected, else 0.", labels=("source",)
)
STATE_STORE_UP = Gauge(
    name="jelmore_exporter_state_store_up", help="1 if the last write to the state store succeeded, else 0."
)
CHECKPOINT_TIME = Histogram(
    name="jelmore_exporter_checkpoint_seconds",
    help="Time that a checkpoint took.",
    unit="seconds",
    buckets=CYCLE_BUCKETS,
)
CHECKPOINT_SUCCESS = Gauge(
    name="jelmore_exporter_checkpoint_last_success_timestamp_seconds",
    help="When state was last written.",
    unit="seconds",
)
CONFIG_RELOADED = Gauge(
    name="jelmore_exporter_config_last_reload_successful",
    help="1 if the files of targets and pipelines were good when they were last read, else 0.",
)
CONFIG_RELOAD_TIME = Gauge(
    name="jelmore_exporter_config_last_reload_success_timestamp_seconds",
    help="When the files of targets and pipelines were last read and good.",
    unit="seconds",
)
COLLECTOR_UP = Gauge(
    name="jelmore_exporter_collector_up", help="1 if the collector's last run succeeded, else 0.", labels=("collector",)
)
COLLECTOR_TIME = Gauge(
    name="jelmore_exporter_collector_seconds",
    help="Time that the collector's last run took.",
    unit="seconds",
    labels=("collector",),
)
COLLECTED = Gauge(
    name="jelmore_exporter_collect_timestamp_seconds",
    help="When the exporter last did a round of work; ages when the process is alive but frozen.",
    unit="seconds",
)

# --- analyzers: regression ---
_SIGNAL = ("signal", "pipeline", "stage")


def _regression(name: str, text: str, unit: str = "", labels: tuple[str, ...] = _SIGNAL) -> Gauge:
    return Gauge(name=f"jelmore_regression_{name}", help=text, unit=unit, labels=labels, service=Service.ANALYZER)


REGRESSION_CHANGE = _regression("change_ratio", "Level now against the baseline; 0.1 is 10 % more.", "ratio")
REGRESSION_CHANGE_LOWER = _regression("change_lower_ratio", "Lower end of the change's 95 % interval.", "ratio")
REGRESSION_CHANGE_UPPER = _regression("change_upper_ratio", "Upper end of the change's 95 % interval.", "ratio")
REGRESSION_CONFIDENCE = _regression("confidence_ratio", "How sure it is that the level changed, 0 to 1.", "ratio")
REGRESSION_Q_VALUE = _regression(
    "q_value", "Share of false alarms expected among changes at least this clear (Benjamini-Hochberg)."
)
REGRESSION_EARLY_WARNING = _regression(
    "early_warning", "1 if worse by more than 10 % and the interval excludes 0, else 0."
)
REGRESSION_SEVERE = _regression(
    "severe", "1 if worse by more than 50 % for 5 minutes and the lower end is above 25 %, else 0."
)
REGRESSION_CHANGE_POINT = _regression("change_point_timestamp_seconds", "When the level last changed.", "seconds")
REGRESSION_BASELINE = _regression("baseline", "Usual level, in the unit of the signal.")
REGRESSION_BASELINE_LOWER = _regression("baseline_lower", "Lower end of the usual range, in the unit of the signal.")
REGRESSION_BASELINE_UPPER = _regression("baseline_upper", "Upper end of the usual range, in the unit of the signal.")
REGRESSION_BASELINE_READY = _regression("baseline_ready", "1 if there is enough history for a verdict, else 0.")
REGRESSION_ANOMALY = _regression("anomaly_score", "How unusual the newest value is, 0 to 100.")
REGRESSION_ANOMALY_DIRECTION = _regression("anomaly_direction", "1 above the usual range, -1 below it, 0 inside.")
FORECAST_TREND = _regression("trend_per_second", "Robust slope of the signal, in its unit per second.")
FORECAST_TIME_TO_THRESHOLD = _regression(
    "time_to_threshold_seconds",
    "When the trend crosses the alert's threshold; absent unless both ends of the interval agree.",
    "seconds",
)

# --- analyzers: bottlenecks ---


def _bottleneck(name: str, text: str, unit: str = "", labels: tuple[str, ...] = _STAGE) -> Gauge:
    return Gauge(name=f"jelmore_bottleneck_{name}", help=text, unit=unit, labels=labels, service=Service.ANALYZER)


BOTTLENECK_SEVERITY = _bottleneck(
    "severity_score", "Share of the window, 0 to 100, in which cards wait for the stage while nothing in it is held up."
)
BOTTLENECK_OVERALL = _bottleneck(
    "overall_severity_score", "The highest severity of the pipeline's stages, 0 to 100.", labels=_PIPELINE
)
BOTTLENECK_INFO = _bottleneck(
    "info",
    "Always 1; names the stage that limits the pipeline, its state and the cause of waiting.",
    labels=(*_STAGE, "state", "cause"),
)
BOTTLENECK_IMPACT = _bottleneck("impact_seconds", "Card-seconds lost in the window because of the stage.", "seconds")
BOTTLENECK_UTILISATION = _bottleneck(
    "utilisation_ratio", "Busy time of the stage's workers as a share of the window.", "ratio"
)
BOTTLENECK_GAIN = _bottleneck("gain_seconds", "Time a card would save if the stage ran 20 % faster.", "seconds")
BOTTLENECK_GAIN_RATIO = _bottleneck("gain_throughput_ratio", "Throughput gained if the stage ran 20 % faster.", "ratio")
BOTTLENECK_CASCADE = _bottleneck("cascade_risk_score", "Risk that the stage's trouble spreads to others, 0 to 100.")
BOTTLENECK_CONTENTION = _bottleneck(
    "contention_ratio",
    "Share of waiting while a shared resource was busy elsewhere.",
    "ratio",
    labels=(*_STAGE, "resource"),
)
BOTTLENECK_WORKERS = _bottleneck(
    "workers", "Cards the stage can serve at once, as declared or as learnt.", labels=(*_STAGE, "origin")
)
BOTTLENECK_QUEUE_CAPACITY = _bottleneck(
    "queue_capacity", "Cards that may wait for the stage, as declared or as learnt.", labels=(*_STAGE, "origin")
)
BOTTLENECK_EPISODES = Counter(
    name="jelmore_bottleneck_episodes_total",
    help="Times that the stage became a bottleneck.",
    labels=_STAGE,
    service=Service.ANALYZER,
)
ATTRIBUTION_SHARE = _bottleneck(
    "attribution_ratio", "Share of the slow tail that the driver explains.", "ratio", labels=("pipeline", "driver")
)
ATTRIBUTION_SHARE_LOWER = _bottleneck(
    "attribution_lower_ratio", "Lower end of the share's 95 % interval.", "ratio", labels=("pipeline", "driver")
)
ATTRIBUTION_SHARE_UPPER = _bottleneck(
    "attribution_upper_ratio", "Upper end of the share's 95 % interval.", "ratio", labels=("pipeline", "driver")
)

# --- analyzers: health, suggestions, their own cycle ---
_COMPONENT = ("pipeline", "component")
HEALTH_SCORE = Gauge(
    name="jelmore_health_score", help="Health of the pipeline, 0 to 100.", labels=_PIPELINE, service=Service.ANALYZER
)
HEALTH_COMPONENT = Gauge(
    name="jelmore_health_component_ratio",
    help="Health of one part, 0 to 1.",
    unit="ratio",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_WEIGHT = Gauge(
    name="jelmore_health_component_weight",
    help="Weight of the part in the score.",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_POINTS_LOST = Gauge(
    name="jelmore_health_points_lost",
    help="Points of the score that the part costs.",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_COVERAGE = Gauge(
    name="jelmore_health_coverage_ratio",
    help="Weight of the parts that have data; below 0.5 there is no score.",
    unit="ratio",
    labels=_PIPELINE,
    service=Service.ANALYZER,
)
SUGGESTIONS = Gauge(
    name="jelmore_suggestions",
    help="Suggestions that stand open.",
    labels=("pipeline", "strategy"),
    service=Service.ANALYZER,
)
SUGGESTION_GAIN = Gauge(
    name="jelmore_suggestions_gain_seconds",
    help="Time a card would save if the open suggestion were followed.",
    unit="seconds",
    labels=("pipeline", "stage", "strategy"),
    service=Service.ANALYZER,
)
SUGGESTIONS_APPLIED = Gauge(
    name="jelmore_suggestions_applied",
    help="Suggestions applied in the last 30 days, by what came of them.",
    labels=("pipeline", "strategy", "result"),
    closed={"result": ("better", "same", "worse")},
    service=Service.ANALYZER,
)
SUGGESTIONS_SAVED = Gauge(
    name="jelmore_suggestions_saved_seconds",
    help="Mean time a card saved after suggestions of the last 30 days were applied; below 0 it lost time.",
    unit="seconds",
    labels=("pipeline", "strategy"),
    service=Service.ANALYZER,
)
ANALYZER_CYCLE = Histogram(
    name="jelmore_analyzer_cycle_seconds",
    help="Time that a cycle took.",
    unit="seconds",
    labels=("analyzer",),
    buckets=CYCLE_BUCKETS,
    service=Service.ANALYZER,
)
ANALYZER_SERIES = Gauge(
    name="jelmore_analyzer_series",
    help="Series looked at in the last cycle.",
    labels=("analyzer",),
    service=Service.ANALYZER,
)
ANALYZER_SKIPPED = Counter(
    name="jelmore_analyzer_skipped_total",
    help="Series not judged, by reason.",
    labels=("analyzer", "reason"),
    service=Service.ANALYZER,
)
ANALYZER_SUCCESS = Gauge(
    name="jelmore_analyzer_last_success_timestamp_seconds",
    help="When a cycle last succeeded.",
    unit="seconds",
    labels=("analyzer",),
    service=Service.ANALYZER,
)

# --- responder ---
RESPONDER_INFO = Gauge(
    name="jelmore_responder_info",
    help="Always 1; the labels say what runs.",
    labels=("version", "history"),
    service=Service.RESPONDER,
)
WEBHOOKS = Counter(
    name="jelmore_webhooks_total",
    help="Webhook calls of Alertmanager.",
    labels=("outcome",),
    closed={"outcome": ("accepted", "rejected", "failed")},
    service=Service.RESPONDER,
)
ALERTS_RECEIVED = Counter(
    name="jelmore_alerts_received_total",
    help="Changes of alerts kept in the history; repeats are not counted.",
    labels=("severity", "status"),
    closed={"severity": ALERT_SEVERITIES, "status": ("firing", "resolved")},
    service=Service.RESPONDER,
)
ALERTS_FIRING = Gauge(
    name="jelmore_alerts_firing",
    help="Alerts that fire, as the history knows them.",
    labels=("severity",),
    closed={"severity": ALERT_SEVERITIES},
    service=Service.RESPONDER,
)
ALERT_DURATION = Histogram(
    name="jelmore_alert_duration_seconds",
    help="Time from the start of an alert to its end (time to restore), without maintenance of what it is about.",
    unit="seconds",
    labels=("severity",),
    buckets=WORK_BUCKETS,
    service=Service.RESPONDER,
)
NOTIFICATIONS = Counter(
    name="jelmore_notifications_total",
    help="Notifications sent, or not.",
    labels=("channel", "outcome"),
    closed={"outcome": ("sent", "failed")},
    service=Service.RESPONDER,
)
NOTIFICATIONS_SUPPRESSED = Counter(
    name="jelmore_notifications_suppressed_total",
    help="Notifications kept back because the channel's budget was spent.",
    labels=("channel",),
    service=Service.RESPONDER,
)
RESPONDER_ACTIONS = Counter(
    name="jelmore_responder_actions_total",
    help="Automated actions that the responder carried out, or not.",
    labels=("action", "outcome"),
    closed=_OUTCOME,
    service=Service.RESPONDER,
)
HISTORY_UP = Gauge(
    name="jelmore_history_up",
    help="1 if the last access to the alert history succeeded, else 0.",
    service=Service.RESPONDER,
)
WEBHOOK_SUCCESS = Gauge(
    name="jelmore_webhook_last_success_timestamp_seconds",
    help="When a webhook call was last accepted.",
    unit="seconds",
    service=Service.RESPONDER,
)
MAINTENANCE_START = Gauge(
    name="jelmore_maintenance_start_timestamp_seconds",
    help="When the maintenance window is open since, or opens next.",
    unit="seconds",
    labels=("window",),
    service=Service.RESPONDER,
)
MAINTENANCE_END = Gauge(
    name="jelmore_maintenance_end_timestamp_seconds",
    help="When the maintenance window that is open, or opens next, ends.",
    unit="seconds",
    labels=("window",),
    service=Service.RESPONDER,
)
RULES_FINGERPRINT = Gauge(
    name="jelmore_rules_fingerprint",
    help="Which rules the compiler rendered, as the responder was told; Prometheus records its own.",
    service=Service.RESPONDER,
)
SILENCE_END = Gauge(
    name="jelmore_silence_end_timestamp_seconds",
    help="When an alert of this name that still fires loses its last silence; the first one of several.",
    unit="seconds",
    labels=("alert",),
    service=Service.RESPONDER,
)

# --- store ---
STORE_SAMPLES = Counter(
    name="jelmore_store_samples_total",
    help="Samples received, by what became of them.",
    labels=("outcome",),
    closed={"outcome": ("written", "duplicate", "rejected")},
    service=Service.STORE,
)
STORE_REQUESTS = Histogram(
    name="jelmore_store_request_seconds",
    help="Time that a request took.",
    unit="seconds",
    labels=("operation", "code"),
    buckets=CALL_BUCKETS,
    service=Service.STORE,
)
STORE_SUCCESS = Gauge(
    name="jelmore_store_last_success_timestamp_seconds",
    help="When samples were last written.",
    unit="seconds",
    service=Service.STORE,
)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of the above, in the order in which they are written."""

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
BY_SERIES: dict[str, Metric] = {series: metric for metric in CATALOGUE for series in metric.series}


def of_service(service: Service) -> tuple[Metric, ...]:
    """The metrics that one service exposes."""
    return tuple(metric for metric in CATALOGUE if metric.service is service)
