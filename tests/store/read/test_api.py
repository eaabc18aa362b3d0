"""Remote read over HTTP: answers, limits and refusals."""

import asyncio
from typing import Any

import cramjam
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.data import COUNT, STALE, START, STEP, TestSeries, bits, make_series, native_histogram
from tests.store.read.chunk_reader import Sample, read_stream
from tests.store.read.test_histogram_chunks import parts_of
from tests.store.support import at, fetch, load, migrate, serve

from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.settings import RetentionSettings
from jelmon_store.read.protobuf import bytes_field, fields, varint_field
from jelmon_store.read.request import parse

END = START + COUNT * STEP
EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = range(4)
SAMPLES, STREAMED = 0, 1
Matchers = list[tuple[int, str, str]]


def query(matchers: Matchers, start: int = START, end: int = END) -> bytes:
    encoded = b"".join(
        bytes_field(3, varint_field(1, kind) + bytes_field(2, name.encode()) + bytes_field(3, value.encode()))
        for kind, name, value in matchers
    )
    return bytes_field(1, varint_field(1, start) + varint_field(2, end) + encoded)


def body(*queries: bytes, accepted: tuple[int, ...] = ()) -> bytes:
    types = b"".join(varint_field(2, kind) for kind in accepted)
    return bytes(cramjam.snappy.compress_raw(b"".join(queries) + types))


def content(message: bytes, number: int) -> list[bytes]:
    """The values of a repeated message field."""
    return [value for key, _, value in fields(message) if key == number and isinstance(value, bytes)]


def series_of(answer: bytes) -> list[list[tuple[dict[str, str], list[Sample]]]]:
    """Labels and samples of each series of each query of a SAMPLES answer."""
    results = content(bytes(cramjam.snappy.decompress_raw(answer)), 1)
    return [[_series(one) for one in content(result, 1)] for result in results]


def _series(message: bytes) -> tuple[dict[str, str], list[Sample]]:
    pairs = [{key: value for key, _, value in fields(label)} for label in content(message, 1)]
    labels = {pair[1].decode(): pair[2].decode() for pair in pairs}  # type: ignore[union-attr]
    samples = []
    for sample in content(message, 2):
        parts: dict[int, Any] = {key: value for key, _, value in fields(sample)}
        samples.append((parts[2], int.from_bytes(parts[1], "little")))
    return labels, samples


UP = (EQUAL, "__name__", "up")
ALL = (REGEX, "__name__", ".+")


@pytest.fixture
async def dsn(postgres_dsn: str) -> str:
    """A database with the test series."""
    await migrate(postgres_dsn)
    load(postgres_dsn, make_series())
    return postgres_dsn


async def test_both_answers_hold_every_sample_bit_by_bit(dsn: str) -> None:
    """Series sorted by labels, samples by time, stale markers and NaN as stored."""
    expected = [(one.labels, one.samples) for one in make_series() if not one.histograms]
    async with serve(dsn) as url:
        _, headers, sampled = await fetch(url, body(query([ALL, (NOT_REGEX, "__name__", "native.*")])))

        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["Content-Encoding"] == "snappy"
        assert series_of(sampled) == [expected]

        wanted = query([ALL, (NOT_REGEX, "__name__", "native.*")])
        _, headers, streamed = await fetch(url, body(wanted, accepted=(STREAMED, SAMPLES)))

        assert headers["Content-Type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
        assert "Content-Encoding" not in headers
        assert [(labels, samples) for _, labels, samples, _ in read_stream(streamed)] == expected


async def test_each_query_has_its_result(dsn: str) -> None:
    """Also one that finds nothing; both ends of a range are included."""
    queries = (
        query([UP], START, START + STEP),
        query([(EQUAL, "__name__", "nothing")]),
        query([UP, (EQUAL, "job", "search")], START, START),
        query([UP], START + 1, START),
    )
    async with serve(dsn) as url:
        _, _, sampled = await fetch(url, body(*queries))
        counts = [[len(samples) for _, samples in result] for result in series_of(sampled)]

        assert counts == [[2, 2], [], [1], []]

        _, _, streamed = await fetch(url, body(*queries, accepted=(STREAMED,)))

        assert [(index, len(samples)) for index, _, samples, _ in read_stream(streamed)] == [(0, 2), (0, 2), (2, 1)]


async def test_hints_change_nothing(postgres_dsn: str) -> None:
    """No rollup is exact for a hint: a window of PromQL ends with the sample at its end, with which a bucket begins.

    Here each bucket of 5 minutes begins with a sample whose value stands out.
    """
    samples = [(START + STEP * index, bits(100.0 if index % 20 == 0 else index % 20)) for index in range(241)]
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "up"}, samples)])
    maintenance = Maintenance(postgres_dsn, RetentionSettings(), clock=lambda: at(START + 7_200_000))
    assert await asyncio.to_thread(maintenance.run_once)
    plain = query([UP], START, START + 3_600_000)
    ((_, _, message),) = fields(plain)
    assert isinstance(message, bytes)
    async with serve(postgres_dsn) as url:
        _, _, expected = await fetch(url, body(plain))
        for function in ("max_over_time", "min_over_time", "sum_over_time", "count_over_time", "increase", "rate"):
            hints = varint_field(1, 300_000) + bytes_field(2, function.encode()) + varint_field(3, START)
            hints += varint_field(4, START + 3_600_000) + varint_field(7, 300_000)
            _, _, answer = await fetch(url, body(bytes_field(1, message + bytes_field(4, hints))))

            assert answer == expected, function
    assert series_of(expected) == [[({"__name__": "up"}, samples)]]


