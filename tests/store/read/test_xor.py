"""XOR chunks, decoded bit by bit by a reader of our own."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.data import COUNT, STALE, START, STEP, bits, make_series
from tests.store.read.chunk_reader import decode_xor

from jelmon_store.read.protobuf import fields, signed
from jelmon_store.read.xor import encode_chunks

TIMES = st.lists(
    st.integers(-(2**45), 2**45) | st.integers(START, START + 10_000_000), min_size=1, max_size=300, unique=True
).map(sorted)
WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, STALE, bits(1.0), bits(-0.0), bits(2.5)])


def encoded(*series: list[tuple[int, int]]) -> list[list[bytes]]:
    """The data of the chunks of each series, after a check of what stands before them."""
    samples = [sample for one in series for sample in one]
    times = np.array([time for time, _ in samples], np.int64)
    values = np.array([value for _, value in samples], np.uint64)
    ends = np.cumsum([len(one) for one in series], dtype=np.int64)
    data: list[list[bytes]] = []
    for chunks in encode_chunks(times, values, ends):
        data.append([])
        for chunk in chunks:
            ((number, _, message),) = fields(chunk)
            assert number == 2
            assert isinstance(message, bytes)
            parts: dict[int, Any] = {key: value for key, _, value in fields(message)}
            part = decode_xor(parts[4])
            assert (signed(parts[1]), signed(parts[2]), parts[3]) == (part[0][0], part[-1][0], 1)
            assert len(part) <= 120
            data[-1].append(parts[4])
    return data


def decoded(*series: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    return [[sample for data in chunks for sample in decode_xor(data)] for chunks in encoded(*series)]


@given(times=TIMES, data=st.data())
def test_any_samples_come_back_bit_by_bit(times: list[int], data: st.DataObject) -> None:
    """Any times and any 64 bits."""
    values = data.draw(st.lists(WORDS, min_size=len(times), max_size=len(times)))

    samples = list(zip(times, values, strict=True))

    assert decoded(samples) == [samples]


@given(counts=st.lists(st.sampled_from([0, 1, 2, 3, 119, 120, 121, 240]), max_size=8), data=st.data())
def test_series_do_not_touch_each_other(counts: list[int], data: st.DataObject) -> None:
    """Many are encoded at once; some have one sample, or none."""
    first = data.draw(st.lists(st.integers(0, 2**41), min_size=len(counts), max_size=len(counts)))
    series = [
        [(start + STEP * index, bits(start + index % 7)) for index in range(count)]
        for start, count in zip(first, counts, strict=True)
    ]

    assert decoded(*series) == series


def test_more_chunks_than_are_computed_at_once() -> None:
    """The portions join without a seam."""
    series = [[(START + STEP * index, bits(index)) for index in range(1 + number % 4)] for number in range(1500)]

    assert decoded(*series) == series


@pytest.mark.parametrize("change", [0, 8191, 8192, 8193, -8191, -8192, 65536, -65535, 65537, 524288, 524289, -524287])
def test_every_width_of_a_delta_of_deltas(change: int) -> None:
    """The bounds of the widths that Prometheus uses are not those of two's complement."""
    samples = [(START, 1), (START + 10**6, 2), (START + 2 * 10**6 + change, 3)]

    assert decoded(samples) == [samples]


@pytest.mark.parametrize("count", [1, 2, 119, 120, 121, 240, 241])
def test_chunks_have_at_most_120_samples(count: int) -> None:
    """The edges of a chunk."""
    samples = [(START + STEP * index, index) for index in range(count)]

    assert decoded(samples) == [samples]


def test_regular_samples_take_little_room() -> None:
    """What a counter that is scraped takes in Prometheus, and not much more."""
    (series, *_) = [one for one in make_series() if one.labels["__name__"] == "http_requests_total"]
    (chunks,) = encoded(series.samples)

    assert sum(map(len, chunks)) / COUNT < 4
