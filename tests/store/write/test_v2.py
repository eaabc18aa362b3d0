"""Remote write 2.0: what is answered, and what is in the tables afterwards."""

from typing import Any

import psycopg
import pytest
from tests.store.conftest import StartStore
from tests.store.write.sender import (
    STALE,
    V2,
    RequestV2,
    bits,
    labels_of,
    now_ms,
    post,
    row_count,
    stored,
)

from jelmon_store.wire import messages
from jelmon_store.wire.snappy import compress


def written(headers: dict[str, str]) -> tuple[int, int, int]:
    """The three counters of a response."""
    prefix = "X-Prometheus-Remote-Write-"
    samples, histograms, exemplars = (
        int(headers[f"{prefix}{kind}-Written"]) for kind in ("Samples", "Histograms", "Exemplars")
    )
    return samples, histograms, exemplars


def histogram(at: int, **fields: Any) -> Any:
    """A native histogram of 12 observations."""
    usual: dict[str, Any] = {
        "count_int": 12,
        "sum": 18.4,
        "schema": 1,
        "zero_threshold": 0.001,
        "zero_count_int": 2,
        "positive_spans": [messages.BucketSpan(offset=0, length=2), messages.BucketSpan(offset=1, length=2)],
        "positive_deltas": [1, 1, -1, 0],
        "negative_spans": [messages.BucketSpan(offset=0, length=2), messages.BucketSpan(offset=1, length=2)],
        "negative_deltas": [1, 1, -1, 0],
    }
    return messages.Histogram(timestamp=at, **(usual | fields))


async def test_all_kinds_of_one_series_are_stored(store_dsn: str, start_store: StartStore) -> None:
    """Three times, so that the fast way decodes them too."""
    store = await start_store(store_dsn)
    start = now_ms()
    sent = []
    for i in range(3):
        at = start + i * 1000
        sent.append(histogram(at))
        request = RequestV2()
        request.add(
            labels_of("requests_total", job="a"),
            [(at, bits(i), start - 60_000)],
            exemplars=[([("trace_id", "abc")], at, bits(0.5)), ([], at, bits(0.7))],
            metadata=(1, "Requests.", "requests"),
        )
        request.add(labels_of("size"), histograms=[sent[-1]], metadata=(3, "Sizes.", "bytes"))
        request.add(labels_of("gone", job="a"), [(at, STALE)], metadata=(2, "", ""))
        status, text, headers = await post(store.server.url, request.body(), kind=V2)

        assert (status, text, written(headers)) == (204, "", (2, 1, 2))
    assert [value for _, _, value in stored(store_dsn, "requests_total")] == [bits(0), bits(1), bits(2)]
    assert [value for _, _, value in stored(store_dsn, "gone")] == [STALE] * 3
    with psycopg.connect(store_dsn) as connection:
        payloads = connection.execute("SELECT payload FROM jelmore.histograms ORDER BY time").fetchall()
        exemplars = connection.execute("SELECT value, labels FROM jelmore.exemplars ORDER BY time, value").fetchall()
        starts = connection.execute(
            "SELECT (extract(epoch FROM start_time) * 1000)::bigint FROM jelmore.series_starts"
        ).fetchall()
        metadata = connection.execute("SELECT name, type, unit, help FROM jelmore.metrics ORDER BY name").fetchall()

    assert [payload for (payload,) in payloads] == [one.SerializeToString() for one in sent]
    assert exemplars == [(0.5, {"trace_id": "abc"}), (0.7, {})] * 3
    assert starts == [(start - 60_000,)]
    assert metadata == [
        ("gone", "gauge", "", ""),
        ("requests_total", "counter", "requests", "Requests."),
        ("size", "histogram", "bytes", "Sizes."),
    ]


