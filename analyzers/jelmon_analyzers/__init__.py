"""The analyzers: history and events in; regression, bottleneck and health gauges out.

They can be used without a service: `detect` and `detect_many` find change points in arrays, `OnlineDetector` judges
many series as their values arrive, and `BottleneckAnalyzer` reads the events of a pipeline and reports what limits it.
"""

from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from jelmon_analyzers.timeseries.changepoints import detect, detect_many
from jelmon_analyzers.timeseries.online.detector import OnlineDetector

__all__ = ["BottleneckAnalyzer", "OnlineDetector", "detect", "detect_many"]
