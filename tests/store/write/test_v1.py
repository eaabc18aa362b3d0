"""Remote write 1.0: what is answered, and what is in the tables afterwards."""

import math

import psycopg
import pytest
from tests.store.conftest import StartStore
from tests.store.write.sender import (
    STALE,
    bits,
    labels_of,
    now_ms,
    post,
    row_count,
    stored,
    v1,
    v1_series,
)

from jelmon_store.wire.messages import Label, MetricMetadata, WriteRequest
from jelmon_store.wire.snappy import compress


async def test_samples_are_stored_before_the_answer(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    at = now_ms()

    assert (await post(store.server.url, v1(v1_series(labels_of("up", job="a"), [(at, bits(1))]))))[0] == 204
    assert stored(store_dsn) == [({"__name__": "up", "job": "a"}, at, bits(1))]


async def test_every_bit_of_a_value_survives(store_dsn: str, start_store: StartStore) -> None:
    """On the first way, for new series, and on the fast one, for known series."""
    store = await start_store(store_dsn)
    values = [STALE, bits(math.nan), bits(math.inf), bits(-math.inf), bits(-0.0), 0, bits(0.1), 0x7FF8DEADBEEF0001]
    start = now_ms()
    for round_ in range(3):
        series = [v1_series(labels_of("m", i=str(i)), [(start + round_, value)]) for i, value in enumerate(values)]

        assert (await post(store.server.url, v1(*series)))[0] == 204
    rows = stored(store_dsn)
    for round_ in range(3):
        here = {labels["i"]: value for labels, moment, value in rows if moment == start + round_}

        assert here == {str(i): value for i, value in enumerate(values)}
    assert len(rows) == 3 * len(values)


async def test_label_order_and_empty_values_name_the_same_series(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    at = now_ms()
    orders = [
        [("__name__", "m"), ("a", "1"), ("b", "2")],
        [("b", "2"), ("__name__", "m"), ("a", "1")],
        [("a", "1"), ("b", "2"), ("c", ""), ("__name__", "m")],
    ]
    for i, order in enumerate(orders):
        assert (await post(store.server.url, v1(v1_series(order, [(at + i, bits(1))]))))[0] == 204
    assert row_count(store_dsn, "series") == 1
    assert row_count(store_dsn) == 3


async def test_duplicates_and_late_samples_are_stored_once(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    at = now_ms()
    series = labels_of("m")
    requests = [
        v1(v1_series(series, [(at, bits(1))])),
        v1(v1_series(series, [(at + 1000, bits(2))])),
        v1(v1_series(series, [(at, bits(1))])),  # again
        v1(v1_series(series, [(at, bits(9))])),  # another value at the same time: the first one stays
        v1(v1_series(series, [(at - 5000, bits(3)), (at + 2000, bits(4)), (at + 2000, bits(4)), (at - 5000, bits(3))])),
        v1(v1_series(series, [(at - 3_600_000, bits(5))])),
    ]
    for body in [*requests, *requests]:
        assert (await post(store.server.url, body))[0] == 204
    assert [(moment - at, value) for _, moment, value in stored(store_dsn)] == [
        (-3_600_000, bits(5)),
        (-5000, bits(3)),
        (0, bits(1)),
        (1000, bits(2)),
        (2000, bits(4)),
    ]


async def test_good_samples_of_a_request_with_bad_ones_are_kept(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    at = now_ms()
    one = [(at, bits(1))]
    body = v1(
        v1_series(labels_of("good"), one),
        v1_series([("job", "nameless")], one),
        v1_series([], one),
        v1_series([*labels_of("twice"), ("a", "1"), ("a", "2")], one),
        v1_series(labels_of("empty")),
        v1_series(labels_of("early"), [(at + 3_600_000, bits(1))]),
        v1_series(labels_of("nul", a="x\0y"), one),
        v1_series(labels_of("good", a="1"), one),
    )
    status, text, headers = await post(store.server.url, body)

    assert status == 400
    assert "6 refused" in text
    assert [labels["__name__"] for labels, _, _ in stored(store_dsn)] == ["good", "good"]
    assert not [name for name in headers if name.startswith("X-Prometheus")]


async def test_text_that_is_not_utf_8_is_refused(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    name = Label(name=b"__name__", value=b"\xff").SerializeToString()
    series = b"\x0a" + bytes([len(name)]) + name + b"\x12\x09\x09" + bytes(8)
    status, text, _ = await post(store.server.url, compress(WriteRequest(timeseries=[series]).SerializeToString()))

    assert (status, "UTF-8" in text) == (400, True)


async def test_metadata_belongs_to_metrics(store_dsn: str, start_store: StartStore) -> None:
    store = await start_store(store_dsn)
    for help_text in ("Requests.", "All requests."):
        entry = MetricMetadata(type=1, metric_family_name=b"requests_total", help=help_text.encode(), unit=b"s")

        assert (await post(store.server.url, v1(metadata=[entry.SerializeToString()])))[0] == 204
    with psycopg.connect(store_dsn) as connection:
        rows = connection.execute("SELECT name, type, unit, help FROM jelmore.metrics").fetchall()

    assert rows == [("requests_total", "counter", "s", "All requests.")]


@pytest.mark.parametrize(
    ("kind", "encoding", "body", "status"),
    [
        ("application/json", "snappy", b"\xff\xff", 415),
        ("image/png", "snappy", b"\xff\xff", 415),
        ("application/x-protobuf", "gzip", b"\xff\xff", 415),
        ("application/x-protobuf", "deflate", b"\xff\xff", 415),
        ("application/x-protobuf;proto=prometheus.Other", "snappy", b"", 415),
        ("application/x-protobuf", "snappy", b"\xff\xff", 400),
        ("application/x-protobuf", "snappy", b"", 400),
        ("application/x-protobuf", "snappy", compress(b"\xff"), 400),
        ("application/x-protobuf", "snappy", b"\xff\xff\xff\x7f" + bytes(100), 400),
        ("application/x-protobuf", "snappy", compress(b""), 204),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", compress(b""), 204),
        ("application/x-protobuf; proto=io.prometheus.write.v2.Request", "snappy", compress(b""), 204),
        ("", "snappy", compress(b""), 204),
    ],
)
async def test_the_status_follows_from_headers_and_body(
    postgres_dsn: str, start_store: StartStore, kind: str, encoding: str, body: bytes, status: int
) -> None:
    """A wrong type or encoding is refused before the body is decoded."""
    store = await start_store(postgres_dsn)

    assert (await post(store.server.url, body, kind=kind, encoding=encoding))[0] == status
    assert (await post(store.server.url, compress(b"")))[0] == 204


async def test_a_body_beyond_the_limit_gets_400(postgres_dsn: str, start_store: StartStore) -> None:
    """Not 413, which senders do not know."""
    store = await start_store(postgres_dsn)

    assert (await post(store.server.url, bytes(40 << 20)))[0] == 400
    assert (await post(store.server.url, compress(bytes(33 << 20))))[0] == 400
