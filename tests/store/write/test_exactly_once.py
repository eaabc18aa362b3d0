"""Each sample is stored once: over retries, several receivers, and a database that goes away."""

import asyncio
import random

import psycopg
import pytest
from tests.store.conftest import Eventually, StartStore
from tests.store.write.sender import bits, labels_of, now_ms, post, row_count, stored, v1, v1_series

from jelmon_store.maintenance.settings import RetentionSettings, parse_override
from jelmon_store.series.labels import group_of


def _requests(count: int, series: int, start: int) -> list[bytes]:
    return [
        v1(
            *(
                v1_series(labels_of("m", i=str(i), instance=str(i % 3)), [(start + step, bits(step))])
                for i in range(series)
            )
        )
        for step in range(count)
    ]


@pytest.mark.parametrize("header", [{}, {"Retry-Attempt": "1"}], ids=["without Retry-Attempt", "with Retry-Attempt"])
async def test_a_lost_response_and_a_retry_to_another_receiver(
    store_dsn: str, start_store: StartStore, header: dict[str, str]
) -> None:
    """Even if the other receiver knows the series, and the retry comes while the first attempt is written."""
    first, second = await start_store(store_dsn), await start_store(store_dsn)
    bodies = _requests(20, 30, now_ms())
    for number, body in enumerate(bodies):
        receivers = [first, second] if number % 2 else [second, first]
        answers = await asyncio.gather(
            post(receivers[0].server.url, body), post(receivers[1].server.url, body, headers=header)
        )

        assert [answer[:2] for answer in answers] == [(204, "")] * 2
    rows = stored(store_dsn)

    assert len(rows) == len(bodies) * 30
    assert len({(labels["i"], moment) for labels, moment, _ in rows}) == len(rows)


async def test_random_requests_to_two_receivers(store_dsn: str, start_store: StartStore) -> None:
    """In any order, any grouping, any number of times, at once."""
    stores = [await start_store(store_dsn), await start_store(store_dsn)]
    random_ = random.Random(7)
    start = now_ms()
    pairs = [(i, start + step * 500) for i in range(8) for step in range(25)]
    expected = {(str(i), moment) for i, moment in pairs}

    async def send(some: list[tuple[int, int]]) -> tuple[int, str]:
        body = v1(*(v1_series(labels_of("m", i=str(i), job=str(i % 2)), [(moment, bits(i))]) for i, moment in some))
        return (await post(random_.choice(stores).server.url, body))[:2]

    sent = pairs + random_.choices(pairs, k=400)
    random_.shuffle(sent)
    groups = [sent[at : at + 15] for at in range(0, len(sent), 15)]
    for at in range(0, len(groups), 8):
        assert set(await asyncio.gather(*map(send, groups[at : at + 8]))) == {(204, "")}
    rows = stored(store_dsn)

    assert {(labels["i"], moment) for labels, moment, _ in rows} == expected
    assert len(rows) == len(expected)


async def test_copies_that_wait_in_one_batch_are_stored_once(store_dsn: str, start_store: StartStore) -> None:
    """The first of them is newer than everything stored; the second must not be compared with the table before it."""
    store = await start_store(store_dsn)
    url, start = store.server.url, now_ms() - 60_000
    await post(url, v1(v1_series(labels_of("m", i="0"), [(start, bits(0))])))  # the series is known from here on
    busy = v1(*(v1_series(labels_of("busy", i=str(i)), [(start, bits(i))]) for i in range(2000)))
    await post(url, busy)
    for step in range(1, 11):
        body = v1(v1_series(labels_of("m", i="0"), [(start + step * 1000, bits(step))]))
        blocker = v1(*(v1_series(labels_of("busy", i=str(i)), [(start + step, bits(i))]) for i in range(2000)))
        answers = await asyncio.gather(post(url, blocker), *(post(url, body) for _ in range(4)))
        assert {answer[:2] for answer in answers} == {(204, "")}

    assert row_count(store_dsn) == 11 * 2000 + 11


async def test_a_restarted_receiver_knows_what_is_stored(store_dsn: str, start_store: StartStore) -> None:
    before = await start_store(store_dsn)
    bodies = _requests(5, 10, now_ms())
    for body in bodies:
        await post(before.server.url, body)
    await before.stop()
    after = await start_store(store_dsn)
    for body in bodies:
        assert (await post(after.server.url, body))[0] == 204
    assert row_count(store_dsn) == 50


