"""Health of a pipeline: a score from 0 to 100, and the points lost by each part."""

from jelmon_analyzers.health.gauges import HealthGauges
from jelmon_analyzers.health.scoring import Health, HealthSettings, Part, score

__all__ = ["Health", "HealthGauges", "HealthSettings", "Part", "score"]