async def test_the_start_of_an_older_draft_is_read(postgres_dsn: str, start_store: StartStore) -> None:
    """Field 6 of a series, of rc.3."""
    store = await start_store(postgres_dsn)
    at = now_ms()
    body = RequestV2().add(labels_of("m"), [(at, bits(1))], created=at - 1000).body()

    assert (await post(store.server.url, body, kind=V2))[0] == 204
    assert row_count(postgres_dsn, "series_starts") == 1


async def test_a_repeated_request_is_reported_as_written_and_stored_once(
    store_dsn: str, start_store: StartStore
) -> None:
    """A sender drops a batch whose counters are all 0."""
    store = await start_store(store_dsn)
    at = now_ms()
    request = RequestV2()
    for i in range(50):
        request.add(labels_of("m", i=str(i)), [(at, bits(i))])
    request.add(labels_of("h"), histograms=[histogram(at)])
    request.add(labels_of("e"), [(at, bits(1))], exemplars=[([("trace_id", "a")], at, bits(1))])
    for _ in range(3):
        status, _, headers = await post(store.server.url, request.body(), kind=V2)

        assert (status, written(headers)) == (204, (51, 1, 1))
    assert [row_count(store_dsn, table) for table in ("samples", "histograms", "exemplars")] == [51, 1, 1]


async def test_counters_of_a_request_with_bad_parts(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn)
    at = now_ms()
    request = RequestV2()
    request.add(labels_of("good"), [(at, bits(1)), (at + 1, bits(1))])
    request.add([("job", "a")], [(at, bits(1))])
    request.add(labels_of("h"), histograms=[histogram(at, count_int=13), histogram(at + 1)])
    request.add(labels_of("only_exemplar"), exemplars=[([], at, bits(1))])
    request.add(labels_of("only_metadata"), metadata=(1, "x", "y"))
    status, text, headers = await post(store.server.url, request.body(), kind=V2)

    assert (status, written(headers)) == (400, (2, 1, 0))
    assert "4 refused" in text


def _with_symbols(symbols: list[bytes], references: bytes) -> bytes:
    series = b"\x0a" + bytes([len(references)]) + references + b"\x12\x09\x09" + bytes(8)
    return compress(messages.Request(symbols=symbols, timeseries=[series]).SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        _with_symbols([b"", b"__name__", b"up"], b"\x01\x03"),
        _with_symbols([b"", b"__name__", b"up"], b"\x01\x02\x01"),
        _with_symbols([b"x", b"__name__", b"up"], b"\x01\x02"),
        _with_symbols([], b"\x01\x02"),
        _with_symbols([b"", b"__name__", b"up"], b"\x01\xff"),
    ],
    ids=["reference out of range", "odd number of references", "first symbol not empty", "no symbols", "half a varint"],
)
async def test_wrong_symbols_get_400(postgres_dsn: str, start_store: StartStore, body: bytes) -> None:
    store = await start_store(postgres_dsn)
    status, _, headers = await post(store.server.url, body, kind=V2)

    assert (status, written(headers)) == (400, (0, 0, 0))


async def test_references_in_any_encoding_name_the_same_series(postgres_dsn: str, start_store: StartStore) -> None:
    """Packed, unpacked, and in several parts."""
    store = await start_store(postgres_dsn)
    at = now_ms()
    sample = messages.TimeSeriesV2(samples=[messages.Sample(value=bits(1), timestamp=at)]).SerializeToString()
    symbols = [b"", b"__name__", b"up", b"job", b"a"]
    for references in (
        b"\x0a\x04\x01\x02\x03\x04",
        b"\x08\x01\x08\x02\x08\x03\x08\x04",
        b"\x0a\x02\x01\x02\x0a\x02\x03\x04",
    ):
        for _ in range(2):
            body = compress(messages.Request(symbols=symbols, timeseries=[references + sample]).SerializeToString())

            assert (await post(store.server.url, body, kind=V2))[0] == 204
    assert [labels for labels, _, _ in stored(postgres_dsn)] == [{"__name__": "up", "job": "a"}]
