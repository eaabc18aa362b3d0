"""Every store keeps the same promises: atomic, fenced, and a repeated commit does no harm."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis

from jelmon import catalogue as c
from jelmon.config.settings import secret_of
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.errors import ConfigError
from jelmon.events import PipelineDeclaredData
from jelmon_exporter.series.cells import Key, Value
from jelmon_exporter.state.disk import DiskStore
from jelmon_exporter.state.memory import MemoryStore
from jelmon_exporter.state.model import Changes, Declaration, Position
from jelmon_exporter.state.redis import RedisStore
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, StateStore, StoreUnavailableError

COUNTER = ("jelmore_cards_started_total", ("main",))
HISTOGRAM = ("jelmore_card_wait_seconds", ('with "quotes" and \x1f',))
DECLARATION = Declaration(time=5.0, data=PipelineDeclaredData(pipeline="main", stages=(), stall_limit_seconds=60.0))


@pytest.fixture(params=["memory", "disk", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StateStore]:
    made: StateStore
    match request.param:
        case "memory":
            made = MemoryStore()
        case "disk":
            made = DiskStore(tmp_path / "state")
        case _:
            made = RedisStore(request.getfixturevalue("redis_url"))
    yield made
    await made.close()


def counts(*first: int) -> tuple[int, ...]:
    """All buckets of the histogram, of which the first are these."""
    return first + (0,) * (len(c.WORK_BUCKETS) + 1 - len(first))


async def take(store: StateStore, partition: int = 0) -> Claim:
    """Become the owner, as if the lease of the owner before had run out."""
    if isinstance(store, RedisStore):
        await store._client.delete(store.key(partition, "lease"))
    claim = await store.acquire(partition)
    assert claim is not None
    return claim


def position(version: int) -> Position:
    return Position(version=version, sequence=10 * version, stream="2026-01-01", time=1.5)


async def test_what_is_committed_is_loaded(store: StateStore) -> None:
    claim = await take(store, 3)
    changes = Changes(
        series={COUNTER: 7, HISTOGRAM: (2_500_000, counts(1, 0, 2))},
        entries={"card": b"\x00\xff"},
        declared={"main": DECLARATION},
        ids=["one", "two"],
    )
    await store.commit(3, claim=claim, position=position(1), changes=changes)
    loaded = await store.load(3)

    assert loaded.position == position(1)
    assert loaded.series == changes.series
    assert loaded.entries == changes.entries
    assert loaded.declared == changes.declared
    assert loaded.ids == [(1.5, ["one", "two"])]


async def test_partitions_are_apart(store: StateStore) -> None:
    claim = await take(store, 1)
    await store.commit(1, claim=claim, position=position(1), changes=Changes(series={COUNTER: 7}))

    assert (await store.load(11)).series == {}


async def test_changes_overwrite_and_remove(store: StateStore) -> None:
    claim = await take(store)
    first = Changes(series={COUNTER: 1, HISTOGRAM: (1, counts(1))}, entries={"a": b"1", "b": b"2"}, ids=["one"])
    await store.commit(0, claim=claim, position=position(1), changes=first)
    second = Changes(
        series={COUNTER: 2, HISTOGRAM: None}, entries={"a": None, "b": b"3"}, ids=["two"], expired_batches=1
    )
    await store.commit(0, claim=claim, position=position(2), changes=second)
    loaded = await store.load(0)

    assert loaded.series == {COUNTER: 2}
    assert loaded.entries == {"b": b"3"}
    assert loaded.ids == [(1.5, ["two"])]


async def test_an_earlier_owner_is_refused(store: StateStore) -> None:
    """And what it wanted to write is not there."""
    old = await take(store)
    new = await take(store)
    with pytest.raises(FencedError):
        await store.commit(0, claim=old, position=position(1), changes=Changes(series={COUNTER: 100}))
    await store.commit(0, claim=new, position=position(1), changes=Changes(series={COUNTER: 1}))

    assert (await store.load(0)).series == {COUNTER: 1}


async def test_the_same_commit_twice_is_one(store: StateStore) -> None:
    """When the reply to a commit is lost the owner repeats it."""
    claim = await take(store)
    changes = Changes(series={COUNTER: 1}, ids=["one"])
    await store.commit(0, claim=claim, position=position(1), changes=changes)
    await store.commit(0, claim=claim, position=position(1), changes=changes)
    loaded = await store.load(0)

    assert loaded.ids == [(1.5, ["one"])]
    assert loaded.position.version == 1


async def test_a_store_that_fell_back_is_given_everything(store: StateStore) -> None:
    claim = await take(store)
    await store.commit(0, claim=claim, position=position(1), changes=Changes(series={HISTOGRAM: (1, counts(1))}))
    with pytest.raises(FellBackError):
        await store.commit(0, claim=claim, position=position(3), changes=Changes(series={COUNTER: 3}))
    await store.commit(0, claim=claim, position=position(4), changes=Changes(series={COUNTER: 4}), whole=True)
    loaded = await store.load(0)

    assert loaded.series == {COUNTER: 4}
    assert loaded.position.version == 4


async def test_large_commits_are_whole(store: StateStore) -> None:
    """More fields than a Lua stack holds."""
    claim = await take(store)
    entries: dict[str, bytes | None] = {f"card-{number}": b"x" for number in range(20_000)}
    series: dict[Key, Value] = {
        ("jelmore_cards_started_total", (f"p-{number}",)): float(number) for number in range(9_000)
    }
    await store.commit(0, claim=claim, position=position(1), changes=Changes(series=series, entries=entries))
    loaded = await store.load(0)

    assert loaded.entries == entries
    assert loaded.series == series


async def test_a_counter_above_two_to_the_53_is_restored_exactly(store: StateStore) -> None:
    large = 2**53 + 1
    claim = await take(store)
    await store.commit(0, claim=claim, position=position(1), changes=Changes(series={COUNTER: large}))

    assert (await store.load(0)).series == {COUNTER: large}


async def test_redis_that_is_not_there_is_unavailable() -> None:
    store = RedisStore("redis://127.0.0.1:9/0")
    with pytest.raises(StoreUnavailableError, match="Redis does not answer"):
        await store.acquire(0)
    await store.close()


async def test_a_password_that_changes_is_read_again(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Until the file has the new one the store is refused; nobody needs a restart."""
    secret = tmp_path / "password"
    secret.write_text("first\n")
    with Processes(tmp_path / "logs") as processes:
        url = launch.redis(processes, tool("redis-server"), tmp_path / "redis", port=free_port())
        password = secret_of({"REDIS_PASSWORD_FILE": str(secret)}, "REDIS_PASSWORD")
        with redis.Redis.from_url(url) as admin:
            admin.config_set("requirepass", "first")
            store = RedisStore(f"{url}?username=default", password=password)
            claim = await take(store)

            admin.config_set("requirepass", "second")
            admin.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(StoreUnavailableError):  # on the connection that was ended
                await store.renew(0, claim)
            with pytest.raises(StoreUnavailableError, match="Redis refuses the password"):
                await store.renew(0, claim)
            secret.unlink()
            with pytest.raises(StoreUnavailableError, match="REDIS_PASSWORD_FILE: cannot read"):
                await store.renew(0, claim)

            secret.write_text("second\n")
            assert await store.renew(0, claim)
        await store.close()


