"""The score once more, in PromQL, from the exported parts: what a dashboard may show beside it, and a test compares."""

from jelmon.catalogue import HEALTH_COMPONENT, HEALTH_COVERAGE, HEALTH_WEIGHT
from jelmon_analyzers.health.scoring import CAP, LEAST_COVERAGE, VITAL


def recomputed() -> str:
    """An expression that gives the score of each pipeline."""
    ratio, weight = HEALTH_COMPONENT.name, HEALTH_WEIGHT.name
    plain = (
        f"clamp_min(100 - 100 * sum by (pipeline) ({weight} * (1 - {ratio}))"
        f" / sum by (pipeline) ({weight} and {ratio}), 0)"
    )
    vital = "|".join(sorted(part.value for part in VITAL))
    dead = f'min by (pipeline) ({ratio}{{component=~"{vital}"}}) == 0'
    covered = f"{HEALTH_COVERAGE.name} >= {LEAST_COVERAGE:g}"
    return (
        f"(\n  ({plain}\n    unless on (pipeline) ({dead}))\n  or\n  clamp_max({plain}\n"
        f"    and on (pipeline) ({dead}), {CAP:g})\n)\nand on (pipeline) ({covered})"
    )
