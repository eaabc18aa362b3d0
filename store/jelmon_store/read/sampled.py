"""The SAMPLES answer: ``prometheus.ReadResponse`` with every sample as a message of its own, written by numpy.

All samples of a block have records of the same size, so that they are one structured array: the varint of the
timestamp is padded to a fixed number of bytes, which every protobuf reader accepts.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from jelmon_store.read.protobuf import bytes_field, padded_times
from jelmon_store.read.samples import Block
from jelmon_store.read.selection import Series

_CACHED_LABELS = 10_000
"""Most series share most of their labels with others."""


@lru_cache(_CACHED_LABELS)
def _encode_label(label: tuple[str, str]) -> bytes:
    name, value = label
    return bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, value.encode()))


def encode_labels(series: Series) -> bytes:
    """Return the labels as the repeated field 1 of a series."""
    return b"".join(map(_encode_label, series.labels))


def encode_block(block: Block) -> Iterator[bytes]:
    """Yield each series as the field ``timeseries`` of a query's result."""
    samples, size = _encode_samples(block)
    bounds = [0, *(block.ends * size).tolist()]
    for position, series in enumerate(block.series):
        histograms = b"".join(bytes_field(4, message) for _, message in block.histograms.get(position, ()))
        own = samples[bounds[position] : bounds[position + 1]]
        yield bytes_field(1, encode_labels(series) + own + histograms)


def encode_result(series: Iterable[bytes]) -> bytes:
    """Return the result of one query as the field ``results`` of the response."""
    return bytes_field(1, b"".join(series))


def _encode_samples(block: Block) -> tuple[bytes, int]:
    """Return the samples of all series, and the bytes of each."""
    times = padded_times(block.times)
    width = times.shape[1]
    size = 10 + width  # of the message: tag and 8 bytes of value, tag and timestamp
    records = np.empty(len(times), [("head", "V3"), ("value", "<u8"), ("tag", "u1"), ("time", "u1", (width,))])
    records["head"] = np.void(bytes([0x12, size, 0x09]))
    records["value"] = block.values
    records["tag"] = 0x10
    records["time"] = times
    return records.tobytes(), records.itemsize
