"""The STREAMED_XOR_CHUNKS answer: frames with a checksum, each with chunks of one series, at most 1 MiB."""

import struct
from collections.abc import Iterator

import google_crc32c

from jelmon_store.read.protobuf import bytes_field, encode_varint, varint_field
from jelmon_store.read.sampled import encode_labels
from jelmon_store.read.samples import Samples
from jelmon_store.read.selection import Series
from jelmon_store.read.xor import Chunk, encode_chunks

CONTENT_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
MAX_FRAME_BYTES = 1 << 20
_XOR = 1


def encode_frames(series: Series, samples: Samples, *, query_index: int) -> Iterator[bytes]:
    """Yield the frames of one series. They start a new one before it would exceed the limit."""
    labels = encode_labels(series)
    parts: list[bytes] = []
    size = len(labels)
    for chunk in encode_chunks(samples.times, samples.values):
        part = bytes_field(2, _chunk(chunk))
        if parts and size + len(part) > MAX_FRAME_BYTES - 64:
            yield _frame(labels, parts, query_index)
            parts, size = [], len(labels)
        parts.append(part)
        size += len(part)
    if parts:
        yield _frame(labels, parts, query_index)


def _chunk(chunk: Chunk) -> bytes:
    return b"".join(
        (varint_field(1, chunk.first), varint_field(2, chunk.last), varint_field(3, _XOR), bytes_field(4, chunk.data))
    )


def _frame(labels: bytes, chunks: list[bytes], query_index: int) -> bytes:
    message = bytes_field(1, labels + b"".join(chunks))
    if query_index:
        message += varint_field(2, query_index)
    return encode_varint(len(message)) + struct.pack(">I", google_crc32c.value(message)) + message
