"""Health scores, suggestions, and the analyzers themselves."""

from jelmon.catalogue.metric import CYCLE_BUCKETS, PIPELINE, Counter, Gauge, Histogram, Service

# --- analyzers: health, suggestions, their own cycle ---
_COMPONENT = ("pipeline", "component")
HEALTH_SCORE = Gauge(
    name="jelmore_health_score",
    help="Health score of the pipeline, from 0 to 100.",
    labels=PIPELINE,
    service=Service.ANALYZER,
)
HEALTH_COMPONENT = Gauge(
    name="jelmore_health_component_ratio",
    help="Health of one component, from 0 to 1.",
    unit="ratio",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_WEIGHT = Gauge(
    name="jelmore_health_component_weight",
    help="Weight of the component in the health score.",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_POINTS_LOST = Gauge(
    name="jelmore_health_points_lost",
    help="Points that the component takes off the health score.",
    labels=_COMPONENT,
    service=Service.ANALYZER,
)
HEALTH_COVERAGE = Gauge(
    name="jelmore_health_coverage_ratio",
    help="Total weight of the components that have data; below 0.5 there is no score.",
    unit="ratio",
    labels=PIPELINE,
    service=Service.ANALYZER,
)
SUGGESTIONS = Gauge(
    name="jelmore_suggestions",
    help="Open suggestions.",
    labels=("pipeline", "strategy"),
    service=Service.ANALYZER,
)
SUGGESTION_GAIN = Gauge(
    name="jelmore_suggestions_gain_seconds",
    help="Expected time saved per card if the suggestion were applied.",
    unit="seconds",
    labels=("pipeline", "stage", "strategy"),
    service=Service.ANALYZER,
)
SUGGESTIONS_APPLIED = Gauge(
    name="jelmore_suggestions_applied",
    help="Suggestions applied in the last 30 days, by result.",
    labels=("pipeline", "strategy", "result"),
    closed={"result": ("better", "same", "worse")},
    service=Service.ANALYZER,
)
SUGGESTIONS_SAVED = Gauge(
    name="jelmore_suggestions_saved_seconds",
    help="Mean time saved per card by suggestions applied in the last 30 days; negative if cards became slower.",
    unit="seconds",
    labels=("pipeline", "strategy"),
    service=Service.ANALYZER,
)
ANALYZER_WEB_CONFIG_RELOADED = Gauge(
    name="jelmore_analyzer_web_config_last_reload_successful",
    help="1 if the web config in force is that in its file, 0 if the file is invalid and the previous one is used.",
    service=Service.ANALYZER,
)
ANALYZER_CYCLE = Histogram(
    name="jelmore_analyzer_cycle_seconds",
    help="Duration of an analysis cycle.",
    unit="seconds",
    labels=("analyzer",),
    buckets=CYCLE_BUCKETS,
    service=Service.ANALYZER,
)
ANALYZER_SERIES = Gauge(
    name="jelmore_analyzer_series",
    help="Series analyzed in the last cycle.",
    labels=("analyzer",),
    service=Service.ANALYZER,
)
ANALYZER_SKIPPED = Counter(
    name="jelmore_analyzer_skipped_total",
    help="Series that were skipped, by reason.",
    labels=("analyzer", "reason"),
    service=Service.ANALYZER,
)
ANALYZER_ERRORS = Counter(
    name="jelmore_analyzer_errors_total",
    help="Errors of an analyzer, which goes on: events that it could not use, and cycles that it could not complete.",
    labels=("analyzer", "step"),
    closed={"step": ("event", "cycle")},
    service=Service.ANALYZER,
)
ANALYZER_SUCCESS = Gauge(
    name="jelmore_analyzer_last_success_timestamp_seconds",
    help="Time of the last successful cycle.",
    unit="seconds",
    labels=("analyzer",),
    service=Service.ANALYZER,
)
