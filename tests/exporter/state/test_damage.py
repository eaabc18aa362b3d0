"""Stored state that something else wrote, overwrote or evicted: told by its key, counted, and never the end."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from jelmon import catalogue as c
from jelmon.client import Publisher
from jelmon.errors import ConfigError
from jelmon.nats.subjects import PARTITIONS
from jelmon_exporter.app import Exporter
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.restore import restore
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources import partition_consumer
from jelmon_exporter.state.disk import DiskStore
from jelmon_exporter.state.encoding import encode, encode_key, read_declared, read_entries, read_ids, read_series
from jelmon_exporter.state.model import Card, Changes, Position, Snapshot, Unreadable, encode_entry
from jelmon_exporter.state.redis import RedisStore, unavailable
from jelmon_exporter.state.store import StoreUnavailableError

Exporting = Callable[..., Any]
Until = Callable[..., Awaitable[None]]
Client = Any
STARTED = encode_key((c.CARDS_STARTED.name, ("main",)))
ANOTHER = encode_entry(Card(pipeline="p", id="i"))
WAIT = encode_key((c.CARD_WAIT.name, ("main",)))


def started(exporter: Exporter) -> float:
    value = exporter.view.value(c.CARDS_STARTED, "main")
    return value if isinstance(value, int | float) else 0


def resets(exporter: Exporter, reason: str) -> float:
    return exporter.process_series.cell(c.EXPORTER_RESETS, reason).value or 0


async def keys_of(client: Client, part: str) -> list[bytes]:
    return sorted(await client.keys(f"jelmore:state:*:{part}"))


async def overwrite(client: Client, part: str, value: str = "garbage") -> None:
    for key in await keys_of(client, part):
        await client.set(key, value)


async def field(client: Client, part: str, name: bytes | str, value: bytes | str) -> None:
    for key in await keys_of(client, part):
        if part == "meta" or await client.hexists(key, name):
            await client.hset(key, name, value)


async def added(client: Client, part: str, name: bytes, value: bytes) -> None:
    (key, *_) = await keys_of(client, "meta")
    await client.hset(key.replace(b"meta", part.encode()), name, value)


async def some_field(client: Client, part: str, value: bytes) -> None:
    for key in await keys_of(client, part):
        for name in list(await client.hkeys(key))[:1]:
            await client.hset(key, name, value)


async def drop(client: Client, part: str) -> None:
    await client.delete(*await keys_of(client, part))


async def push(client: Client, value: bytes) -> None:
    for key in await keys_of(client, "ids"):
        await client.lset(key, 0, value)


Damage = Callable[[Client], Awaitable[None]]

UNREADABLE: dict[str, Damage] = {
    "value is no JSON": lambda client: field(client, "series", STARTED, "garbage"),
    "value is a text": lambda client: field(client, "series", STARTED, '"7"'),
    "value is null": lambda client: field(client, "series", STARTED, "null"),
    "value is a boolean": lambda client: field(client, "series", STARTED, "true"),
    "value is NaN": lambda client: field(client, "series", STARTED, "NaN"),
    "value is not UTF-8": lambda client: field(client, "series", STARTED, b"\xff\xfe"),
    "counter is negative": lambda client: field(client, "series", STARTED, "-7"),
    "counter is a histogram": lambda client: field(client, "series", STARTED, "[1,[1,2]]"),
    "histogram is a number": lambda client: field(client, "series", WAIT, "7"),
    "histogram has no buckets": lambda client: field(client, "series", WAIT, "[1,[]]"),
    "histogram has negative counts": lambda client: field(client, "series", WAIT, "[1,[-1,2]]"),
    "histogram has a text as sum": lambda client: field(client, "series", WAIT, '["a",[1,2]]'),
    "entry is garbage": lambda client: some_field(client, "entries", b"\xff\x00garbage"),
    "entry is of another name": lambda client: some_field(
        client, "entries", b"\x98\xa4card\xc0\xc0\xc0\xc0\xc2\xa1p\xa1i"
    ),
    "ids are garbage": lambda client: push(client, b"garbage"),
}
LOST: dict[str, tuple[str, Damage]] = {
    "series are a text": ("unreadable", lambda client: overwrite(client, "series")),
    "entries are a text": ("unreadable", lambda client: overwrite(client, "entries")),
    "ids are a text": ("unreadable", lambda client: overwrite(client, "ids")),
    "touched is a text": ("unreadable", lambda client: overwrite(client, "touched")),
    "meta is a text": ("evicted", lambda client: overwrite(client, "meta")),
    "version is no number": ("unreadable", lambda client: field(client, "meta", "version", "seven")),
    "version is huge": ("unreadable", lambda client: field(client, "meta", "version", "9" * 30)),
    "sequence is no number": ("unreadable", lambda client: field(client, "meta", "sequence", "seven")),
    "time is not finite": ("unreadable", lambda client: field(client, "meta", "time", "nan")),
    "epoch is no number": ("evicted", lambda client: field(client, "meta", "epoch", "seven")),
    "series are evicted": ("evicted", lambda client: drop(client, "series")),
    "entries are evicted": ("evicted", lambda client: drop(client, "entries")),
    "ids are evicted": ("evicted", lambda client: drop(client, "ids")),
    "touched is evicted": ("evicted", lambda client: drop(client, "touched")),
    "meta is evicted": ("evicted", lambda client: drop(client, "meta")),
}
HARMLESS: dict[str, Damage] = {
    "lease is a hash": lambda client: _hashes(client, "jelmore:state:{3}:lease"),
    "lease never ends": lambda client: client.set("jelmore:state:{3}:lease", "somebody"),
    "lease ends in eight days": lambda client: client.set("jelmore:state:{3}:lease", "somebody", px=8 * 86_400_000),
    "replicas are a text": lambda client: client.set("jelmore:replicas", "garbage"),
    "replicas live for eight days": lambda client: client.zadd("jelmore:replicas", {b"dead \xff": 4e12, b"gone": 9e15}),
    "real-time figures are a text": lambda client: client.set("jelmore:metrics:main", "garbage"),
}


async def _hashes(client: Client, key: str) -> None:
    await client.hset(key, "garbage", "garbage")


async def _count_ten(nats_url: str, redis_url: str, exporting: Exporting, cards: Any, until: Until) -> None:
    async with Publisher(nats_url) as publisher:
        await publisher.ensure_stream()
        await publisher.publish_many(cards(0, 10))
    async with exporting(nats_url=nats_url, redis_url=redis_url) as exporter:
        await until(lambda: started(exporter) == 10)


async def test_every_field_that_cannot_be_read_is_named_and_set_aside(
    own_nats_url: str,
    redis_url: str,
    exporting: Exporting,
    cards: Any,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One kind of garbage after the other: the exporter starts, tells the key, counts a reset, and goes on."""
    client = redis.asyncio.Redis.from_url(redis_url)
    await _count_ten(own_nats_url, redis_url, exporting, cards, until)
    for number, (kind, damage) in enumerate(UNREADABLE.items()):
        await damage(client)
        caplog.clear()
        async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
            await until(lambda exporter=exporter: exporter.source.up and exporter.view.complete)
            assert resets(exporter, "unreadable") >= 1, kind
            assert any("jelmore:state:{" in line and "set aside" in line for line in caplog.messages), kind
            before = started(exporter)
            async with Publisher(own_nats_url) as publisher:
                await publisher.publish_many(cards(100 + number, 101 + number))
            await until(lambda exporter=exporter, before=before: started(exporter) == before + 1)
        async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
            await until(lambda exporter=exporter: exporter.source.up and exporter.view.complete)
            assert resets(exporter, "unreadable") == 0, kind  # it is not read again
    assert await client.keys("jelmore:state:*:unreadable-fields")
    await client.aclose()


