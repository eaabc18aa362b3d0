"""Chunks of native histograms, of integers and of floats.

A chunk holds histograms with the same buckets. All but the first are read back as "no reset before this one", so a
reset begins a new chunk, as does any change of the buckets, and stale markers have chunks of their own. PromQL compares
the first of a chunk with the one before it.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from jelmon_store.read.bits import (
    FLOAT_HISTOGRAM,
    HISTOGRAM,
    SAMPLES_PER_CHUNK,
    Chunk,
    Integers,
    Numbers,
    pack,
    zeros,
)
from jelmon_store.wire.messages import HistogramBits

CUSTOM_BUCKETS = -53
STALE_BITS = 0x7FF0000000000002
_RESET, _GAUGE = 1, 3  # hints
_VALUES_PER_CHUNK = 50_000
"""At most 9 bytes each, so that a chunk fits into a frame."""
_CUSTOM_MAX = 33_554_430  # of a bound in thousandths, as a number instead of a float
_THRESHOLD_EXPONENTS = range(-242, 12)
_SIZES = (3, 6, 9, 12, 18, 25, 56)  # of varbit numbers
_PREFIXES = (0b10, 0b110, 0b1110, 0b11110, 0b111110, 0b1111110, 0b11111110)
_FIELD = np.dtype([("number", np.uint64), ("width", np.int64)])
Fields = list[tuple[int, int]]  # number and width
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the histograms of one chunk have in common; floats as their bits."""

    of_floats: bool
    gauge: bool
    stale: bool
    schema: int
    zero_threshold: int
    positive: Spans
    negative: Spans
    bounds: tuple[int, ...]


def encode_histograms(histograms: Sequence[tuple[int, bytes]]) -> Iterator[Chunk]:
    """Yield the chunks of one series: times in milliseconds, in order, and ``prometheus.Histogram`` messages."""
    parsed = ((time, HistogramBits.FromString(message)) for time, message in histograms)
    for layout, group in groupby(((_layout(one), time, one) for time, one in parsed), key=lambda row: row[0]):
        rows = [(time, one) for _, time, one in group]
        times = np.array([time for time, _ in rows], np.int64)
        counts, sums = (_floats if layout.of_floats else _integers)(layout, [one for _, one in rows])
        hinted = np.array([one.reset_hint == _RESET for _, one in rows])
        for low, high in _cuts(layout, counts, hinted):
            yield _encode(layout, times[low:high], counts[low:high], sums[low:high])


def _layout(histogram: Any) -> _Layout:
    of_floats = histogram.HasField("count_float")
    if histogram.sum == STALE_BITS:
        return _Layout(of_floats, False, True, 0, 0, (), (), ())
    return _Layout(
        of_floats,
        histogram.reset_hint == _GAUGE,
        False,
        histogram.schema,
        histogram.zero_threshold,
        _spans(histogram.positive_spans),
        _spans(histogram.negative_spans),
        tuple(map(_bits_of, histogram.custom_values)) if histogram.schema == CUSTOM_BUCKETS else (),
    )


def _spans(spans: Any) -> Spans:
    return tuple((span.offset, span.length) for span in spans)


def _integers(layout: _Layout, histograms: Sequence[Any]) -> tuple[Integers, Numbers]:
    """Return the columns count, zero count, and each bucket as its difference from the one before; and the sums."""
    counts, deltas = [(0, 0)] * len(histograms), [()] * len(histograms)
    if not layout.stale:
        counts = [(one.count_int, one.zero_count_int) for one in histograms]
        deltas = [(*one.positive_deltas, *one.negative_deltas) for one in histograms]
    # counts are unsigned, but only their differences and their bits matter
    table = np.hstack([np.array(counts, np.uint64).astype(np.int64), np.array(deltas, np.int64)])
    return table, np.array([one.sum for one in histograms], np.uint64)


def _floats(layout: _Layout, histograms: Sequence[Any]) -> tuple[Integers, Numbers]:
    """Return the columns count, zero count, and buckets, as the bits of floats; and the sums."""
    rows = [
        (0, 0) if layout.stale else (one.count_float, one.zero_count_float, *one.positive_counts, *one.negative_counts)
        for one in histograms
    ]
    return np.array(rows, np.uint64).view(np.int64), np.array([one.sum for one in histograms], np.uint64)


