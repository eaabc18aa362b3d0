"""Bottlenecks of pipelines, and drivers of slow cards."""

from jelmon.catalogue.metric import PIPELINE, STAGE, Counter, Gauge, Service


def _bottleneck(name: str, text: str, unit: str = "", labels: tuple[str, ...] = STAGE) -> Gauge:
    return Gauge(name=f"jelmore_bottleneck_{name}", help=text, unit=unit, labels=labels, service=Service.ANALYZER)


BOTTLENECK_SEVERITY = _bottleneck(
    "severity_score", "Percentage of the window in which cards wait for the stage while no card in it is blocked."
)
BOTTLENECK_OVERALL = _bottleneck(
    "overall_severity_score", "Highest severity among the pipeline's stages, from 0 to 100.", labels=PIPELINE
)
BOTTLENECK_INFO = _bottleneck(
    "info",
    "Always 1; identifies the stage that limits the pipeline, its state and the cause of waiting.",
    labels=(*STAGE, "state", "cause"),
)
BOTTLENECK_IMPACT = _bottleneck("impact_seconds", "Card-seconds lost in the window because of the stage.", "seconds")
BOTTLENECK_UTILISATION = _bottleneck(
    "utilisation_ratio", "Utilization of the stage's workers over the window.", "ratio"
)
BOTTLENECK_GAIN = _bottleneck("gain_seconds", "Expected time saved per card if the stage ran 20 % faster.", "seconds")
BOTTLENECK_GAIN_RATIO = _bottleneck(
    "gain_throughput_ratio", "Expected relative gain in throughput if the stage ran 20 % faster.", "ratio"
)
BOTTLENECK_CASCADE = _bottleneck(
    "cascade_risk_score", "Risk that the stage's bottleneck affects other stages, from 0 to 100."
)
BOTTLENECK_CONTENTION = _bottleneck(
    "contention_ratio",
    "Fraction of waiting time in which a shared resource was busy elsewhere.",
    "ratio",
    labels=(*STAGE, "resource"),
)
BOTTLENECK_WORKERS = _bottleneck(
    "workers", "Cards the stage can process concurrently, as declared or estimated.", labels=(*STAGE, "origin")
)
BOTTLENECK_QUEUE_CAPACITY = _bottleneck(
    "queue_capacity", "Capacity of the stage's queue in cards, as declared or estimated.", labels=(*STAGE, "origin")
)
BOTTLENECK_EPISODES = Counter(
    name="jelmore_bottleneck_episodes_total",
    help="Times the stage became a bottleneck.",
    labels=STAGE,
    service=Service.ANALYZER,
)
ATTRIBUTION_SHARE = _bottleneck(
    "attribution_ratio", "Share of the slow tail that the driver explains.", "ratio", labels=("pipeline", "driver")
)
ATTRIBUTION_SHARE_LOWER = _bottleneck(
    "attribution_lower_ratio",
    "Lower bound of the share's 95 % confidence interval.",
    "ratio",
    labels=("pipeline", "driver"),
)
ATTRIBUTION_SHARE_UPPER = _bottleneck(
    "attribution_upper_ratio",
    "Upper bound of the share's 95 % confidence interval.",
    "ratio",
    labels=("pipeline", "driver"),
)
