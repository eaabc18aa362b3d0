"""Brings a stored histogram into the buckets that its metric has now."""

from bisect import bisect_left
from math import inf

from jelmon.catalogue import Histogram

Counts = tuple[int, tuple[int, ...]]


def fitted(metric: Histogram, value: Counts) -> Counts:
    """Return sum and counts for the present buckets of a metric; number and sum of the observations stay exact.

    Counts of a known former set of buckets (`Histogram.former`) go where their upper bounds belong. Otherwise the old
    bounds are unknown, and all observations go into the bucket of their mean.
    """
    total, counts = value
    if len(counts) == len(metric.buckets) + 1:
        return value
    fitting = [0] * (len(metric.buckets) + 1)
    former = next((bounds for bounds in metric.former if len(bounds) + 1 == len(counts)), None)
    if former is not None:
        for bound, count in zip((*former, inf), counts, strict=True):
            fitting[bisect_left(metric.buckets, bound)] += count
    elif number := sum(counts):
        fitting[bisect_left(metric.buckets, total / number / 1e6)] += number
    return total, tuple(fitting)
