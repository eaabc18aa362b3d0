"""Services that the pipeline depends on: probes of them and calls to them."""

from jelmon.catalogue.metric import CALL_BUCKETS, OUTCOMES, Counter, Gauge, Histogram

TARGET_UP = Gauge(
    name="jelmore_target_up", help="1 if the last probe of the target succeeded, else 0.", labels=("target",)
)
PROBE_TIME = Histogram(
    name="jelmore_probe_seconds",
    help="Duration of a probe.",
    unit="seconds",
    labels=("target",),
    buckets=CALL_BUCKETS,
)
PROBE_PHASE = Gauge(
    name="jelmore_probe_phase_seconds",
    help="Duration of the last probe by phase; a phase that was not reached is absent.",
    unit="seconds",
    labels=("target", "phase"),
    closed={"phase": ("resolve", "connect", "tls", "processing", "transfer")},
)
PROBE_FAILURES = Counter(
    name="jelmore_probe_failures_total",
    help="Failed probes, by reason.",
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
    help="Earliest expiry time among the certificates of the target's chain.",
    unit="seconds",
    labels=("target",),
)
CALLS_FINISHED = Counter(
    name="jelmore_calls_finished_total",
    help="Calls to services that finished, by outcome.",
    labels=("target", "outcome"),
    closed=OUTCOMES,
)
CALL_TIME = Histogram(
    name="jelmore_call_seconds",
    help="Duration of a call to a service.",
    unit="seconds",
    labels=("target",),
    buckets=CALL_BUCKETS,
)
CALL_ERRORS = Counter(
    name="jelmore_call_errors_total", help="Failed calls to services, by class of error.", labels=("target", "reason")
)
