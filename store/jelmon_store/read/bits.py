"""Bit streams of chunks, written by numpy: fields with a width each, shifted to their places together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES_PER_CHUNK = 120
XOR, HISTOGRAM, FLOAT_HISTOGRAM = 1, 2, 3
"""Encodings, with the numbers of ``prometheus.Chunk.Encoding``."""
Numbers = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk, its encoding, and the times in milliseconds of its first and last sample."""

    encoding: int
    first: int
    last: int
    data: bytes


def zeros(words: Numbers) -> tuple[Integers, Integers]:
    """Return the leading zeros, at most 31 as five bits hold, and the trailing zeros of each word."""
    filled = words.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(shift)
    leading = 64 - np.bitwise_count(filled).astype(np.int64)
    trailing = np.bitwise_count(~words & (words - np.uint64(1))).astype(np.int64)
    trailing[words == 0] = 0
    return np.minimum(leading, 31), trailing


def pack(bits: Numbers, widths: Integers, positions: Integers, size: int) -> NDArray[np.uint8]:
    """Return ``size`` bytes in which each field stands at its position, most significant bit first."""
    used = np.flatnonzero(widths)
    bits, widths, positions = bits[used], widths[used], positions[used]
    words = np.zeros(size // 8 + 2, np.uint64)
    word = positions >> 6
    space = 64 - (positions & 63) - widths  # bits free behind the field in its word; negative if it spills over
    inside = bits << np.maximum(space, 0).astype(np.uint64) >> np.maximum(-space, 0).astype(np.uint64)
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[first]] = np.bitwise_or.reduceat(inside, first)
    over = np.flatnonzero(space < 0)
    words[word[over] + 1] |= bits[over] << (64 + space[over]).astype(np.uint64)
    return words.astype(">u8").view(np.uint8)[:size]
