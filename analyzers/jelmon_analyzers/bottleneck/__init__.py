"""Bottlenecks: which stage limits a pipeline, what it costs, what a faster one would gain, and whether it spreads."""

from jelmon_analyzers.bottleneck.analyzer import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.verdict.judge import Cause, StageReport, State

__all__ = ["BottleneckAnalyzer", "Cause", "StageReport", "State"]
