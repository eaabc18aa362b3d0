"""XOR chunks, decoded bit by bit by a reader of our own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.data import COUNT, STALE, START, STEP, bits, make_series
from tests.store.read.chunk_reader import decode_xor

from jelmon_store.read.xor import encode_chunks

TIMES = st.lists(
    st.integers(-(2**45), 2**45) | st.integers(START, START + 10_000_000), min_size=1, max_size=300, unique=True
).map(sorted)
WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, STALE, bits(1.0), bits(-0.0), bits(2.5)])


def decoded(times: list[int], values: list[int]) -> list[tuple[int, int]]:
    chunks = encode_chunks(np.array(times, np.int64), np.array(values, np.uint64))
    samples = []
    for chunk in chunks:
        part = decode_xor(chunk.data)
        assert (chunk.first, chunk.last) == (part[0][0], part[-1][0])
        assert len(part) <= 120
        samples += part
    return samples


@given(times=TIMES, data=st.data())
def test_any_samples_come_back_bit_by_bit(times: list[int], data: st.DataObject) -> None:
    """Any times and any 64 bits."""
    values = data.draw(st.lists(WORDS, min_size=len(times), max_size=len(times)))

    assert decoded(times, values) == list(zip(times, values, strict=True))


@pytest.mark.parametrize("change", [0, 8191, 8192, 8193, -8191, -8192, 65536, -65535, 65537, 524288, 524289, -524287])
def test_every_width_of_a_delta_of_deltas(change: int) -> None:
    """The bounds of the widths that Prometheus uses are not those of two's complement."""
    times = [START, START + 10**6, START + 2 * 10**6 + change]

    assert decoded(times, [1, 2, 3]) == list(zip(times, [1, 2, 3], strict=True))


@pytest.mark.parametrize("count", [1, 2, 119, 120, 121, 240, 241])
def test_chunks_have_at_most_120_samples(count: int) -> None:
    """The edges of a chunk."""
    times = [START + STEP * index for index in range(count)]

    assert decoded(times, list(range(count))) == list(zip(times, range(count), strict=True))


def test_regular_samples_take_little_room() -> None:
    """What a counter that is scraped takes in Prometheus, and not much more."""
    (series, *_) = [one for one in make_series() if one.labels["__name__"] == "http_requests_total"]
    times, values = (np.array(column) for column in zip(*series.samples, strict=True))
    size = sum(len(chunk.data) for chunk in encode_chunks(times.astype(np.int64), values.astype(np.uint64)))

    assert size / COUNT < 4
