"""Hostile bodies: never a 5xx, never a crash of the decoder, and memory that does not grow."""

import contextlib
import random
import resource
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.conftest import StartStore
from tests.store.write.decoder import Decoder, NothingAtOnce, content
from tests.store.write.sender import V1, V2, RequestV2, bits, labels_of, now_ms, post, v1, v1_series
from tests.store.write.test_v2 import histogram

from jelmon_store.series.cache import KeyTable
from jelmon_store.wire import snappy
from jelmon_store.wire.errors import RequestError


def bodies() -> dict[str, tuple[str, bytes]]:
    """Valid requests, to be damaged."""
    at = now_ms()
    request = RequestV2()
    for i in range(5):
        request.add(labels_of("m", i=str(i)), [(at, bits(i), at - 1000 * (i % 2))], metadata=(1, "Help.", "s"))
    request.add(labels_of("h"), histograms=[histogram(at)], exemplars=[([("trace_id", "x")], at, bits(1))])
    series = [v1_series(labels_of("m", i=str(i)), [(at, bits(i))]) for i in range(5)]
    series.append(v1_series(labels_of("h"), [(at, 1), (at + 1, 0)], histograms=[histogram(at)]))
    return {"1.0": (V1, v1(*series)), "2.0": (V2, request.body())}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@given(data=st.data())
def test_damaged_messages_are_read_the_same_fast_and_slow(version: str, data: st.DataObject) -> None:
    """A decoder that knows the series reads a damaged message just as one that parses everything, or both refuse it."""
    message = snappy.decompress(bodies()[version][1])
    known = Decoder(version, KeyTable())
    known.decode(message)
    damaged = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.sampled_from(["flip", "insert", "delete", "cut"])):
            case "flip":
                damaged[position] = data.draw(st.integers(0, 255))
            case "insert":
                damaged[position:position] = data.draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del damaged[position]
            case _:
                del damaged[position:]
        if not damaged:
            damaged += b"\0"
    fresh = Decoder(version, NothingAtOnce())
    fresh.ids = known.ids
    try:
        parsed = fresh.decode(bytes(damaged))
    except RequestError:
        with pytest.raises(RequestError):
            known.decode(bytes(damaged))
        return
    assert content(known, known.decode(bytes(damaged))) == content(fresh, parsed)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_decompressed_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert len(snappy.decompress(body)) == snappy.declared_length(body)


async def test_hostile_bodies_never_get_a_5xx(postgres_dsn: str, start_store: StartStore) -> None:
    """And the store still works afterwards."""
    store = await start_store(postgres_dsn)
    random_ = random.Random(12)
    for kind, body in bodies().values():
        message = snappy.decompress(body)
        for _ in range(150):
            damaged = bytearray(random_.choice([body, message]))
            for _ in range(random_.randint(1, 5)):
                damaged[random_.randrange(len(damaged))] = random_.randrange(256)
            sent = bytes(damaged[: random_.choice([None, random_.randrange(len(damaged))])])
            sent = sent if len(sent) and random_.random() < 0.3 else snappy.compress(sent)
            status, text, _ = await post(store.server.url, sent, kind=kind)

            assert status in (204, 400), (status, text)
        assert (await post(store.server.url, body, kind=kind))[0] == 204


def _bombs() -> dict[str, tuple[str, bytes]]:
    full = 30 << 20
    deep = struct.pack("<B", 0x0A) + b"\xff\xff\xff\xff\x0f"
    return {
        "empty series 1.0": (V1, b"\x0a\x00" * (full // 2)),
        "empty metadata": (V1, b"\x1a\x00" * (full // 2)),
        "empty series 2.0": (V2, b"\x22\x00" + b"\x2a\x00" * (full // 2)),
        "empty symbols": (V2, b"\x22\x00" * (full // 2)),
        "zeros": (V1, bytes(full)),
        "absurd length": (V1, deep),
        "one series of empty samples": (V1, b"\x0a\x80\x80\x80\x0e" + b"\x12\x00" * (14 << 20)),
        "unknown fields": (V2, b"\x78\x01" * (full // 2)),
    }


@pytest.mark.parametrize("name", _bombs())
async def test_bombs_are_refused_and_cost_little(postgres_dsn: str, start_store: StartStore, name: str) -> None:
    store = await start_store(postgres_dsn)
    kind, message = _bombs()[name]
    body = snappy.compress(message)
    await post(store.server.url, body, kind=kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        assert (await post(store.server.url, body, kind=kind))[0] in (204, 400)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert grown < 100_000, f"{grown} kB"
    assert (await post(store.server.url, v1(v1_series(labels_of("m"), [(now_ms(), bits(1))]))))[0] == 204


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (V1, b"\x0a\x04\x0a\x02\x08\x80"),
        (V1, b"\x0a\x02\x0a\x05"),
        (V1, b"\x1a\x02\x0a\x05"),
        (V2, b"\x22\x00\x2a\x02\x0a\x05"),
        (V2, b"\x22\x00\x2a\x04\x2a\x02\x08\x80"),
    ],
    ids=["label", "series 1.0", "metadata", "series 2.0", "metadata 2.0"],
)
async def test_a_malformed_part_gets_400(postgres_dsn: str, start_store: StartStore, kind: str, message: bytes) -> None:
    """At any depth of the message."""
    store = await start_store(postgres_dsn)

    assert (await post(store.server.url, snappy.compress(message), kind=kind))[0] == 400
