"""The little of protobuf that remote read needs: walking a message, and writing varints and fields.

Prometheus' messages are small here and the answers are built by numpy, so generated classes would only cost time.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_SHORT_VARINTS = [bytes([value]) for value in range(0x80)]
_TIME_BYTES = 6
"""Enough for milliseconds until the year 2109."""


class ProtobufError(ValueError):
    """A message is truncated or malformed."""


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield number, wire type and value of each field. Varints are unsigned 64-bit numbers; fixed ones are bytes.

    Raises:
        ProtobufError: the message is malformed.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == VARINT:
            value, position = _varint(message, position)
        else:
            if wire == BYTES:
                size, position = _varint(message, position)
            elif wire in (FIXED64, FIXED32):
                size = 8 if wire == FIXED64 else 4
            else:
                raise ProtobufError(f"unsupported wire type {wire}")
            if size > end - position:
                raise ProtobufError("truncated field")
            value = message[position : position + size]
            position += size
        if number == 0:
            raise ProtobufError("field number 0")
        yield number, wire, value


def varints(packed: bytes) -> Iterator[int]:
    """Yield the numbers of a packed repeated field."""
    position = 0
    while position < len(packed):
        value, position = _varint(packed, position)
        yield value


def signed(value: int) -> int:
    """Return the int64 that an unsigned 64-bit varint stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def encode_varint(value: int) -> bytes:
    """Return a varint; a negative number takes ten bytes, as in an int64 field."""
    if 0 <= value < 0x80:
        return _SHORT_VARINTS[value]
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def padded_times(times: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return times in milliseconds as varints of the same length, as few bytes as all of them fit into."""
    usual = not len(times) or (times.min() >= 0 and times.max() < 1 << 7 * _TIME_BYTES)
    return padded_varints(times, _TIME_BYTES if usual else _MAX_VARINT_BYTES)


def padded_varints(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return each number as a varint of ``width`` bytes, which every reader accepts."""
    groups = np.empty((len(numbers), width), np.uint8)
    unsigned = numbers.astype(np.uint64)
    for index in range(width):
        groups[:, index] = unsigned >> np.uint64(7 * index) & np.uint64(0x7F)
    groups[:, :-1] |= 0x80
    return groups


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    """Return a varint field."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(position, min(position + _MAX_VARINT_BYTES, len(message))):
        byte = message[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, index + 1
        shift += 7
    raise ProtobufError("truncated or overlong varint")
