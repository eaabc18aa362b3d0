"""Sessions, work reported by hooks, and automated actions."""

from jelmon.catalogue.metric import OUTCOMES, WORK_BUCKETS, Counter, Gauge, Histogram

SESSIONS_STARTED = Counter(name="jelmore_sessions_started_total", help="Sessions that started.", labels=("kind",))
SESSIONS_FINISHED = Counter(
    name="jelmore_sessions_finished_total",
    help="Sessions that finished, by outcome.",
    labels=("kind", "outcome"),
    closed=OUTCOMES,
)
SESSIONS_ACTIVE = Gauge(name="jelmore_sessions_active", help="Sessions that are in progress.", labels=("kind",))
SESSION_TIME = Histogram(
    name="jelmore_session_seconds",
    help="Duration of a session.",
    unit="seconds",
    labels=("kind",),
    buckets=WORK_BUCKETS,
)
WORK_RECORDED = Counter(
    name="jelmore_work_recorded_total",
    help="Units of work reported by hooks of external tools, by outcome.",
    labels=("tool", "kind", "outcome"),
    closed=OUTCOMES,
)
WORK_TIME = Histogram(
    name="jelmore_work_seconds",
    help="Duration of reported work.",
    unit="seconds",
    labels=("tool", "kind"),
    buckets=WORK_BUCKETS,
)
ACTIONS_REQUESTED = Counter(
    name="jelmore_actions_requested_total", help="Automated actions that were requested.", labels=("action",)
)
ACTIONS_FINISHED = Counter(
    name="jelmore_actions_finished_total",
    help="Automated actions that the pipeline reported as finished, by outcome.",
    labels=("action", "outcome"),
    closed=OUTCOMES,
)
