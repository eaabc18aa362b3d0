"""Rows as PostgreSQL's binary COPY format, built by numpy."""

import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_EPOCH_MS = 946_684_800_000  # PostgreSQL counts microseconds since 2000
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("time_size", ">i4"),
        ("time", ">i8"),
        ("id_size", ">i4"),
        ("id", ">i8"),
        ("value_size", ">i4"),
        ("value", ">u8"),
    ]
)


def sample_rows(series_ids: NDArray[np.int64], times: NDArray[np.int64], bits: NDArray[np.uint64]) -> bytes:
    """Return samples (time, series_id, value); times in milliseconds, values as the bits of a double."""
    rows = np.empty(len(times), _ROW)
    rows["fields"] = 3
    rows["time_size"] = rows["id_size"] = rows["value_size"] = 8
    rows["time"] = (times - _EPOCH_MS) * 1000
    rows["id"] = series_ids
    rows["value"] = bits
    return b"".join((HEADER, rows.tobytes(), TRAILER))


def histogram_rows(rows: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return histograms (time, series_id, payload) of (series id, time, payload)."""
    parts = [HEADER]
    for series_id, time, payload in rows:
        parts.append(struct.pack(">hiqiqi", 3, 8, (time - _EPOCH_MS) * 1000, 8, series_id, len(payload)))
        parts.append(payload)
    return b"".join([*parts, TRAILER])