async def test_a_long_series_is_sent_in_frames_of_one_mebibyte(postgres_dsn: str) -> None:
    """Values without pattern take 8 bytes each."""
    samples = [(START + 1000 * index, (index * 0x9E3779B97F4A7C15) % 2**64 >> 1) for index in range(125_000)]
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "noise"}, samples)])
    async with serve(postgres_dsn) as url:
        _, _, stream = await fetch(url, body(query([ALL], START, samples[-1][0]), accepted=(STREAMED,)))
    frames = list(read_stream(stream))

    assert len(frames) >= 2
    assert max(size for _, _, _, size in frames) <= 1 << 20
    assert [sample for _, _, part, _ in frames for sample in part] == samples


async def test_native_histograms_come_as_stored(dsn: str) -> None:
    """As samples they are the messages that were received; as chunks, the same numbers."""
    expected = [one for one in make_series() if one.histograms]
    request = query([(REGEX, "__name__", "native_.*")])
    async with serve(dsn) as url:
        _, _, answer = await fetch(url, body(request, accepted=(SAMPLES, STREAMED)))
        (result,) = content(bytes(cramjam.snappy.decompress_raw(answer)), 1)

        assert [content(one, 4) for one in content(result, 1)] == [
            [message for _, message in one.histograms] for one in expected
        ]
        _, headers, stream = await fetch(url, body(request, accepted=(STREAMED, SAMPLES)))

        assert headers["Content-Type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
        assert [(labels, samples) for _, labels, samples, _ in read_stream(stream)] == [
            (one.labels, [*one.samples, *((time, parts_of(message)) for time, message in one.histograms)])
            for one in expected
        ]


async def test_floats_and_histograms_of_one_series_alternate(postgres_dsn: str) -> None:
    """A series may change its kind at any time; at the same time the float wins, as in Prometheus."""
    kinds = "ffhhhfhfbhb"
    one = TestSeries({"__name__": "changing"})
    expected: list[Sample] = []
    for index, kind in enumerate(kinds):
        time = START + STEP * index
        message = native_histogram(time, [index, 1], 2.0)
        if kind != "f":
            one.histograms.append((time, message))
        if kind != "h":
            one.samples.append((time, bits(index)))
        expected.append((time, parts_of(message) if kind == "h" else bits(index)))
    await migrate(postgres_dsn)
    load(postgres_dsn, [one])
    async with serve(postgres_dsn) as url:
        _, _, stream = await fetch(url, body(query([ALL]), accepted=(STREAMED,)))

    assert [samples for _, _, samples, _ in read_stream(stream)] == [expected]


async def test_times_of_any_size(postgres_dsn: str) -> None:
    """Before 1970 and after 2109 timestamps have other lengths; clients ask for everything by the extremes."""
    samples = [(-5, bits(1.0)), (0, bits(0.0)), (5_000_000_000_000, STALE)]
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "extreme"}, samples)])
    everything = query([ALL], -(2**63), 2**63 - 1)
    async with serve(postgres_dsn) as url:
        _, _, sampled = await fetch(url, body(everything))
        _, _, streamed = await fetch(url, body(everything, accepted=(STREAMED,)))
    ((_, read),) = series_of(sampled)[0]

    assert [(time - 2**64 if time >= 2**63 else time, value) for time, value in read] == samples
    assert [(time, value) for _, _, part, _ in read_stream(streamed) for time, value in part] == samples


