"""gzip for a page that is requested repeatedly: unchanged pieces are not compressed again.

A deflate stream that ends in a full flush ends on a byte boundary and is independent of what precedes it (RFC 1951,
3.2.4), so the concatenated streams of several pieces are one stream. The page is one gzip member (RFC 1952).
"""

import struct
import zlib
from collections.abc import Iterable

_LEVEL = 1  # level 9 costs ten times the time for half the bytes
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no time, fastest, system unknown
_END = b"\x03\x00"  # the last block, which is empty


class PageCompressor:
    """Compresses the versions of one page."""

    def __init__(self) -> None:
        self._compressed: dict[str, bytes] = {}  # pieces of the last version; strings cache their hash

    def compress(self, pieces: Iterable[str]) -> bytes:
        """Return the pieces as one gzip member."""
        before, self._compressed = self._compressed, {}
        parts: list[bytes] = [_HEAD]
        page: list[str] = []
        for piece in pieces:
            compressed = self._compressed[piece] = before.get(piece) or _deflate(piece.encode())
            parts.append(compressed)
            page.append(piece)
        data = "".join(page).encode()
        parts += (_END, struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
        return b"".join(parts)


def _deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)
