"""Snappy's block format, as remote write uses it."""

import cramjam

from jelmon_store.wire.errors import RequestError

MAX_BYTES = 32 * 1024 * 1024
"""Limit of a decompressed message; Prometheus' own receiver has the same."""
_LENGTH_BYTES = 5


def decompress(body: bytes, *, limit: int = MAX_BYTES) -> bytes:
    """Return the decompressed body. The length it declares is checked before memory is allocated.

    Raises:
        RequestError: the body is corrupt, or larger than ``limit``.
    """
    length = declared_length(body)
    if length > limit:
        raise RequestError(f"the message has {length} bytes; the limit is {limit}", hint="send fewer samples a request")
    # the best ratio of the format is 64 bytes from a copy of 3: a small body that declares more is a bomb
    if length > 64 * len(body):
        raise RequestError(f"a body of {len(body)} bytes cannot hold {length} bytes")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise RequestError(f"the body is not snappy in block format: {error}") from error


def compress(message: bytes) -> bytes:
    """Return the message in block format."""
    return bytes(cramjam.snappy.compress_raw(message))


def declared_length(body: bytes) -> int:
    """Return the length that the head of a body declares.

    Raises:
        RequestError: the body has no such head.
    """
    length = 0
    for position, byte in enumerate(body[:_LENGTH_BYTES]):
        length |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return length
    raise RequestError("the body is not snappy in block format: it declares no length")
