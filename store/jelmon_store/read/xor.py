"""Gorilla (XOR) chunks of Prometheus, those of many series at once, written by numpy.

Every bit field of every chunk is computed as a number and a width, then all are shifted to their place together. The
encoder of Prometheus goes from sample to sample because it may keep or replace the window of significant bits; here a
chunk has one window, wide enough for all of its values. Decoders accept that; a chunk of typical data grows by a few
per cent.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jelmon_store.read.bits import SAMPLES_PER_CHUNK, XOR, Integers, Numbers, pack, zeros
from jelmon_store.read.protobuf import padded_times, padded_varints

_ONE = np.uint64(1)
_CHUNKS_AT_ONCE = 512
"""Their fields take about 100 bytes a sample while they are computed, which the processor's cache should hold."""
_HEADER_BITS = 16
_FIELDS = 4
_VARINT_BYTES = 8
_VARINT_LIMITS = np.array([0, *(1 << 7 * size for size in range(1, _VARINT_BYTES))], np.uint64)
_PREFIX_BITS = np.zeros(65, np.int64)
_PREFIX_BITS[[14, 17, 20]] = 2, 3, 4
_SIZE_BYTES = 3
"""Of the size of a chunk as a varint."""


def encode_chunks(times: Integers, values: Numbers, ends: Integers) -> list[list[bytes]]:
    """Return the chunks of each series as the field ``chunks`` of ``prometheus.ChunkedSeries``.

    The samples of a series end before its place in ``ends``; their times lie in the years 1 to 9999, and ``values`` are
    the 64 bits of floats.
    """
    begins = np.concatenate(([0], ends))[:-1]
    counts = -(-(ends - begins) // SAMPLES_PER_CHUNK)  # chunks of each series
    last = np.cumsum(counts)
    number = np.arange(last[-1] if len(last) else 0) - np.repeat(last - counts, counts)  # of a chunk in its series
    starts = np.repeat(begins, counts) + number * SAMPLES_PER_CHUNK
    sizes = np.minimum(SAMPLES_PER_CHUNK, np.repeat(ends, counts) - starts)
    chunks: list[bytes] = []
    for low in range(0, len(starts), _CHUNKS_AT_ONCE):
        some, their = starts[low : low + _CHUNKS_AT_ONCE], sizes[low : low + _CHUNKS_AT_ONCE]
        span = slice(some[0], some[-1] + their[-1])
        chunks += _encode(times[span], values[span], some - some[0], their)
    return [chunks[low:high] for low, high in pairwise([0, *last.tolist()])]


def _encode(times: Integers, values: Numbers, starts: Integers, sizes: Integers) -> list[bytes]:
    """Return the messages of consecutive chunks."""
    # the fields of a sample, in their order; a chunk's header stands before the time of its first sample
    bits = np.zeros((len(times), _FIELDS), np.uint64)
    widths = np.zeros((len(times), _FIELDS), np.int64)
    _time_fields(times, starts, sizes, bits, widths)
    _value_fields(values, starts, sizes, bits, widths)
    bits[starts, 0], widths[starts, 0] = sizes, _HEADER_BITS
    flat = widths.ravel()
    ends = np.cumsum(flat)
    chunk_ends = ends[(starts + sizes) * _FIELDS - 1]
    chunk_begins = np.concatenate(([0], chunk_ends[:-1]))
    chunk_bytes = (chunk_ends - chunk_begins + 7) // 8
    heads = _heads(times[starts], times[starts + sizes - 1], chunk_bytes)
    edges = np.concatenate(([0], np.cumsum(chunk_bytes + heads.shape[1])))
    data_begins = edges[:-1] + heads.shape[1]
    positions = ends - flat + np.repeat(data_begins * 8 - chunk_begins, sizes * _FIELDS)
    packed = pack(bits.ravel(), flat, positions, int(edges[-1]))
    packed[edges[:-1, None] + np.arange(heads.shape[1])] = heads
    message = packed.tobytes()
    return [message[low:high] for low, high in pairwise(edges.tolist())]


def _heads(first: Integers, last: Integers, sizes: Integers) -> NDArray[np.uint8]:
    """Return what stands before the data of each chunk: tag and size of the message, times, encoding, size."""
    both = padded_times(np.concatenate([first, last]))
    width = both.shape[1]
    data = _SIZE_BYTES + 3 + 2 * (1 + width)  # behind the first size: encoding, tag of the data and their size, times
    heads = np.empty((len(first), 1 + _SIZE_BYTES + data), np.uint8)
    heads[:, 0] = 2 << 3 | 2
    heads[:, 1 : 1 + _SIZE_BYTES] = padded_varints(sizes + data, _SIZE_BYTES)
    place = 1 + _SIZE_BYTES
    for tag, times in ((1 << 3, both[: len(first)]), (2 << 3, both[len(first) :])):
        heads[:, place] = tag
        heads[:, place + 1 : place + 1 + width] = times
        place += 1 + width
    heads[:, place : place + 3] = 3 << 3, XOR, 4 << 3 | 2
    heads[:, place + 3 :] = padded_varints(sizes, _SIZE_BYTES)
    return heads


def _time_fields(times: Integers, starts: Integers, sizes: Integers, bits: Numbers, widths: Integers) -> None:
    """Fill columns 0 and 1: a delta of deltas with its prefix; 64 bits do not fit beside their prefix."""
    deltas = np.diff(times, prepend=times[:1])
    change = np.diff(deltas, prepend=deltas[:1])
    widths[:, 0] = 1  # a single 0: no change
    different = np.flatnonzero(change)
    numbers = change[different]
    prefix, width = np.full(len(numbers), 0b1111, np.uint64), np.full(len(numbers), 64)
    for kind, size in ((0b1110, 20), (0b110, 17), (0b10, 14)):
        # range of Prometheus' bitRange: -(2^(n-1)-1) to 2^(n-1)
        fits = (numbers >= 1 - (1 << size - 1)) & (numbers <= 1 << size - 1)
        prefix[fits], width[fits] = kind, size
    short = width < 64
    masks = (_ONE << np.where(short, width, 0).astype(np.uint64)) - _ONE
    unsigned = numbers.astype(np.uint64)
    bits[different, 0] = np.where(
        short, prefix << np.where(short, width, 0).astype(np.uint64) | unsigned & masks, prefix
    )
    widths[different, 0] = np.where(short, width + _PREFIX_BITS[np.where(short, width, 0)], 4)
    bits[different, 1] = np.where(short, np.uint64(0), unsigned)
    widths[different, 1] = np.where(short, 0, 64)
    # the first sample of a chunk has its time, the second a delta, both as varints
    bits[starts, 1], widths[starts, 1] = _varints((times[starts] << 1) ^ (times[starts] >> 63))
    seconds = starts[sizes > 1] + 1
    widths[seconds, 0] = 0
    bits[seconds, 1], widths[seconds, 1] = _varints(deltas[seconds])


def _varints(numbers: Integers) -> tuple[Numbers, Integers]:
    """Return varints of numbers below 2^56 as fields, first byte first."""
    unsigned = numbers.astype(np.uint64)
    sizes = np.maximum(1, np.searchsorted(_VARINT_LIMITS, unsigned, side="right"))
    encoded = np.zeros(len(unsigned), np.uint64)
    for index in range(_VARINT_BYTES):
        byte = unsigned >> np.uint64(7 * index) & np.uint64(0x7F)
        byte |= np.where(index < sizes - 1, np.uint64(0x80), np.uint64(0))
        encoded = np.where(index < sizes, encoded << np.uint64(8) | byte, encoded)
    return encoded, sizes * 8


def _value_fields(values: Numbers, starts: Integers, sizes: Integers, bits: Numbers, widths: Integers) -> None:
    """Fill columns 2 and 3: control bits with the window (first change of a chunk only), significant bits."""
    changed = np.concatenate((values[:1], values[1:] ^ values[:-1]))
    changed[starts] = 0
    leading, trailing = zeros(np.bitwise_or.reduceat(changed, starts))
    significant = 64 - leading - trailing
    widths[:, 2] = 1  # a single 0: no change
    rows = np.flatnonzero(changed)
    owner = np.repeat(np.arange(len(starts)), sizes)
    chunks = owner[rows]
    bits[rows, 2], widths[rows, 2] = 0b10, 2
    bits[rows, 3] = changed[rows] >> trailing[chunks].astype(np.uint64)
    widths[rows, 3] = significant[chunks]
    first = rows[np.flatnonzero(np.diff(chunks, prepend=-1))]
    chunks = owner[first]
    bits[first, 2] = (0b11 << 11 | leading[chunks] << 6 | significant[chunks] & 0x3F).astype(np.uint64)
    widths[first, 2] = 13
    bits[starts, 2], widths[starts, 2] = values[starts], 64  # the first value of a chunk is whole
