"""The SAMPLES answer: ``prometheus.ReadResponse`` with every sample as a message of its own, written by numpy.

All samples of a series have records of the same size, so that they are one structured array: the varint of the
timestamp is padded to a fixed number of bytes, which every protobuf reader accepts.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from jelmon_store.read.protobuf import bytes_field
from jelmon_store.read.samples import Samples
from jelmon_store.read.selection import Series

_SHORT, _LONG = 6, 10
"""Bytes of a timestamp: 6 are enough until the year 2109, 10 for any other number."""


def encode_labels(series: Series) -> bytes:
    """Return the labels as the repeated field 1 of a series."""
    return b"".join(
        bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, value.encode())) for name, value in series.labels
    )


def encode_series(series: Series, samples: Samples) -> bytes:
    """Return a series as the field ``timeseries`` of a query's result."""
    histograms = b"".join(bytes_field(4, message) for _, message in samples.histograms)
    return bytes_field(1, encode_labels(series) + _encode_samples(samples) + histograms)


def encode_result(series: Iterable[bytes]) -> bytes:
    """Return the result of one query as the field ``results`` of the response."""
    return bytes_field(1, b"".join(series))


def _encode_samples(samples: Samples) -> bytes:
    if not len(samples.times):
        return b""
    in_reach = samples.times[0] >= 0 and samples.times[-1] < 1 << 7 * _SHORT
    width = _SHORT if in_reach else _LONG
    size = 10 + width  # of the message: tag and 8 bytes of value, tag and timestamp
    records = np.empty(
        len(samples.times),
        [("head", "V3"), ("value", "<u8"), ("tag", "u1"), ("time", "u1", (width,))],
    )
    records["head"] = np.void(bytes([0x12, size, 0x09]))
    records["value"] = samples.values
    records["tag"] = 0x10
    records["time"] = _padded_varints(samples.times, width)
    return records.tobytes()


def _padded_varints(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    shifts = np.arange(width, dtype=np.uint64) * np.uint64(7)
    groups = (numbers.astype(np.uint64)[:, None] >> shifts & np.uint64(0x7F)).astype(np.uint8)
    groups[:, :-1] |= 0x80
    return groups
