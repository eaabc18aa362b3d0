"""Samples of the usual layouts, read for thousands of series at once.

A sample has one of few layouts, as its time takes 6 bytes from 2004 to 2109: only these are read here, and every byte
of a layout that is fixed is checked. Anything else is left to the protobuf parser. Words of eight bytes are read at
any position, so that a layout needs a few operations on an array of words.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLE = 18  # 12 10 | 09 value | 10 time
ZERO = 9  # 12 07 | 10 time: the value 0 is not on the wire
STARTED = 25  # 12 17 | 09 value | 10 time | 18 start
VALUE, TIME = 15, 6  # where they begin, counted from the end of a sample
_WORD = 8
# the last 8 bytes: one of the value or of the length, the tag, and a varint of 6 bytes
_TIME_FIXED = np.uint64(0x8080808080_80FF00)
_TIME_RIGHT = {0x10: np.uint64(0x0080808080_801000), 0x18: np.uint64(0x0080808080_801800)}
_HEAD = np.uint64(0xFFFFFF)
_PLAIN_HEAD, _STARTED_HEAD, _ZERO_HEAD = np.uint64(0x091012), np.uint64(0x091712), np.uint64(0x100712)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]


class Tails(NamedTuple):
    """Samples that end at given positions: which are samples, which of those have the value 0, times and bits."""

    right: Bools
    zero: Bools
    times: Ints
    bits: Words


def items_at(stream: Bytes, positions: Ints, size: int) -> Bytes:
    """Return ``size`` bytes from each position, as rows. All of them must lie in the stream."""
    shape = (max(len(stream) - size + 1, 0),)
    items: NDArray[Any] = np.ndarray(shape, f"V{size}", stream, strides=(1,))
    return items[positions].view(np.uint8).reshape(-1, size)


def words_at(stream: Bytes, positions: Ints) -> Words:
    """Return the word that begins at each position."""
    return items_at(stream, positions, _WORD).view("<u8").reshape(-1)


def read_times(words: Words, tag: int = 0x10) -> tuple[Ints, Bools]:
    """Read the words before the ends of varints of 6 bytes: return the numbers, and which have this layout and tag."""
    right = (words & _TIME_FIXED) == _TIME_RIGHT[tag]
    times = (words >> np.uint64(16)) & np.uint64(0x7F)
    for number in range(1, TIME):
        times |= (words >> np.uint64(16 + number)) & np.uint64(0x7F << (7 * number))
    return times.view(np.int64), right


def read_tails(stream: Bytes, ends: Ints, lengths: Ints) -> Tails:
    """Read the samples that end at ``ends``; ``lengths`` are those of the messages that hold them."""
    if len(stream) < SAMPLE:
        none = np.zeros(len(ends), np.bool_)
        return Tails(none, none, np.zeros(len(ends), np.int64), np.zeros(len(ends), np.uint64))
    times, right = read_times(words_at(stream, np.maximum(ends - _WORD, 0)))
    plain = right & (lengths >= SAMPLE)
    plain &= (words_at(stream, np.maximum(ends - SAMPLE, 0)) & _HEAD) == _PLAIN_HEAD
    bits = words_at(stream, np.maximum(ends - VALUE, 0))
    if plain.all():
        return Tails(plain, np.zeros(len(ends), np.bool_), times, bits)
    zero = right & ~plain & (lengths >= ZERO)
    zero &= (words_at(stream, np.maximum(ends - ZERO, 0)) & _HEAD) == _ZERO_HEAD
    return Tails(plain | zero, zero, times, np.where(zero, np.uint64(0), bits))


class Heads(NamedTuple):
    """Samples that begin at given positions: which are samples, times, bits, starts (0: none), and where they end."""

    right: Bools
    times: Ints
    bits: Words
    starts: Ints
    ends: Ints


def read_heads(stream: Bytes, begins: Ints) -> Heads:
    """Read the samples that begin at ``begins``, each with at least `STARTED` bytes of the stream behind it."""
    heads = words_at(stream, begins) & _HEAD
    plain = heads == _PLAIN_HEAD
    if plain.all():
        times, right = read_times(words_at(stream, begins + (SAMPLE - _WORD)))
        return Heads(right, times, _values(stream, begins), np.zeros(len(begins), np.int64), begins + SAMPLE)
    zero, started = heads == _ZERO_HEAD, heads == _STARTED_HEAD
    size = np.where(zero, ZERO, SAMPLE)
    times, right = read_times(words_at(stream, begins + size - _WORD))
    starts = np.zeros(len(begins), np.int64)
    if started.any():
        begun, usable = read_times(words_at(stream, begins + (STARTED - _WORD)), 0x18)
        started &= usable
        starts = np.where(started, begun, 0)
        size = np.where(started, STARTED, size)
    bits = np.where(zero, np.uint64(0), _values(stream, begins))
    return Heads(right & (plain | zero | started), times, bits, starts, begins + size)


def _values(stream: Bytes, begins: Ints) -> Words:
    return words_at(stream, begins + (SAMPLE - VALUE))
