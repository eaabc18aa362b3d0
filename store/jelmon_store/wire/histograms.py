"""Checks of native histograms, as Prometheus makes them before it appends one."""

import math
from itertools import pairwise
from typing import Any

from google.protobuf.message import DecodeError

from jelmon_store.wire.messages import Histogram

CUSTOM_BUCKETS = -53
_SCHEMAS = range(-4, 53)  # above 8, a reader merges buckets down to 8


def parse(payload: bytes) -> tuple[int, int]:
    """Check one histogram; return its time and its start, in milliseconds (0: unknown).

    Raises:
        ValueError: the histogram is not consistent; the message is for the sender.
    """
    try:
        histogram = Histogram.FromString(payload)
    except DecodeError as error:
        raise ValueError("a histogram is malformed") from error
    if histogram.schema == CUSTOM_BUCKETS:
        _check_custom(histogram)
    elif histogram.schema not in _SCHEMAS:
        raise ValueError(f"histogram schema {histogram.schema} is unknown")
    elif histogram.custom_values:
        raise ValueError("a histogram with exponential buckets has custom bounds")
    total = _check_buckets(histogram)
    count = histogram.count_float if histogram.HasField("count_float") else histogram.count_int
    # observations of NaN are in the count and in no bucket
    if histogram.HasField("count_float"):
        if not count >= 0 and not math.isnan(count):
            raise ValueError(f"a histogram has a count of {count}")
    elif total > count if math.isnan(histogram.sum) else total != count:
        raise ValueError(f"the buckets of a histogram hold {total} observations, its count is {count}")
    return histogram.timestamp, histogram.start_timestamp


def _check_custom(histogram: Any) -> None:
    bounds = histogram.custom_values
    if any(not lower < upper for lower, upper in pairwise(bounds)) or any(math.isnan(bound) for bound in bounds):
        raise ValueError("the custom bounds of a histogram do not rise")
    if bounds and math.isinf(bounds[-1]):
        raise ValueError("the last custom bound of a histogram must be finite")
    if histogram.zero_count_int or histogram.zero_count_float or histogram.zero_threshold:
        raise ValueError("a histogram with custom buckets has a zero bucket")
    if histogram.negative_spans or histogram.negative_deltas or histogram.negative_counts:
        raise ValueError("a histogram with custom buckets has negative buckets")
    end = 0
    for span in histogram.positive_spans:
        end += span.offset + span.length
    if end > len(bounds) + 1:
        raise ValueError("a histogram has more custom buckets than bounds")


def _check_buckets(histogram: Any) -> int:
    """Return the observations in all buckets of an integer histogram, 0 for one of floats."""
    total = int(histogram.zero_count_int)
    for spans, deltas, counts in (
        (histogram.negative_spans, histogram.negative_deltas, histogram.negative_counts),
        (histogram.positive_spans, histogram.positive_deltas, histogram.positive_counts),
    ):
        if any(span.offset < 0 for span in spans[1:]):
            raise ValueError("a histogram has a span with a negative offset")
        used = counts if histogram.HasField("count_float") else deltas
        if sum(span.length for span in spans) != len(used):
            raise ValueError("the spans of a histogram do not fit its buckets")
        if histogram.HasField("count_float"):
            if any(count < 0 for count in counts):
                raise ValueError("a bucket of a histogram is negative")
            continue
        count = 0
        for delta in deltas:
            count += delta
            if count < 0:
                raise ValueError("a bucket of a histogram is negative")
            total += count
    return total
