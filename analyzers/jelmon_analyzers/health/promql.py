"""The health score recomputed in PromQL from the exported parts, for dashboards and as a test oracle."""

from jelmon.catalogue import HEALTH_COMPONENT, HEALTH_COVERAGE, HEALTH_WEIGHT
from jelmon_analyzers.health.scoring import CAP, LEAST_COVERAGE, VITAL


def recomputed() -> str:
    """Return an expression for the score of each pipeline."""
    ratio, weight = HEALTH_COMPONENT.name, HEALTH_WEIGHT.name
    uncapped = (
        f"clamp_min(100 - 100 * sum by (pipeline) ({weight} * (1 - {ratio}))"
        f" / sum by (pipeline) ({weight} and {ratio}), 0)"
    )
    vital = "|".join(sorted(part.value for part in VITAL))
    dead = f'min by (pipeline) ({ratio}{{component=~"{vital}"}}) == 0'
    covered = f"{HEALTH_COVERAGE.name} >= {LEAST_COVERAGE:g}"
    return (
        f"(\n  ({uncapped}\n    unless on (pipeline) ({dead}))\n  or\n  clamp_max({uncapped}\n"
        f"    and on (pipeline) ({dead}), {CAP:g})\n)\nand on (pipeline) ({covered})"
    )