@pytest.mark.parametrize("kind", LOST)
async def test_a_partition_whose_parts_do_not_belong_together_is_counted_again(
    kind: str, own_nats_url: str, redis_url: str, exporting: Exporting, cards: Any, until: Until
) -> None:
    reason, damage = LOST[kind]
    client = redis.asyncio.Redis.from_url(redis_url)
    await _count_ten(own_nats_url, redis_url, exporting, cards, until)
    await damage(client)
    async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
        await until(lambda: exporter.source.up and exporter.view.complete)
        await until(lambda: started(exporter) == 10)
        assert resets(exporter, reason) >= 1
    await client.aclose()


@pytest.mark.parametrize("kind", HARMLESS)
async def test_what_holds_no_counts_is_taken_over(
    kind: str, own_nats_url: str, redis_url: str, exporting: Exporting, cards: Any, until: Until
) -> None:
    """Also a lease or a replica of a moment when the clock of the host was ahead."""
    client = redis.asyncio.Redis.from_url(redis_url)
    await HARMLESS[kind](client)
    await _count_ten(own_nats_url, redis_url, exporting, cards, until)
    async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
        await until(lambda: exporter.source.up and all(check.ok for check in exporter.checks().values()))
        owned = [exporter.process_series.cell(c.PARTITION_OWNED, str(number)).value for number in range(PARTITIONS)]

        assert owned == [1] * PARTITIONS
        assert sum(resets(exporter, reason) for reason in ("unreadable", "evicted")) == 0
    await client.aclose()


