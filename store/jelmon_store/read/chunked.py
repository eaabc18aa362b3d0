"""The STREAMED_XOR_CHUNKS answer: frames with a checksum, each with chunks of one series, at most 1 MiB."""

import struct
from collections.abc import Iterator
from itertools import pairwise

import google_crc32c
import numpy as np

from jelmon_store.read.bits import Chunk
from jelmon_store.read.histogram_chunks import encode_histograms
from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.read.sampled import encode_labels
from jelmon_store.read.samples import Block
from jelmon_store.read.xor import encode_chunks

CONTENT_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
MAX_FRAME_BYTES = 1 << 20


def encode_frames(block: Block, *, query_index: int) -> Iterator[bytes]:
    """Yield the frames of all series. A series starts a new one before it would exceed the limit."""
    chunks = encode_chunks(block.times, block.values, block.ends)
    for position in block.histograms:
        chunks[position] = _chunks_of_both_kinds(block, position)
    for series, own in zip(block.series, chunks, strict=True):
        labels = encode_labels(series)
        room = MAX_FRAME_BYTES - 64 - len(labels)
        if sum(map(len, own)) <= room:
            yield _frame(labels, own, query_index)
        else:
            yield from (_frame(labels, some, query_index) for some in _portions(own, room))


def _portions(chunks: list[bytes], room: int) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    size = 0
    for chunk in chunks:
        if some and size + len(chunk) > room:
            yield some
            some, size = [], 0
        some.append(chunk)
        size += len(chunk)
    yield some


def _chunks_of_both_kinds(block: Block, position: int) -> list[bytes]:
    """Return the chunks of one series with histograms in order of time. At the time of a float, one is left out."""
    begin, end = int(block.starts[position]), int(block.ends[position])
    times, values = block.times[begin:end], block.values[begin:end]
    taken = set(times.tolist())
    histograms = [row for row in block.histograms[position] if row[0] not in taken]
    # a chunk holds samples of one kind: floats are cut where histograms stand between them, and the other way around
    moments = np.array([time for time, _ in histograms], np.int64)
    cuts = np.unique(np.searchsorted(moments, times)).tolist()
    chunks: list[bytes] = []
    begin = 0
    for low, high in pairwise([0, *cuts, len(moments)]):
        chunks += map(_message, encode_histograms(histograms[low:high]))
        end = int(np.searchsorted(times, moments[high])) if high < len(moments) else len(times)
        chunks += encode_chunks(times[begin:end], values[begin:end], np.array([end - begin]))[0]
        begin = end
    return chunks


def _message(chunk: Chunk) -> bytes:
    span = varint_field(1, chunk.first) + varint_field(2, chunk.last)
    return bytes_field(2, span + varint_field(3, chunk.encoding) + bytes_field(4, chunk.data))


def _frame(labels: bytes, chunks: list[bytes], query_index: int) -> bytes:
    message = bytes_field(1, labels + b"".join(chunks))
    if query_index:
        message += varint_field(2, query_index)
    return encode_varint(len(message)) + struct.pack(">I", google_crc32c.value(message)) + message