async def test_of_two_owners_with_one_epoch_the_older_one_keeps_the_partition(redis_url: str) -> None:
    """Redis that fell back before our claim may give out our epoch again; the tokens tell us apart."""
    store = RedisStore(redis_url)
    ours = await take(store)
    await store._client.hset(store.key(0, "meta"), "epoch", "0")
    theirs = await take(store)
    await store.commit(0, claim=theirs, position=position(1), changes=Changes(series={COUNTER: 1}))

    assert ours.epoch == theirs.epoch
    with pytest.raises(FellBackError):
        await store.commit(0, claim=ours, position=position(1), changes=Changes(series={COUNTER: 100}))
    await store.commit(0, claim=ours, position=position(1), changes=Changes(series={COUNTER: 100}), whole=True)
    with pytest.raises(FencedError):
        await store.commit(0, claim=theirs, position=position(2), changes=Changes(series={COUNTER: 2}))
    assert await store.renew(0, ours)
    assert not await store.renew(0, theirs)
    assert (await store.load(0)).series == {COUNTER: 100}
    await store.close()


async def test_a_lease_keeps_others_out_until_it_is_released(redis_url: str) -> None:
    ours, theirs = RedisStore(redis_url), RedisStore(redis_url)
    claim = await ours.acquire(0)
    assert claim is not None

    assert await theirs.acquire(0) is None
    assert await ours.renew(0, claim)

    await theirs.release(0, Claim(claim.epoch, "not the token"))

    assert await theirs.acquire(0) is None

    await ours.release(0, claim)
    successor = await theirs.acquire(0)

    assert successor is not None
    assert successor.epoch == claim.epoch + 1
    assert not await ours.renew(0, claim)
    await ours.close()
    await theirs.close()


async def test_a_lease_that_ran_out_can_be_renewed_while_nobody_took_it(redis_url: str) -> None:
    store = RedisStore(redis_url)
    claim = await take(store)
    await store._client.delete(store.key(0, "lease"))

    assert await store.renew(0, claim)

    await take(store)

    assert not await store.renew(0, claim)
    await store.close()


