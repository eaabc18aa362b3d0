"""Samples at the end of a message, read for thousands of messages at once.

A sample has one of few layouts, as its time takes 6 bytes from 2004 to 2109: only these are read here, and every byte
of a layout that is fixed is checked. Anything else is left to the protobuf parser.
"""

import numpy as np
from numpy.typing import NDArray

SAMPLE = 18  # 12 10 | 09 value | 10 time
ZERO = 9  # 12 07 | 10 time: the value 0 is not on the wire
_SHIFTS = np.array([0, 7, 14, 21, 28, 35], np.int64)

Bytes = NDArray[np.uint8]


def read_samples(tails: Bytes) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.uint64]]:
    """Read an array of shape (n, 18): return which are samples, their times in milliseconds, and the bits of values."""
    right = (tails[:, 0] == 0x12) & (tails[:, 1] == 0x10) & (tails[:, 2] == 0x09) & (tails[:, 11] == 0x10)
    times, valid = read_times(tails[:, 12:18])
    bits = np.ascontiguousarray(tails[:, 3:11]).view("<u8").reshape(-1)
    return right & valid, times, bits


def read_zeros(tails: Bytes) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Read an array of shape (n, 9): return which are samples of the value 0, and their times."""
    right = (tails[:, 0] == 0x12) & (tails[:, 1] == 0x07) & (tails[:, 2] == 0x10)
    times, valid = read_times(tails[:, 3:9])
    return right & valid, times


def read_times(varints: Bytes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read an array of shape (n, 6), each a varint of 6 bytes: return the numbers, and which are such varints."""
    valid = (varints[:, :5] >= 0x80).all(axis=1) & (varints[:, 5] < 0x80)
    times = ((varints & 0x7F).astype(np.int64) << _SHIFTS).sum(axis=1)
    return times, valid
