"""Write requests of remote write 1.0, encoded by numpy: all samples of a chunk at once.

A time in milliseconds between 1971 and 2109 is a varint of six bytes, so that every sample takes 18 bytes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from jelmon_history.columns import Chunk, Labels

_SAMPLE = np.dtype(
    [("tag", "u1"), ("size", "u1"), ("value_tag", "u1"), ("value", "<f8"), ("time_tag", "u1"), ("time", "6u1")]
)
_SAMPLE_TAG, _SAMPLE_SIZE, _VALUE_TAG, _TIME_TAG = 0x12, 16, 0x09, 0x10
_EARLIEST, _END = 1 << 35, 1 << 42
STALE = np.array([0x7FF0000000000002], dtype=np.uint64).view(np.float64)[0]
"""The NaN with which Prometheus marks the end of a series."""


class Encoder:
    """Encodes chunks; remembers the encoded labels of each series."""

    def __init__(self, samples_per_request: int) -> None:
        self._most = samples_per_request
        self._labels: dict[Labels, bytes] = {}

    def requests(self, chunk: Chunk) -> Iterator[bytes]:
        """Yield write requests of about the wanted size, uncompressed; a series is never divided."""
        samples = _samples(chunk)
        written = ~np.isnan(chunk.values) | chunk.stale
        pending: list[bytes] = []
        count = 0
        for index, labels in enumerate(chunk.labels):
            mask = written[:, index]
            number = int(mask.sum())
            if not number:
                continue
            content = (
                self._encoded(labels) + (samples[index] if number == len(mask) else samples[index][mask]).tobytes()
            )
            pending.append(b"\x0a" + _varint(len(content)) + content)
            count += number
            if count >= self._most:
                yield b"".join(pending)
                pending, count = [], 0
        if pending:
            yield b"".join(pending)

    def _encoded(self, labels: Labels) -> bytes:
        encoded = self._labels.get(labels)
        if encoded is None:
            encoded = self._labels[labels] = b"".join(
                _field(b"\x0a", _field(b"\x0a", name.encode()) + _field(b"\x12", value.encode()))
                for name, value in labels
            )
        return encoded


def _samples(chunk: Chunk) -> NDArray[np.void]:
    if chunk.times[0] < _EARLIEST or chunk.times[-1] >= _END:
        raise ValueError("a time before 1971 or after 2109")
    values = chunk.values.T.copy()
    values[chunk.stale.T] = STALE
    samples = np.empty(values.shape, dtype=_SAMPLE)
    samples["tag"], samples["size"], samples["value_tag"], samples["time_tag"] = (
        _SAMPLE_TAG,
        _SAMPLE_SIZE,
        _VALUE_TAG,
        _TIME_TAG,
    )
    samples["value"] = values
    shifts = np.arange(6) * 7
    varints = (chunk.times[:, np.newaxis] >> shifts) & 0x7F
    varints[:, :-1] |= 0x80
    samples["time"] = varints.astype(np.uint8)
    return samples


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