async def test_replicas_know_each_other(redis_url: str) -> None:
    store = RedisStore(redis_url)

    assert await store.attend("b") == ["b"]
    assert await store.attend("a") == ["a", "b"]
    assert await store.attend("b", leaving=True) == ["a"]
    await store.close()


async def test_a_reader_is_given_changes_only(redis_url: str) -> None:
    """The first time everything, then what changed; everything again after a whole write or another owner."""
    store = RedisStore(redis_url)
    claim = await take(store)
    first = Changes(series={COUNTER: 1, HISTOGRAM: (1, counts(1))}, declared={"main": DECLARATION})
    await store.commit(0, claim=claim, position=position(1), changes=first)
    found = await store.changes_since(0, None)
    assert found is not None
    seen, snapshot, everything = found

    assert (snapshot.series, snapshot.declared, everything) == (first.series, first.declared, True)
    assert await store.changes_since(0, seen) is None

    await store.commit(0, claim=claim, position=position(2), changes=Changes(series={COUNTER: 2}))
    await store.commit(0, claim=claim, position=position(3), changes=Changes(series={HISTOGRAM: None}))
    found = await store.changes_since(0, seen)
    assert found is not None
    seen, snapshot, everything = found

    assert (snapshot.series, everything) == ({COUNTER: 2, HISTOGRAM: None}, False)

    whole = Changes(series={COUNTER: 5})
    await store.commit(0, claim=claim, position=position(4), changes=whole, whole=True)
    found = await store.changes_since(0, seen)
    assert found is not None
    seen, snapshot, everything = found

    assert (snapshot.series, everything) == ({COUNTER: 5}, True)

    await take(store)
    found = await store.changes_since(0, seen)
    assert found is not None

    assert found[2]
    await store.close()


@pytest.mark.parametrize(
    "url", ["redis://h:99999/0", "redis://h:one/0", "redis://h/0?option=1", "rediss://h/0?ssl_cert_reqs=maybe"]
)
async def test_an_address_of_redis_that_cannot_be_used_is_refused_before_anything_runs(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URL: "):
        RedisStore(url)


async def test_what_readers_are_told_does_not_grow_with_series_that_are_gone(redis_url: str) -> None:
    """The list of touched series begins anew, and readers still end with what there is."""
    store = RedisStore(redis_url)
    claim = await take(store)
    await store.commit(0, claim=claim, position=position(1), changes=Changes(series={COUNTER: 1}))
    found = await store.changes_since(0, None)
    assert found is not None
    seen, known = found[0], dict(found[1].series)
    for version in range(2, 12):
        series: dict[Key, Value] = {(COUNTER[0], (f"{one}-{version}",)): 1 for one in range(500)}
        series |= {(COUNTER[0], (f"{one}-{version - 1}",)): None for one in range(500)}
        await store.commit(0, claim=claim, position=position(version), changes=Changes(series=series))
        found = await store.changes_since(0, seen)
        assert found is not None
        seen, snapshot, everything = found
        known = {} if everything else known
        known.update(snapshot.series)
        known = {key: value for key, value in known.items() if value is not None}

        assert known == (await store.load(0)).series

    assert await store._client.zcard(store.key(0, "touched")) < 4000
    await store.close()


@pytest.mark.parametrize("owners", [1, 3])
async def test_the_owner_before_keeps_a_partition_that_another_took_from_an_emptied_redis(
    redis_url: str, owners: int
) -> None:
    """Only its memory still has what was counted; the other one would begin at 0, with the epoch of a first owner."""
    store, other = RedisStore(redis_url), RedisStore(redis_url)
    for _ in range(owners):
        claim = await take(store)
    await store.commit(0, claim=claim, position=position(1), changes=Changes(series={COUNTER: 7}))
    await store._client.flushall()
    young = await other.acquire(0)
    assert young is not None
    await other.commit(0, claim=young, position=position(1), changes=Changes(series={COUNTER: 0}))

    assert await store.renew(0, claim)
    assert not await other.renew(0, young)
    with pytest.raises(FencedError):
        await other.commit(0, claim=young, position=position(2), changes=Changes(series={COUNTER: 0}))
    with pytest.raises(FellBackError):
        await store.commit(0, claim=claim, position=position(2), changes=Changes(series={COUNTER: 8}))
    await store.commit(0, claim=claim, position=position(2), changes=Changes(series={COUNTER: 8}), whole=True)

    assert (await store.load(0)).series == {COUNTER: 8}
    await store.close()
    await other.close()
