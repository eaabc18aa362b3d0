"""Chunks of native histograms, decoded bit by bit by a reader of our own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.data import STALE, START, STEP, TestSeries, bits, histogram, make_series
from tests.store.read.chunk_reader import decode_histograms

from jelmon_store.read.bits import FLOAT_HISTOGRAM, Chunk
from jelmon_store.read.histogram_chunks import encode_histograms
from jelmon_store.wire.messages import HistogramBits

NATIVE = {
    f"{one.labels['__name__']} {one.labels.get('kind', one.labels.get('stage'))}": one
    for one in make_series()
    if one.histograms
}
POWERS = (-244, -243, 10, 11)
WORDS = st.integers(0, 2**64 - 1).filter(lambda word: word != STALE)


def parts_of(message: bytes) -> dict[str, Any]:
    """What a reader of chunks finds of a message: what is not zero; a stale marker has nothing but its sum."""
    one = HistogramBits.FromString(message)
    parts = {
        "count": one.count_float or one.count_int,
        "zero_count": one.zero_count_float or one.zero_count_int,
        "sum": one.sum,
        "gauge": one.reset_hint == 3,
        "schema": one.schema,
        "zero_threshold": one.zero_threshold,
        "positive": [(span.offset, span.length) for span in one.positive_spans],
        "negative": [(span.offset, span.length) for span in one.negative_spans],
        "bounds": [bits(bound) for bound in one.custom_values],
        "positive_buckets": list(one.positive_counts or one.positive_deltas),
        "negative_buckets": list(one.negative_counts or one.negative_deltas),
    }
    return {"sum": STALE} if one.sum == STALE else {name: value for name, value in parts.items() if value}


def decoded(chunks: list[Chunk]) -> list[list[tuple[int, dict[str, Any]]]]:
    found = []
    for chunk in chunks:
        part = decode_histograms(chunk.data, of_floats=chunk.encoding == FLOAT_HISTOGRAM)
        assert (chunk.first, chunk.last) == (part[0][0], part[-1][0])
        assert len(part) <= 120
        found.append(part)
    return found


@pytest.mark.parametrize("name", NATIVE)
def test_every_kind_comes_back(name: str) -> None:
    """Integers, floats, custom and negative buckets, gauges, stale markers, changing buckets."""
    one: TestSeries = NATIVE[name]
    chunks = decoded(list(encode_histograms(one.histograms)))

    assert [row for chunk in chunks for row in chunk] == [(time, parts_of(message)) for time, message in one.histograms]


def first_times(messages: list[bytes]) -> list[int]:
    """Which of the messages, a step apart, begin a chunk."""
    rows = [(START + STEP * index, message) for index, message in enumerate(messages)]
    return [(chunk.first - START) // STEP for chunk in encode_histograms(rows)]


def integers(*buckets: int, **more: Any) -> bytes:
    deltas = [after - before for before, after in zip((0, *buckets), buckets, strict=False)]
    values = {"count_int": sum(buckets), "positive_spans": [(0, len(buckets))], "positive_deltas": deltas}
    return histogram(START, **(values | more))


def floats(*buckets: float, **more: Any) -> bytes:
    counts = [bits(bucket) for bucket in buckets]
    values = {"count_float": bits(sum(buckets)), "positive_spans": [(0, len(buckets))], "positive_counts": counts}
    return histogram(START, **(values | more))


CUTS = {
    "a count falls": ([integers(1, 5), integers(2, 5), integers(1, 1)], [0, 2]),
    "one bucket falls, the count rises": ([integers(1, 5), integers(3, 4, count_int=9)], [0, 1]),
    "the zero count falls": ([integers(1, zero_count_int=2), integers(2, zero_count_int=1)], [0, 1]),
    "a float falls": ([floats(1.5, 2), floats(1.25, 3)], [0, 1]),
    "a gauge may fall": ([integers(4, reset_hint=3), integers(2, reset_hint=3)], [0]),
    "the sender says so": ([integers(1), integers(2, reset_hint=1), integers(3, reset_hint=2)], [0, 1]),
    "a marker on either side": ([integers(1), histogram(START, sum=STALE), integers(1)], [0, 1, 2]),
    "floats after integers": ([integers(1), floats(1.0)], [0, 1]),
    "other buckets": ([integers(1, 1), integers(1, 1, 0)], [0, 1]),
    "another schema": ([integers(1), integers(1, schema=1)], [0, 1]),
    "another threshold": ([integers(1), integers(1, zero_threshold=bits(0.5))], [0, 1]),
    "nothing changes": ([integers(1), integers(1)], [0]),
}


@pytest.mark.parametrize("name", CUTS)
def test_what_begins_a_chunk(name: str) -> None:
    """Inside of a chunk, readers take it for granted that no counter was reset."""
    messages, expected = CUTS[name]

    assert first_times(messages) == expected


@given(data=st.data())
def test_any_numbers_come_back(data: st.DataObject) -> None:
    """Counts up to 64 bits, any bits of floats, any bounds and thresholds."""
    of_floats = data.draw(st.booleans())
    bound = st.floats(allow_nan=False) | st.integers(0, 40_000_000).map(lambda number: number / 1000)
    layout: dict[str, Any] = {
        "schema": data.draw(st.sampled_from([-53, -4, 0, 8])),
        "zero_threshold": data.draw(
            WORDS | st.sampled_from([0, *(bits(2.0**power) for power in (-244, -243, 10, 11))])
        ),
        "positive_spans": [(data.draw(st.integers(-(2**31), 2**31 - 1)), 2), (3, 1)],
        "negative_spans": [(-1, 2)],
    }
    if layout["schema"] == -53:
        layout["custom_values"] = data.draw(st.lists(bound, max_size=5))
    rows, time = [], data.draw(st.integers(-(2**45), 2**45))
    for _ in range(data.draw(st.integers(1, 8))):
        time += data.draw(st.integers(1, 2**40))
        if of_floats:
            numbers = data.draw(st.lists(WORDS, min_size=8, max_size=8))
            values = dict(
                zip(("count_float", "zero_count_float", "sum"), numbers, strict=False),
                positive_counts=numbers[3:6],
                negative_counts=numbers[6:],
            )
        else:
            deltas = data.draw(st.lists(st.integers(-(2**62), 2**62) | st.integers(-40, 40), min_size=5, max_size=5))
            values = {
                "count_int": data.draw(st.integers(0, 2**64 - 1)),
                "zero_count_int": data.draw(st.integers(0, 2**64 - 1)),
                "sum": data.draw(WORDS),
                "positive_deltas": deltas[:3],
                "negative_deltas": deltas[3:],
            }
        rows.append((time, histogram(0, **layout, **values)))

    assert [row for chunk in decoded(list(encode_histograms(rows))) for row in chunk] == [
        (time, parts_of(message)) for time, message in rows
    ]


def test_a_histogram_with_very_many_buckets_has_a_chunk_of_its_own() -> None:
    """So that no chunk exceeds a frame."""
    buckets = list(range(30_000))
    rows = [(START + STEP * index, integers(*buckets)) for index in range(3)]

    assert [len(chunk) for chunk in decoded(list(encode_histograms(rows)))] == [1, 1, 1]


def test_a_scraped_histogram_takes_little_room() -> None:
    """A few bytes for each, as in Prometheus."""
    one = NATIVE["native_seconds build"]
    chunks = list(encode_histograms(one.histograms))

    assert sum(len(chunk.data) for chunk in chunks) / len(one.histograms) < 12
