"""Gorilla (XOR) chunks of Prometheus, many at once, written by numpy.

Every bit field of every chunk is computed as a number and a width, then all are shifted to their place together. The
encoder of Prometheus goes from sample to sample because it may keep or replace the window of significant bits; here a
chunk has one window, wide enough for all of its values. Decoders accept that; a chunk of typical data grows by a few
per cent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES_PER_CHUNK = 120
_ONE = np.uint64(1)
_HEADER_BITS = 16
Numbers = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk and the times in milliseconds of its first and last sample."""

    first: int
    last: int
    data: bytes


def encode_chunks(times: Integers, values: Numbers) -> list[Chunk]:
    """Return the chunks of one series. ``values`` are the 64 bits of each float."""
    count = len(times)
    if not count:
        return []
    starts = np.arange(0, count, SAMPLES_PER_CHUNK)
    sizes = np.minimum(SAMPLES_PER_CHUNK, count - starts)
    bits = np.zeros((count, 5), np.uint64)
    widths = np.zeros((count, 5), np.int64)
    _time_fields(times, starts, bits, widths)
    _value_fields(values, starts, bits, widths)
    per_chunk = np.add.reduceat(widths.sum(axis=1), starts) + _HEADER_BITS
    chunk_bytes = (per_chunk + 7) // 8
    first_bit = np.concatenate(([0], np.cumsum(chunk_bytes)[:-1])) * 8
    # position of each field: within the fields of its chunk, behind the header of its chunk
    ends = np.cumsum(widths.ravel()).reshape(widths.shape)
    before_chunk = ends[starts, 0] - widths[starts, 0]
    positions = ends - widths + np.repeat(first_bit + _HEADER_BITS - before_chunk, sizes)[:, None]
    packed = _pack(
        np.concatenate((sizes.astype(np.uint64), bits.ravel())),
        np.concatenate((np.full(len(sizes), _HEADER_BITS), widths.ravel())),
        np.concatenate((first_bit, positions.ravel())),
        int(chunk_bytes.sum()),
    )
    edges = np.concatenate(([0], np.cumsum(chunk_bytes)))
    return [
        Chunk(int(times[start]), int(times[start + size - 1]), packed[edges[index] : edges[index + 1]])
        for index, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]


def _time_fields(times: Integers, starts: Integers, bits: Numbers, widths: Integers) -> None:
    """Fill columns 0 and 1: the prefix of a delta of deltas, and the delta of deltas."""
    deltas = np.diff(times, prepend=times[:1])
    change = np.diff(deltas, prepend=deltas[:1])
    for prefix, prefix_width, width in ((0b1111, 4, 64), (0b1110, 4, 20), (0b110, 3, 17), (0b10, 2, 14)):
        # range of Prometheus' bitRange: -(2^(n-1)-1) to 2^(n-1)
        fits = slice(None) if width == 64 else _within(change, width)
        bits[fits, 0], widths[fits, 0] = prefix, prefix_width
        bits[fits, 1] = change.astype(np.uint64)[fits] & _mask(width)
        widths[fits, 1] = width
    same = change == 0
    bits[same, 0], widths[same, 0], bits[same, 1], widths[same, 1] = 0, 1, 0, 0
    # the first sample of a chunk has its time, the second a delta, both as varints
    _varint_fields((times[starts] << 1) ^ (times[starts] >> 63), starts, bits, widths)
    seconds = starts + 1
    seconds = seconds[seconds < np.append(starts[1:], len(times))]
    _varint_fields(deltas[seconds], seconds, bits, widths)


def _within(change: Integers, width: int) -> NDArray[np.bool_]:
    half = 1 << width - 1
    return (change >= 1 - half) & (change <= half)


def _varint_fields(numbers: Integers, rows: Integers, bits: Numbers, widths: Integers) -> None:
    """Write varints of up to 70 bits into columns 0 (the last bytes up to 64 bits come in column 1)."""
    for row, number in zip(rows.tolist(), numbers.astype(np.uint64).tolist(), strict=True):
        encoded = bytearray()
        while number >= 0x80:
            encoded.append(number & 0x7F | 0x80)
            number >>= 7
        encoded.append(number)
        head, tail = encoded[:8], encoded[8:]
        bits[row, 0], widths[row, 0] = int.from_bytes(head, "big"), 8 * len(head)
        bits[row, 1], widths[row, 1] = int.from_bytes(tail, "big"), 8 * len(tail)


def _value_fields(values: Numbers, starts: Integers, bits: Numbers, widths: Integers) -> None:
    """Fill columns 2 to 4: control bits, the window (first change of a chunk only), significant bits."""
    changed = np.concatenate((values[:1], values[1:] ^ values[:-1]))
    changed[starts] = 0
    together = np.bitwise_or.reduceat(changed, starts)
    leading, trailing = _zeros(together)
    significant = 64 - leading - trailing
    chunk_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    different = changed != 0
    bits[:, 2], widths[:, 2] = 0, 1
    bits[different, 2], widths[different, 2] = 0b10, 2
    bits[different, 4] = changed[different] >> trailing[chunk_of[different]].astype(np.uint64)
    widths[different, 4] = significant[chunk_of[different]]
    rows = np.flatnonzero(different)
    first = rows[np.unique(chunk_of[rows], return_index=True)[1]]
    chunks = chunk_of[first]
    bits[first, 2] = 0b11
    bits[first, 3] = (leading[chunks] << 6 | significant[chunks] & 0x3F).astype(np.uint64)
    widths[first, 3] = 11
    bits[starts, 2], widths[starts, 2] = values[starts], 64  # the first value of a chunk is whole


def _zeros(words: Numbers) -> tuple[Integers, Integers]:
    """Return the leading zeros, at most 31 as five bits hold, and the trailing zeros of each word."""
    filled = words.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(shift)
    leading = 64 - np.bitwise_count(filled).astype(np.int64)
    trailing = np.bitwise_count(~words & (words - _ONE)).astype(np.int64)
    trailing[words == 0] = 0
    return np.minimum(leading, 31), trailing


def _mask(width: int) -> np.uint64:
    return np.uint64((1 << width) - 1)


def _pack(bits: Numbers, widths: Integers, positions: Integers, size: int) -> bytes:
    """Return ``size`` bytes in which each field stands at its position, most significant bit first."""
    used = widths > 0
    order = np.argsort(positions[used], kind="stable")
    bits, widths, positions = bits[used][order], widths[used][order], positions[used][order]
    words = np.zeros(size // 8 + 2, np.uint64)
    word, offset = positions >> 6, positions & 63
    space = 64 - offset - widths  # bits free behind the field in its word; negative if it spills over
    inside = np.where(
        space >= 0,
        bits << np.maximum(space, 0).astype(np.uint64),
        bits >> np.minimum(np.maximum(-space, 0), 63).astype(np.uint64),
    )
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[first]] = np.bitwise_or.reduceat(inside, first)
    over = space < 0
    words[word[over] + 1] |= bits[over] << (64 + space[over]).astype(np.uint64)
    return words.astype(">u8").tobytes()[:size]