async def test_kept_samples_are_read_with_the_others(postgres_dsn: str) -> None:
    """Metrics that are kept longer move to a table of their own."""
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "old"}, [(START, bits(1.0))])], table="samples_kept")
    load(postgres_dsn, [TestSeries({"__name__": "new"}, [(START, bits(2.0))])])
    async with serve(postgres_dsn) as url:
        _, _, sampled = await fetch(url, body(query([ALL])))

    assert [labels["__name__"] for labels, _ in series_of(sampled)[0]] == ["new", "old"]


LIMITS = {
    "series": ({"max_series": 10}, "the query selects more than 10 series"),
    "samples": ({"max_samples": 1000}, "the request reads more than 1000 samples"),
    "bytes": ({"max_bytes": 10_000}, "the answer would exceed 10000 bytes"),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_limits_are_named(dsn: str, name: str) -> None:
    """A query beyond a limit gets 400 and the reason, and the next one is served."""
    limits, reason = LIMITS[name]
    async with serve(dsn, **limits) as url:
        status, _, text = await fetch(url, body(query([ALL])))

        assert (status, text.decode().split("\n")[0]) == (400, reason)
        assert (await fetch(url, body(query([UP], START, START))))[0] == 200


async def test_more_requests_than_connections_wait(dsn: str) -> None:
    """Concurrency is bounded; nobody is refused while the queue moves."""
    async with serve(dsn, concurrency=2) as url:
        answers = await asyncio.gather(*(fetch(url, body(query([ALL]))) for _ in range(8)))
        with psycopg.connect(dsn) as connection:
            used = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jelmon-store-read'"
            ).fetchone()

    assert {status for status, _, _ in answers} == {200}
    assert used is not None
    assert 1 <= used[0] <= 2


async def test_without_a_database_the_client_may_come_back(postgres_dsn: str) -> None:
    """503 with Retry-After: neither side knows what the answer would be."""
    async with serve("postgresql://jelmon@127.0.0.1:1/nowhere") as url:
        status, headers, _ = await fetch(url, body(query([UP])))

    assert (status, headers["Retry-After"]) == (503, "5")


BAD = {
    "not snappy": (b"\xff\xff\xff", "the body is not a snappy block"),
    "empty": (b"", "the body is not a snappy block"),
    "a bomb": (b"\x80\x80\x80\x80\x08", "the decompressed request would exceed"),
    "not protobuf": (bytes(cramjam.snappy.compress_raw(b"\x0a\xff")), "the body is not a ReadRequest"),
    "not UTF-8": (body(bytes_field(1, bytes_field(3, bytes_field(2, b"\xff")))), "the body is not a ReadRequest"),
    "a matcher of type 9": (body(query([(9, "a", "b")])), "unknown matcher type 9"),
    "a broken regex": (body(query([(REGEX, "a", "b(")])), "matcher for label 'a': invalid regex: missing )"),
    "a regex that only backtracking has": (body(query([(REGEX, "a", r"(?=b)")])), "matcher for label 'a'"),
    "types we do not have": (body(query([UP]), accepted=(7,)), "none of the accepted response types"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_gets_400_and_the_reason(postgres_dsn: str, name: str) -> None:
    """Hostile or broken, never a 5xx."""
    request, reason = BAD[name]
    async with serve(postgres_dsn) as url:
        status, _, text = await fetch(url, request)

    assert (status, text.decode()[: len(reason)]) == (400, reason)


async def test_a_hostile_regex_takes_no_time(dsn: str) -> None:
    """Exponential for a backtracking engine, linear for RE2."""
    async with serve(dsn, timeout_seconds=20.0) as url:
        pattern = "(a*)*" * 50 + "b"
        status, _, _ = await fetch(url, body(query([(REGEX, "value", pattern)])))

    assert status in (200, 400)


@given(message=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_request_or_refused(message: bytes) -> None:
    """No other exception leaves the parser."""
    from jelmon_store.read.matchers import QueryError

    for data in (message, bytes(cramjam.snappy.compress_raw(message))):
        try:
            parse(data)
        except QueryError:
            continue


async def test_tenants_do_not_see_each_other(postgres_dsn: str) -> None:
    """The same labels of two tenants are two series."""
    await migrate(postgres_dsn)
    one = TestSeries({"__name__": "up"}, [(START, bits(1.0))])
    load(postgres_dsn, [one], tenant="a")
    load(postgres_dsn, [TestSeries(one.labels, [(START, bits(2.0))])])
    async with serve(postgres_dsn) as url:
        _, _, sampled = await fetch(url, body(query([UP])))

    assert series_of(sampled) == [[({"__name__": "up"}, [(START, bits(2.0))])]]
