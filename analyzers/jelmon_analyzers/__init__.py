"""The analyzers: history in; regression, bottleneck and health gauges out.

For users who want the mathematics without a service: `detect` and `detect_many` find change points in arrays,
`OnlineDetector` watches many series as their values arrive, `BottleneckAnalyzer` takes the events of a pipeline one by
one and says what limits it.
"""

from jelmon_analyzers.bottleneck import BottleneckAnalyzer
from jelmon_analyzers.timeseries.changepoints import detect, detect_many
from jelmon_analyzers.timeseries.online.detector import OnlineDetector

__all__ = ["BottleneckAnalyzer", "OnlineDetector", "detect", "detect_many"]
