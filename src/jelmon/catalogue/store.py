"""The long-term store of samples."""

from jelmon.catalogue.metric import CALL_BUCKETS, Counter, Gauge, Histogram, Service

STORE_SAMPLES = Counter(
    name="jelmore_store_samples_total",
    help="Samples received, by outcome.",
    labels=("outcome",),
    closed={"outcome": ("written", "duplicate", "rejected")},
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
    help="Time of the last successful write.",
    unit="seconds",
    service=Service.STORE,
)