async def test_a_broken_connection_stores_nothing_twice(store_dsn: str, start_store: StartStore) -> None:
    """The connection breaks at any moment of the first attempts, also between commit and its confirmation."""
    store = await start_store(store_dsn)
    bodies = _requests(25, 20, now_ms())
    async with await psycopg.AsyncConnection.connect(store_dsn, autocommit=True) as connection:

        async def kill() -> None:
            await asyncio.sleep(random.random() / 20)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'jelmon-store' AND datname = current_database()"
            )

        for body in bodies:
            for attempt in range(100):
                killer = asyncio.create_task(kill()) if attempt < 2 else None
                status, text, headers = await post(store.server.url, body)
                if killer is not None:
                    await killer
                if status == 204:
                    break

                assert (status, "Retry-After" in headers) == (503, True), text
            else:
                pytest.fail(f"a request was never accepted: {text}")

    assert row_count(store_dsn) == 25 * 20


async def test_late_and_repeated_samples_of_a_compressed_chunk(store_dsn: str, start_store: StartStore) -> None:
    """They are stored once, as anywhere else."""
    with psycopg.connect(store_dsn, autocommit=True) as connection:
        store = await start_store(store_dsn)
        start = now_ms() - 7_200_000
        bodies = _requests(10, 5, start)
        for body in bodies[:5]:
            await post(store.server.url, body)
        flavour = connection.execute("SELECT jelmore.store_flavour()").fetchone()
        if flavour != ("community",):
            pytest.skip("only TimescaleDB Community has the column store")
        connection.execute(
            "SELECT extensions.compress_chunk(chunk) FROM extensions.show_chunks('jelmore.samples') AS chunk"
        )
        other = await start_store(store_dsn)  # knows nothing of these series
        for body in [*bodies, *bodies]:
            assert (await post(other.server.url, body))[0] == 204
            assert (await post(store.server.url, body))[0] == 204
    rows = stored(store_dsn)

    assert len(rows) == len({(labels["i"], moment) for labels, moment, _ in rows}) == 50


async def test_a_change_of_retention_stores_nothing_twice(
    store_dsn: str, start_store: StartStore, eventually_true: Eventually
) -> None:
    """Samples of metrics that are kept longer are in another table: what is resent may be in the one from before."""
    before = await start_store(store_dsn)
    bodies = _requests(5, 10, now_ms())
    for body in bodies:
        await post(before.server.url, body)
    await before.stop()
    kept = RetentionSettings(overrides=(parse_override("m=30"),))
    after = [await start_store(store_dsn, retention=kept), await start_store(store_dsn, retention=kept)]

    async def is_kept() -> bool:
        async with await psycopg.AsyncConnection.connect(store_dsn) as connection:
            row = await (await connection.execute("SELECT min(retention_class) FROM jelmore.metrics")).fetchone()
            return row == (30,)

    await eventually_true(is_kept)
    for store in after:
        # the newest last: until then, what the table has is learned from an older one
        for body in (bodies[2], bodies[4], *bodies):
            assert (await post(store.server.url, body))[:2] == (204, "")
    new = _requests(1, 10, now_ms() + 10_000)[0]
    assert (await post(after[0].server.url, new))[0] == 204

    assert (row_count(store_dsn), row_count(store_dsn, "samples_kept")) == (50, 10)


async def test_a_target_that_waits_for_another_receiver_holds_up_no_other(
    postgres_dsn: str, start_store: StartStore
) -> None:
    """And its own samples are written in their order when it may go on."""
    store = await start_store(postgres_dsn)
    start = now_ms()

    def request(instance: str, step: int) -> bytes:
        return v1(v1_series(labels_of("m", instance=instance), [(start + step, bits(step))]))

    async def deliver(body: bytes) -> None:  # the store gives up after ten seconds, and the sender repeats
        while (await post(store.server.url, body))[0] == 503:
            pass

    for instance in "ab":
        await deliver(request(instance, 0))
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as other:
        group = group_of("", {"instance": "a"})
        await other.execute("SELECT FROM jelmore.write_groups WHERE group_id = %s FOR UPDATE", (group,))
        waiting = [asyncio.create_task(deliver(request("a", step))) for step in (1, 2)]
        for step in range(1, 6):
            assert (await post(store.server.url, request("b", step)))[:2] == (204, "")

        assert not any(task.done() for task in waiting)

        await other.rollback()
    await asyncio.gather(*waiting)

    assert sorted((labels["instance"], moment - start) for labels, moment, _ in stored(postgres_dsn)) == [
        *(("a", step) for step in range(3)),
        *(("b", step) for step in range(6)),
    ]
