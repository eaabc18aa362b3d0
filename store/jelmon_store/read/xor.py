"""Gorilla (XOR) chunks of Prometheus, many at once, written by numpy.

Every bit field of every chunk is computed as a number and a width, then all are shifted to their place together. The
encoder of Prometheus goes from sample to sample because it may keep or replace the window of significant bits; here a
chunk has one window, wide enough for all of its values. Decoders accept that; a chunk of typical data grows by a few
per cent.
"""

import numpy as np

from jelmon_store.read.bits import SAMPLES_PER_CHUNK, XOR, Chunk, Integers, Numbers, pack, zeros

_ONE = np.uint64(1)
_HEADER_BITS = 16
_FIELDS = 4
_VARINT_BYTES = 8
_VARINT_LIMITS = np.array([0, *(1 << 7 * size for size in range(1, _VARINT_BYTES))], np.uint64)
_PREFIX_BITS = np.zeros(65, np.int64)
_PREFIX_BITS[[14, 17, 20]] = 2, 3, 4


def encode_chunks(times: Integers, values: Numbers) -> list[Chunk]:
    """Return the chunks of one series, whose times lie in the years 1 to 9999; ``values`` are the 64 bits of floats."""
    count = len(times)
    if not count:
        return []
    starts = np.arange(0, count, SAMPLES_PER_CHUNK)
    sizes = np.minimum(SAMPLES_PER_CHUNK, count - starts)
    # the fields of a sample, in their order; a chunk's header stands before the time of its first sample
    bits = np.zeros((count, _FIELDS), np.uint64)
    widths = np.zeros((count, _FIELDS), np.int64)
    _time_fields(times, starts, bits, widths)
    _value_fields(values, starts, bits, widths)
    bits[starts, 0], widths[starts, 0] = sizes, _HEADER_BITS
    flat = widths.ravel()
    ends = np.cumsum(flat)
    chunk_ends = ends[(starts + sizes) * _FIELDS - 1]
    chunk_begins = np.concatenate(([0], chunk_ends[:-1]))
    chunk_bytes = (chunk_ends - chunk_begins + 7) // 8
    edges = np.concatenate(([0], np.cumsum(chunk_bytes)))
    positions = ends - flat + np.repeat(edges[:-1] * 8 - chunk_begins, sizes * _FIELDS)
    packed = pack(bits.ravel(), flat, positions, int(edges[-1]))
    first, last = times[starts].tolist(), times[starts + sizes - 1].tolist()
    bounds = edges.tolist()
    return [
        Chunk(XOR, begin, end, packed[low:high])
        for begin, end, low, high in zip(first, last, bounds, bounds[1:], strict=False)
    ]


def _time_fields(times: Integers, starts: Integers, bits: Numbers, widths: Integers) -> None:
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
    seconds = starts + 1
    seconds = seconds[seconds < len(times)]
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


def _value_fields(values: Numbers, starts: Integers, bits: Numbers, widths: Integers) -> None:
    """Fill columns 2 and 3: control bits with the window (first change of a chunk only), significant bits."""
    changed = np.concatenate((values[:1], values[1:] ^ values[:-1]))
    changed[starts] = 0
    leading, trailing = zeros(np.bitwise_or.reduceat(changed, starts))
    significant = 64 - leading - trailing
    widths[:, 2] = 1  # a single 0: no change
    rows = np.flatnonzero(changed)
    chunks = rows // SAMPLES_PER_CHUNK
    bits[rows, 2], widths[rows, 2] = 0b10, 2
    bits[rows, 3] = changed[rows] >> trailing[chunks].astype(np.uint64)
    widths[rows, 3] = significant[chunks]
    first = rows[np.flatnonzero(np.diff(chunks, prepend=-1))]
    chunks = first // SAMPLES_PER_CHUNK
    bits[first, 2] = (0b11 << 11 | leading[chunks] << 6 | significant[chunks] & 0x3F).astype(np.uint64)
    widths[first, 2] = 13
    bits[starts, 2], widths[starts, 2] = values[starts], 64  # the first value of a chunk is whole
