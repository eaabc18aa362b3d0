"""The exporter itself: events, stream, state store and collectors."""

from jelmon.catalogue.metric import CYCLE_BUCKETS, Counter, Gauge, Histogram
from jelmon.events import EVENT_TYPES

EXPORTER_INFO = Gauge(
    name="jelmore_exporter_info",
    help="Always 1; version and configuration are in the labels.",
    labels=("version", "state_store"),
)
EVENTS_APPLIED = Counter(
    name="jelmore_exporter_events_applied_total",
    help="Events that were counted, by type.",
    labels=("type",),
    closed={"type": tuple(EVENT_TYPES)},
)
EVENTS_DUPLICATE = Counter(
    name="jelmore_exporter_events_duplicate_total",
    help="Duplicate events (same source and id as an earlier one), which are not counted.",
)
EVENTS_LATE = Counter(
    name="jelmore_exporter_events_late_total",
    help="Events that arrived after a later event of the same card; counted, but gauges keep the later state.",
)
EVENTS_SKEWED = Counter(
    name="jelmore_exporter_events_skewed_total",
    help="Negative durations (counted as 0) and event times in the far future (capped at 15 minutes ahead).",
)
EVENTS_PARKED = Counter(
    name="jelmore_exporter_events_parked_total",
    help="Events that could not be parsed or counted and were moved to the dead-letter stream, by reason.",
    labels=("reason",),
    closed={"reason": ("oversized", "malformed", "unknown_type", "invalid", "uncountable")},
)
HTTP_EVENTS = Counter(
    name="jelmore_exporter_http_events_total",
    help="Events received over HTTP, by result.",
    labels=("result",),
    closed={"result": ("stored", "duplicate", "refused", "failed")},
)
EVENTS_LOST = Counter(
    name="jelmore_exporter_events_lost_total",
    help="Messages that the stream dropped before they were counted; docs/guarantees.md states when this is exact.",
)
STREAM_CHANGES = Counter(
    name="jelmore_exporter_stream_changes_total",
    help="Times the stream was found recreated, truncated, or trimmed beyond the last counted message, by reason.",
    labels=("reason",),
    closed={"reason": ("recreated", "truncated", "trimmed")},
)
EXPORTER_RESETS = Counter(
    name="jelmore_exporter_state_resets_total",
    help="Times counters fell below an exposed value, or stored state was lost or unreadable, by reason.",
    labels=("reason",),
)
LABELS_OVERFLOWED = Counter(
    name="jelmore_exporter_label_overflow_total",
    help="Updates that were assigned to a metric's overflow series because of its label limit.",
    labels=("metric",),
)
EXPOSITION_FAULTS = Counter(
    name="jelmore_exporter_exposition_faults_total",
    help="Times that a metric family was left out of /metrics because it could not be rendered.",
    labels=("family",),
)
CONSUMER_LAG = Gauge(
    name="jelmore_exporter_consumer_lag",
    help="Consumer lag: events in the stream that have not been counted yet.",
    labels=("partition",),
)
PARTITION_OWNED = Gauge(
    name="jelmore_exporter_partition_owned",
    help="1 if this replica owns the partition and counts its events, else 0.",
    labels=("partition",),
)
LAST_EVENT = Gauge(
    name="jelmore_exporter_last_event_timestamp_seconds",
    help="Time at which the last event arrived, by the exporter's clock.",
    unit="seconds",
)
SOURCE_UP = Gauge(
    name="jelmore_exporter_source_up", help="1 if the event source is connected, else 0.", labels=("source",)
)
STATE_STORE_UP = Gauge(
    name="jelmore_exporter_state_store_up", help="1 if the last write to the state store succeeded, else 0."
)
CHECKPOINT_TIME = Histogram(
    name="jelmore_exporter_checkpoint_seconds",
    help="Duration of a checkpoint.",
    unit="seconds",
    buckets=CYCLE_BUCKETS,
)
CHECKPOINT_SUCCESS = Gauge(
    name="jelmore_exporter_checkpoint_last_success_timestamp_seconds",
    help="Time of the last successful checkpoint.",
    unit="seconds",
)
CONFIG_RELOADED = Gauge(
    name="jelmore_exporter_config_last_reload_successful",
    help="1 if the last reload of the target and pipeline files succeeded, else 0.",
)
CONFIG_RELOAD_TIME = Gauge(
    name="jelmore_exporter_config_last_reload_success_timestamp_seconds",
    help="Time of the last successful reload of the target and pipeline files.",
    unit="seconds",
)
EXPORTER_WEB_CONFIG_RELOADED = Gauge(
    name="jelmore_exporter_web_config_last_reload_successful",
    help="1 if the web config in force is that in its file, 0 if the file is invalid and the previous one is used.",
)
COLLECTOR_UP = Gauge(
    name="jelmore_exporter_collector_up", help="1 if the collector's last run succeeded, else 0.", labels=("collector",)
)
COLLECTOR_TIME = Gauge(
    name="jelmore_exporter_collector_seconds",
    help="Duration of the collector's last run.",
    unit="seconds",
    labels=("collector",),
)
COLLECTED = Gauge(
    name="jelmore_exporter_collect_timestamp_seconds",
    help="Time of the exporter's last collection cycle; stops advancing if the process hangs.",
    unit="seconds",
)
