"""The health of a pipeline: a score from 0 to 100, and why it is not 100."""

from jelmon.analyzers.health.board import HealthBoard
from jelmon.analyzers.health.scoring import Health, HealthSettings, Part, score

__all__ = ["Health", "HealthBoard", "HealthSettings", "Part", "score"]