def _cuts(layout: _Layout, counts: Integers, hinted: Any) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each chunk."""
    begins = {0} if layout.gauge or layout.stale else {0, *np.flatnonzero(hinted | _resets(layout, counts)).tolist()}
    size = min(SAMPLES_PER_CHUNK, max(1, _VALUES_PER_CHUNK // counts.shape[1]))
    edges = [*sorted(begins), len(counts)]
    for low, high in pairwise(edges):
        for begin in range(low, high, size):
            yield begin, min(begin + size, high)


def _resets(layout: _Layout, counts: Integers) -> Any:
    """Return which histograms have any count below that of the one before."""
    values: Any = counts
    if layout.of_floats:
        values = counts.view(np.float64)
    else:
        positive = 2 + sum(length for _, length in layout.positive)
        values = np.hstack(
            [counts[:, :2], np.cumsum(counts[:, 2:positive], axis=1), np.cumsum(counts[:, positive:], axis=1)]
        )
    falls = (values[1:] < values[:-1]).any(axis=1)
    return np.concatenate(([False], falls))


def _encode(layout: _Layout, times: Integers, counts: Integers, sums: Numbers) -> Chunk:
    columns = _float_columns(counts.view(np.uint64)) if layout.of_floats else _number_columns(counts, unsigned=2)
    # the sum stands behind count and zero count
    parts = (_number_columns(times[:, None]), columns[:, :2], _float_columns(sums[:, None]), columns[:, 2:])
    fields = np.concatenate(parts, axis=1)
    head = _head(layout, len(times))
    widths = np.concatenate([np.array([width for _, width in head]), fields["width"].ravel()])
    numbers = np.concatenate([np.array([number for number, _ in head], np.uint64), fields["number"].ravel()])
    ends = np.cumsum(widths)
    data = pack(numbers, widths, ends - widths, (int(ends[-1]) + 7) // 8).tobytes()
    return Chunk(FLOAT_HISTOGRAM if layout.of_floats else HISTOGRAM, int(times[0]), int(times[-1]), data)


def _number_columns(values: Integers, *, unsigned: int = 0) -> Any:
    """Return columns of integers as fields: the first as it is, then the difference, then differences of differences.

    The first values of the first columns are ``unsigned``.
    """
    steps = np.diff(values, axis=0)
    columns = _varbits(np.concatenate([values[:1], steps[:1], np.diff(steps, axis=0)]))
    for column in range(unsigned):
        fields = _unsigned(int(values[0, column]) & 0xFFFFFFFFFFFFFFFF)
        columns[0, column] = [*fields, (0, 0)][:2]
    return columns


def _varbits(numbers: Integers) -> Any:
    """Return signed numbers as two fields each: prefix and number, and the number where both exceed 64 bits."""
    fields = np.zeros((*numbers.shape, 2), _FIELD)
    size = np.full(numbers.shape, 64)
    prefix = np.full(numbers.shape, 0xFF, np.uint64)
    prefix_size = np.full(numbers.shape, 8)
    for bits, own in zip(reversed(_SIZES), reversed(_PREFIXES), strict=True):
        fits = (numbers >= 1 - (1 << bits - 1)) & (numbers <= 1 << bits - 1)
        size[fits], prefix[fits], prefix_size[fits] = bits, own, own.bit_length()
    zero = numbers == 0
    size[zero], prefix[zero], prefix_size[zero] = 0, 0, 1
    long = size == 64
    size[long] = 0
    shift = size.astype(np.uint64)
    unsigned = numbers.astype(np.uint64)
    fields["number"][..., 0] = prefix << shift | unsigned & ((np.uint64(1) << shift) - np.uint64(1))
    fields["width"][..., 0] = prefix_size + size
    fields["number"][..., 1] = np.where(long, unsigned, np.uint64(0))
    fields["width"][..., 1] = np.where(long, 64, 0)
    return fields


def _float_columns(values: Numbers) -> Any:
    """Return columns of bits as fields: the first value whole, then changes, with one window for a column."""
    fields = np.zeros((*values.shape, 2), _FIELD)
    bits, widths = fields["number"], fields["width"]
    bits[0, :, 0], widths[0, :, 0] = values[0], 64
    if len(values) == 1:
        return fields
    changes = values[1:] ^ values[:-1]
    leading, trailing = zeros(np.bitwise_or.reduce(changes, axis=0))
    changed = changes != 0
    bits[1:, :, 0] = np.where(changed, 0b10, 0)
    widths[1:, :, 0] = np.where(changed, 2, 1)
    bits[1:, :, 1] = changes >> trailing.astype(np.uint64)
    widths[1:, :, 1] = np.where(changed, 64 - leading - trailing, 0)
    columns = np.flatnonzero(changed.any(axis=0))
    rows = 1 + changed.argmax(axis=0)[columns]
    significant = 64 - leading[columns] - trailing[columns]
    bits[rows, columns, 0] = 0b11 << 11 | leading[columns] << 6 | significant & 0x3F
    widths[rows, columns, 0] = 13
    return fields


def _head(layout: _Layout, count: int) -> Fields:
    """Return the header and the layout as fields."""
    fields: Fields = [(count, 16), (0b11 if layout.gauge else 0b00, 2), (0, 6)]
    fields += _threshold(layout.zero_threshold)
    fields += _signed(layout.schema)
    for spans in (layout.positive, layout.negative):
        fields += _unsigned(len(spans))
        for offset, length in spans:
            fields += _unsigned(length) + _signed(offset)
    if layout.schema == CUSTOM_BUCKETS:
        fields += _unsigned(len(layout.bounds))
        for bound in layout.bounds:
            fields += _bound(bound)
    return fields


def _threshold(bits: int) -> Fields:
    """Return a zero threshold: powers of two as their exponent."""
    fraction, exponent = math.frexp(_float_of(bits))
    if bits == 0:
        return [(0, 8)]
    if fraction == 0.5 and exponent in _THRESHOLD_EXPONENTS:
        return [(exponent + 243, 8)]
    return [(255, 8), (bits, 64)]


def _bound(bits: int) -> Fields:
    """Return a custom bound: whole thousandths as a number."""
    bound = _float_of(bits)
    thousandths = bound * 1000
    if 0 <= thousandths <= _CUSTOM_MAX and round(thousandths) / 1000 == bound and bits >> 63 == 0:
        return _unsigned(round(thousandths) + 1)
    return [(0, 1), (bits, 64)]


def _unsigned(number: int) -> Fields:
    if not number:
        return [(0, 1)]
    for size, prefix in zip(_SIZES, _PREFIXES, strict=True):
        if number < 1 << size:
            return [(prefix << size | number, size + prefix.bit_length())]
    return [(0xFF, 8), (number, 64)]


def _signed(number: int) -> Fields:
    if not number:
        return [(0, 1)]
    for size, prefix in zip(_SIZES, _PREFIXES, strict=True):
        if 1 - (1 << size - 1) <= number <= 1 << size - 1:
            return [(prefix << size | number & (1 << size) - 1, size + prefix.bit_length())]
    return [(0xFF, 8), (number & 0xFFFFFFFFFFFFFFFF, 64)]


def _bits_of(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")


def _float_of(bits: int) -> float:
    value: float = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return value
