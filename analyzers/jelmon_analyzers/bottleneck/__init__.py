"""Bottlenecks: which stage limits a pipeline, what it costs, what speeding it up would gain, and whether it spreads."""

from jelmon_analyzers.bottleneck.analyzer import BottleneckAnalyzer
from jelmon_analyzers.bottleneck.verdict.report import Cause, StageReport, State

__all__ = ["BottleneckAnalyzer", "Cause", "StageReport", "State"]
