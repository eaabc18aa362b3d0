"""A reader of streamed chunks, written from the format alone: bit by bit, with a CRC32C of its own."""

import math
import struct
from collections.abc import Iterator
from typing import Any

from tests.store.data import STALE, bits

from jelmon_store.read.protobuf import fields

Sample = tuple[int, Any]
"""A time, and the bits of a float or the parts of a histogram."""


def read_stream(stream: bytes) -> Iterator[tuple[int, dict[str, str], list[Sample], int]]:
    """Yield query index, labels, samples and frame size of each frame."""
    position = 0
    while position < len(stream):
        size = shift = 0
        while True:
            byte = stream[position]
            size |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                break
        (checksum,) = struct.unpack_from(">I", stream, position)
        message = stream[position + 4 : position + 4 + size]
        assert len(message) == size, "truncated frame"
        assert crc32c(message) == checksum
        position += 4 + size
        index, series = 0, []
        for number, _, value in fields(message):
            if number == 1:
                series.append(value)
            elif number == 2:
                assert isinstance(value, int)
                index = value
        assert len(series) == 1, "one series a frame"
        assert isinstance(series[0], bytes)
        yield index, *_series(series[0]), size


def _series(message: bytes) -> tuple[dict[str, str], list[Sample]]:
    labels, samples = {}, []
    for number, _, value in fields(message):
        assert isinstance(value, bytes)
        parts = {key: content for key, _, content in fields(value)}
        if number == 1:
            name, text = parts[1], parts.get(2, b"")
            assert isinstance(name, bytes)
            assert isinstance(text, bytes)
            labels[name.decode()] = text.decode()
        elif number == 2:
            data = parts[4]
            assert isinstance(data, bytes)
            chunk: list[Sample] = (
                decode_xor(data) if parts[3] == 1 else decode_histograms(data, of_floats=parts[3] == 3)
            )
            assert len(chunk) <= 120
            assert (_signed(parts[1]), _signed(parts[2])) == (chunk[0][0], chunk[-1][0])
            samples += chunk
    return labels, samples


def _signed(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value - 2**64 if value >= 2**63 else value


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum, by its table."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


def _table_entry(index: int) -> int:
    for _ in range(8):
        index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
    return index


_TABLE = [_table_entry(index) for index in range(256)]


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self.left = len(data) * 8

    def take(self, count: int) -> int:
        self.left -= count
        assert self.left >= 0, "the chunk is too short"
        return self._number >> self.left & (1 << count) - 1

    def _size(self) -> int:
        ones = 0
        while ones < 8 and self.take(1):
            ones += 1
        return (0, 3, 6, 9, 12, 18, 25, 56, 64)[ones]

    def number(self) -> int:
        """An unsigned varbit."""
        size = self._size()
        return self.take(size) if size else 0

    def signed(self) -> int:
        """A signed varbit; as with times, the middle of the range is positive."""
        size = self._size()
        number = self.take(size) if size else 0
        return (
            number - (1 << size) if size and (number >= 1 << 63 if size == 64 else number > 1 << size - 1) else number
        )

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(8)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


def decode_xor(data: bytes) -> list[Sample]:
    """The samples of an XOR chunk: times in milliseconds and the 64 bits of the values."""
    stream = _Bits(data)
    count = stream.take(16)
    zigzag = stream.varint()
    time, value = zigzag >> 1 ^ -(zigzag & 1), stream.take(64)
    samples = [(time, value)]
    delta = leading = significant = 0
    for index in range(1, count):
        if index == 1:
            delta = stream.varint()
        else:
            ones = 0
            while ones < 4 and stream.take(1):
                ones += 1
            width = (0, 14, 17, 20, 64)[ones]
            change = stream.take(width) if width else 0
            # Prometheus takes the highest half of the range as negative, but 2^(width-1) itself as positive
            if width and (change >= 1 << 63 if width == 64 else change > 1 << width - 1):
                change -= 1 << width
            delta += change
        time += delta
        if stream.take(1):
            if stream.take(1):
                leading, significant = stream.take(5), stream.take(6) or 64
            value ^= stream.take(significant) << 64 - leading - significant
        samples.append((time, value))
    assert stream.left < 8, "bytes behind the last sample"
    return samples


def decode_histograms(data: bytes, *, of_floats: bool) -> list[tuple[int, dict[str, Any]]]:
    """The histograms of a chunk: times, and what is not zero; floats as bits, buckets of integers as deltas."""
    stream = _Bits(data)
    count, gauge = stream.take(16), stream.take(2) == 3
    stream.take(6)
    layout = _layout(stream)
    positive, negative = (sum(length for _, length in layout[name]) for name in ("positive", "negative"))
    time = stream.signed()
    values = [stream.take(64) if of_floats else stream.number() for _ in range(2)]
    total = [stream.take(64)]
    buckets = [stream.take(64) if of_floats else stream.signed() for _ in range(positive + negative)]
    steps, time_step = [0] * (2 + len(buckets)), 0
    windows: list[tuple[int, int]] = [(0, 0)] * (3 + len(buckets))
    found = []
    for index in range(count):
        if index:
            time_step += stream.signed()
            time += time_step
            _advance(stream, values, steps, windows, 0, of_floats=of_floats)
            windows[-1] = _xor(stream, total, 0, windows[-1])
            if total[0] != STALE:
                _advance(stream, buckets, steps, windows, 2, of_floats=of_floats)
        own = {"count": values[0] % 2**64, "zero_count": values[1] % 2**64, "sum": total[0], "gauge": gauge, **layout}
        own |= {"positive_buckets": buckets[:positive], "negative_buckets": buckets[positive:]}
        found.append((time, {key: value for key, value in own.items() if value}))
    assert stream.left < 8, "bytes behind the last histogram"
    return found


def _layout(stream: "_Bits") -> dict[str, Any]:
    exponent = stream.take(8)
    threshold = 0
    if exponent:
        threshold = stream.take(64) if exponent == 255 else bits(math.ldexp(0.5, exponent - 243))
    schema = stream.signed()
    spans = []
    for _ in range(2):
        pairs = []
        for _ in range(stream.number()):
            length = stream.number()
            pairs.append((stream.signed(), length))
        spans.append(pairs)
    bounds = []
    if schema == -53:
        for _ in range(stream.number()):
            thousandths = stream.number()
            bounds.append(bits((thousandths - 1) / 1000) if thousandths else stream.take(64))
    return {
        "schema": schema,
        "zero_threshold": threshold,
        "positive": spans[0],
        "negative": spans[1],
        "bounds": bounds,
    }


def _advance(
    stream: "_Bits", values: list[int], steps: list[int], windows: list[tuple[int, int]], at: int, *, of_floats: bool
) -> None:
    for index in range(len(values)):
        if of_floats:
            windows[at + index] = _xor(stream, values, index, windows[at + index])
        else:
            steps[at + index] += stream.signed()
            values[index] = _signed((values[index] + steps[at + index]) % 2**64)


def _xor(stream: "_Bits", values: list[int], index: int, window: tuple[int, int]) -> tuple[int, int]:
    if stream.take(1):
        if stream.take(1):
            window = stream.take(5), stream.take(6) or 64
        leading, significant = window
        values[index] ^= stream.take(significant) << 64 - leading - significant
    return window
