"""The analyzers: history in; regression, bottleneck and health gauges out.

For users who want the mathematics without a service: `detect` and `detect_many` find change points in arrays.
"""

from jelmon.analyzers.changepoints import detect, detect_many

__all__ = ["detect", "detect_many"]
