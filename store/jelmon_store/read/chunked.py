"""The STREAMED_XOR_CHUNKS answer: frames with a checksum, each with chunks of one series, at most 1 MiB."""

import struct
from collections.abc import Iterator

import google_crc32c
import numpy as np

from jelmon_store.read.bits import Chunk
from jelmon_store.read.histogram_chunks import encode_histograms
from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.read.sampled import encode_labels
from jelmon_store.read.samples import Samples
from jelmon_store.read.selection import Series
from jelmon_store.read.xor import encode_chunks

CONTENT_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
MAX_FRAME_BYTES = 1 << 20


def encode_frames(series: Series, samples: Samples, *, query_index: int) -> Iterator[bytes]:
    """Yield the frames of one series. They start a new one before it would exceed the limit."""
    labels = encode_labels(series)
    parts: list[bytes] = []
    size = len(labels)
    for chunk in _chunks(samples):
        part = bytes_field(2, _chunk(chunk))
        if parts and size + len(part) > MAX_FRAME_BYTES - 64:
            yield _frame(labels, parts, query_index)
            parts, size = [], len(labels)
        parts.append(part)
        size += len(part)
    if parts:
        yield _frame(labels, parts, query_index)


def _chunks(samples: Samples) -> Iterator[Chunk]:
    """Yield the chunks of one series in order of time. At the time of a float, a histogram is left out."""
    if not samples.histograms:
        yield from encode_chunks(samples.times, samples.values)
        return
    taken = set(samples.times.tolist())
    histograms = [row for row in samples.histograms if row[0] not in taken]
    moments = np.array([time for time, _ in histograms], np.int64)
    begin = 0
    # a chunk holds samples of one kind: floats are cut where histograms stand between them, and the other way around
    edges = np.unique(np.searchsorted(moments, samples.times))
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(moments)], strict=True):
        yield from encode_histograms(histograms[low:high])
        end = int(np.searchsorted(samples.times, moments[high])) if high < len(moments) else len(samples.times)
        yield from encode_chunks(samples.times[begin:end], samples.values[begin:end])
        begin = end


def _chunk(chunk: Chunk) -> bytes:
    span = varint_field(1, chunk.first) + varint_field(2, chunk.last)
    return span + varint_field(3, chunk.encoding) + bytes_field(4, chunk.data)


def _frame(labels: bytes, chunks: list[bytes], query_index: int) -> bytes:
    message = bytes_field(1, labels + b"".join(chunks))
    if query_index:
        message += varint_field(2, query_index)
    return encode_varint(len(message)) + struct.pack(">I", google_crc32c.value(message)) + message
