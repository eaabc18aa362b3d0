"""The long-term store of samples."""

from jelmon.catalogue.metric import CALL_BUCKETS, Counter, Gauge, Histogram, Service

STORE_INFO = Gauge(
    name="jelmore_store_info",
    help="Always 1; version and configuration are in the labels.",
    labels=("version",),
    service=Service.STORE,
)
STORE_SAMPLES = Counter(
    name="jelmore_store_samples_total",
    help="Samples received, by outcome; histograms are included.",
    labels=("outcome",),
    closed={"outcome": ("written", "duplicate", "rejected", "deduplicated")},
    service=Service.STORE,
)
STORE_REJECTED = Counter(
    name="jelmore_store_rejected_total",
    help="Samples, histograms and exemplars that were rejected, by reason.",
    labels=("reason",),
    closed={"reason": ("labels", "time", "histogram", "exemplar", "empty", "limit")},
    service=Service.STORE,
)
STORE_REQUESTS = Histogram(
    name="jelmore_store_request_seconds",
    help="Duration of a request.",
    unit="seconds",
    labels=("operation", "code"),
    buckets=CALL_BUCKETS,
    service=Service.STORE,
)
STORE_SUCCESS = Gauge(
    name="jelmore_store_last_success_timestamp_seconds",
    help="Time of the last successful write, or of the start.",
    unit="seconds",
    service=Service.STORE,
)
STORE_MAINTENANCE = Gauge(
    name="jelmore_store_maintenance_last_success_timestamp_seconds",
    help="Time of the last successful maintenance by this store, or of the start; several stores take turns.",
    unit="seconds",
    service=Service.STORE,
)
STORE_UP = Gauge(
    name="jelmore_store_database_up",
    help="1 if the last access to the database succeeded, else 0.",
    service=Service.STORE,
)
STORE_QUEUE = Gauge(
    name="jelmore_store_queue_samples",
    help="Samples that wait to be written.",
    service=Service.STORE,
)
STORE_QUEUE_LIMIT = Gauge(
    name="jelmore_store_queue_limit_samples",
    help="Samples that may wait; requests beyond that are answered with 503.",
    service=Service.STORE,
)
STORE_EXACT = Counter(
    name="jelmore_store_compared_samples_total",
    help="Samples that were compared with those stored before writing, because they may have been stored.",
    service=Service.STORE,
)
STORE_SERIES = Gauge(
    name="jelmore_store_cached_series",
    help="Series in the cache of the receiver.",
    service=Service.STORE,
)
STORE_SERIES_CREATED = Counter(
    name="jelmore_store_series_created_total",
    help="Series that this receiver created in the database.",
    service=Service.STORE,
)
STORE_SPOOL = Gauge(
    name="jelmore_store_spool_bytes",
    help="Size of the requests that wait on disk for the database.",
    unit="bytes",
    service=Service.STORE,
)