@pytest.mark.parametrize("part", ["series", "entries", "ids", "touched", "meta", "lease"])
@pytest.mark.parametrize("how", [drop, overwrite])
async def test_the_owner_restores_what_is_evicted_or_overwritten(
    part: str,
    how: Callable[[Client, str], Awaitable[None]],
    own_nats_url: str,
    redis_url: str,
    exporting: Exporting,
    cards: Any,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an event, at its next check; nothing is lost or reset."""
    monkeypatch.setattr(partition_consumer, "CHECK_SECONDS", 0.2)
    client = redis.asyncio.Redis.from_url(redis_url)
    async with Publisher(own_nats_url) as publisher:
        await publisher.ensure_stream()
        await publisher.publish_many(cards(0, 10))
        async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
            await until(lambda: started(exporter) == 10 and exporter.source.up)
            there = len(await keys_of(client, part))
            await how(client, part)
            async with asyncio.timeout(30):
                while part in ("series", "entries", "meta") and (
                    len(await keys_of(client, part)) < there
                    or any([await client.type(key) != b"hash" for key in await keys_of(client, part)])
                ):
                    await asyncio.sleep(0.05)
            await publisher.publish_many(cards(10, 12))
            await until(lambda: started(exporter) == 12)
        async with exporting(nats_url=own_nats_url, redis_url=redis_url) as exporter:
            await until(lambda: exporter.view.complete and exporter.source.up)

            assert started(exporter) == 12
            assert sum(resets(exporter, reason) for reason in ("unreadable", "evicted", "rollback")) == 0
    await client.aclose()


JUNK = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    ).map(encode),
)
NAMES = st.one_of(
    JUNK,
    st.sampled_from([STARTED, WAIT, encode_key((c.LAST_ACTIVITY.name, ("main",))), encode(("unknown_total", "a"))]),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, JUNK, max_size=5), st.dictionaries(JUNK, JUNK, max_size=3), st.lists(JUNK, max_size=3))
def test_no_content_of_a_store_raises(series: dict[bytes, bytes], others: dict[bytes, bytes], ids: list[bytes]) -> None:
    """What cannot be read is returned as such; the rest is restored into a ledger that can be drained."""
    faults: list[Unreadable] = []
    snapshot = Snapshot(
        series=read_series(series.items(), faults),
        entries=read_entries(others.items(), faults),
        declared=read_declared(others.items(), faults),
        ids=read_ids(ids, faults),
    )
    ledger = Ledger(limits=Limits(), admission=Admission(200))
    restore(ledger, snapshot)

    assert all(fault.reason for fault in faults)


def test_a_histogram_with_other_buckets_keeps_its_sum_and_number() -> None:
    """Counts of known former buckets go where they belong; of unknown ones, into the bucket of their mean."""
    faults: list[Unreadable] = []
    found = read_series([(WAIT, encode((30_000_000, (1, 2, 3))))], faults)
    value = found[c.CARD_WAIT.name, ("main",)]
    assert isinstance(value, tuple)

    assert not faults
    assert (value[0], sum(value[1]), len(value[1])) == (30_000_000, 6, len(c.CARD_WAIT.buckets) + 1)
    assert value[1][c.CARD_WAIT.buckets.index(5)] == 6


async def test_the_page_is_served_after_a_change_of_buckets(
    own_nats_url: str, redis_url: str, exporting: Exporting, cards: Any, until: Until
) -> None:
    """By the owner and by a replica that only reads."""
    await _count_ten(own_nats_url, redis_url, exporting, cards, until)
    client = redis.asyncio.Redis.from_url(redis_url)
    name = encode_key((c.CARD_PROCESSING.name, ("main", "success")))
    for key in await keys_of(client, "series"):
        if await client.hexists(key, name):
            await client.hset(key, name, encode((3_000_000, (1, 1))))
    async with exporting(nats_url=own_nats_url, redis_url=redis_url) as one:
        await until(lambda: one.source.up and one.view.complete)
        async with exporting(nats_url=own_nats_url, redis_url=redis_url) as two:
            await until(lambda: two.view.complete)
            value = two.view.value(c.CARD_PROCESSING, "main", "success")

            assert isinstance(value, tuple)
            assert value == one.view.value(c.CARD_PROCESSING, "main", "success")
    await client.aclose()


def test_former_buckets_are_migrated_exactly() -> None:
    from jelmon_exporter.series.buckets import fitted

    metric = c.Histogram(name="x_seconds", help="X.", buckets=(1, 5, 10), former=((1, 10),))

    assert fitted(metric, (7, (1, 2, 3))) == (7, (1, 0, 2, 3))
    assert fitted(metric, (0, (0, 0, 0, 0, 0))) == (0, (0, 0, 0, 0))
    assert fitted(metric, (7, (1, 2, 3, 4))) == (7, (1, 2, 3, 4))


# --- what is refused ---


@pytest.mark.parametrize(
    "url", ["redis://h/0?password=secret", "redis://h/0?db=0&PASSWORD=secret", "redis://h/0?p%61ssword=secret"]
)
def test_a_password_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_PASSWORD_FILE") as caught:
        ExporterSettings(redis_url=url)

    assert "secret" not in str(caught.value)


async def test_a_redis_cluster_is_said_to_be_unsupported(own_processes: Any, tool: Any, tmp_path: Path) -> None:
    from jelmon.demo.processes import free_port

    port = free_port()
    folder = tmp_path / "cluster"
    folder.mkdir()
    own_processes.start(
        "redis-cluster",
        [
            str(tool("redis-server")),
            "--port",
            str(port),
            "--cluster-enabled",
            "yes",
            "--dir",
            str(folder),
            "--save",
            "",
        ],
    )
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    async with asyncio.timeout(20):
        while True:
            with pytest.raises(StoreUnavailableError) as caught:
                await store.acquire(0)
            if "does not answer" not in caught.value.message:
                break
            await asyncio.sleep(0.05)
    await store.close()

    assert "Redis Cluster, which is not supported" in caught.value.message
    assert "start one" not in caught.value.hint


def test_an_error_answer_is_not_called_silence() -> None:
    for error, words in (
        (redis.exceptions.AuthenticationError("WRONGPASS"), "refuses the password"),
        (redis.exceptions.NoPermissionError("NOPERM"), "refuses a command"),
        (redis.exceptions.OutOfMemoryError("OOM"), "is full"),
        (redis.exceptions.ReadOnlyError("READONLY"), "read-only replica"),
        (redis.exceptions.MovedError("1 127.0.0.1:7000"), "Redis Cluster"),
        (redis.exceptions.ResponseError("ERR"), "answers with an error"),
        (redis.exceptions.ConnectionError("refused"), "does not answer"),
    ):
        assert words in unavailable(error).message


async def test_state_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """New ones, and those of an earlier version."""
    path = tmp_path / "state.db"
    before = os.umask(0)
    try:
        for _ in range(2):
            store = DiskStore(path)
            claim = await store.acquire(0)
            assert claim is not None
            await store.commit(0, claim=claim, position=Position(version=1), changes=Changes(series={("a", ()): 1}))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
            await store.close()
            assert set(modes.values()) == {0o600}, modes
            path.unlink()
            path.touch(0o644)
    finally:
        os.umask(before)


def test_the_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alert_history (id INTEGER)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"is a database of another program \(it holds alert_history\)"):
        DiskStore(path)

    assert path.read_bytes() == before


async def test_unreadable_rows_of_a_state_file_are_set_aside(
    tmp_path: Path, exporting: Exporting, say: Any, until: Until
) -> None:
    from jelmon import events as e

    path = tmp_path / "state.db"
    async with exporting(nats_url=None, state_path=path) as exporter:
        await until(lambda: exporter.source.up)
        await exporter.sink.publish_each([e.encode(say.card_started(str(number), at=1)) for number in range(40)])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE kept SET value = x'ff00' WHERE name = ?", (STARTED,))
        database.execute("INSERT INTO kept VALUES (1, 'entry', x'ff', x'00')")
    database.close()
    async with exporting(nats_url=None, state_path=path) as exporter:
        await until(lambda: exporter.source.up)
        assert resets(exporter, "unreadable") >= 1
        await exporter.sink.publish_each([e.encode(say.card_started("more", at=1))])
        assert started(exporter) == 1
        assert exporter.view.value(c.CARDS_IN_PROGRESS, "main") == 41
    async with exporting(nats_url=None, state_path=path) as exporter:
        await until(lambda: exporter.source.up)
        assert resets(exporter, "unreadable") == 0
