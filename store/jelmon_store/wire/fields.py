"""Fields of messages: a tag, the length as a varint in its shortest form, and the content."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def field(tag: int, content: bytes) -> bytes:
    """Return a field."""
    length = len(content)
    head = bytearray([tag])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def field_at(message: bytes, at: int, tag: int) -> bytes | None:
    """Return the content of the field at a position; None if it has another tag, another form, or is cut off."""
    if message[at] != tag:
        return None
    length = shift = 0
    for position in range(at + 1, min(at + 5, len(message))):
        byte = message[position]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = position + 1 + length
            shortest = end - at == field_size(length)
            return message[position + 1 : end] if shortest and end <= len(message) else None
    return None


def field_size(length: int) -> int:
    """Return how long a field is, by the length of its content."""
    return length + 2 + (length > 0x7F) + (length > 0x3FFF) + (length > 0x1FFFFF)


def field_sizes(lengths: Ints) -> Ints:
    """Return how long fields are, by the lengths of their contents."""
    return lengths + 2 + (lengths > 0x7F) + (lengths > 0x3FFF) + (lengths > 0x1FFFFF)
