"""HA pairs, tenants, and limits."""

import asyncio

import psycopg
from tests.store.conftest import StartStore
from tests.store.write.sender import V2, RequestV2, bits, labels_of, now_ms, post, row_count, stored, v1, v1_series

from jelmon_store.settings import WriteLimits


def scrape(replica: str, at: int, *, cluster: str = "c", count: int = 3) -> bytes:
    """A scrape by one replica; the value is the last character of its name."""
    return v1(
        *(
            v1_series(labels_of("m", cluster=cluster, __replica__=replica, i=str(i)), [(at, bits(ord(replica[-1])))])
            for i in range(count)
        )
    )


async def test_one_replica_of_a_pair_is_kept(store_dsn: str, start_store: StartStore) -> None:
    """Over two receivers; the other one takes over where the samples of the first end, in sample time."""
    first, second = await start_store(store_dsn), await start_store(store_dsn)
    start = now_ms() - 600_000
    both = range(0, 60_000, 5000)
    alone = range(60_000, 200_000, 5000)
    for step in both:
        answers = [
            await post(first.server.url, scrape("a", start + step)),
            await post(second.server.url, scrape("b", start + step + 1)),
        ]

        assert [status for status, _, _ in answers] == [204, 204]
    for step in alone:
        await post(second.server.url, scrape("b", start + step + 1))
    # the first replica is back, with what it could not send, and is not kept until the other one fails
    for step in alone:
        assert (await post(first.server.url, scrape("a", start + step)))[0] == 204
    letters = {bits(ord(letter)): letter for letter in "ab"}
    rows = stored(store_dsn)
    kept = [(moment - start, letters[value]) for labels, moment, value in rows if labels["i"] == "0"]
    end = min(step for step, letter in kept if letter == "b")

    # a lease of a minute, extended when ten seconds of it are used
    assert both[-1] + 50_000 <= end <= both[-1] + 65_000
    assert [step for step, letter in kept if letter == "a"] == [step for step in (*both, *alone) if step < end - 1]
    assert [step for step, letter in kept if letter == "b"] == [step + 1 for step in alone if step + 1 >= end]
    assert not any("__replica__" in labels for labels, _, _ in rows)


async def test_a_losing_replica_is_told_that_all_is_written(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn)
    at = now_ms()
    for replica, rows in (("a", 1), ("b", 1)):
        body = RequestV2().add(labels_of("m", cluster="c", __replica__=replica), [(at, bits(1))]).body()
        status, _, headers = await post(store.server.url, body, kind=V2)

        assert (status, headers["X-Prometheus-Remote-Write-Samples-Written"]) == (204, "1")
        assert row_count(postgres_dsn) == rows


async def test_clusters_are_independent(postgres_dsn: str, start_store: StartStore) -> None:
    """Also within one request, whose first series says nothing about the others."""
    store = await start_store(postgres_dsn)
    at = now_ms()
    await post(store.server.url, scrape("a", at, cluster="one"))
    body = v1(
        *(v1_series(labels_of("m", cluster=cluster, __replica__="b"), [(at, bits(1))]) for cluster in ("one", "two")),
        v1_series(labels_of("alone"), [(at, bits(1))]),
    )
    await post(store.server.url, body)
    found = [
        (labels["__name__"], labels.get("cluster")) for labels, _, value in stored(postgres_dsn) if value == bits(1)
    ]

    assert sorted(found, key=str) == [("alone", None), ("m", "two")]


async def test_tenants_are_separate(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn, tenant_header="X-Scope-OrgID")
    body = v1(v1_series(labels_of("m"), [(now_ms(), bits(1))]))
    for tenant in ("a", "b"):
        assert (await post(store.server.url, body, headers={"X-Scope-OrgID": tenant}))[0] == 204
    assert (await post(store.server.url, body))[0] == 400
    assert (await post(store.server.url, body, headers={"X-Scope-OrgID": "../x"}))[0] == 400
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute("SELECT tenant FROM jelmore.series ORDER BY tenant").fetchall()

    assert rows == [("a",), ("b",)]


async def test_series_beyond_the_limit_of_their_metric_are_refused(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn, limits=WriteLimits(series_per_metric=5))
    at = now_ms()
    for step in range(2):
        series = [v1_series(labels_of("m", i=str(i)), [(at + step, bits(i))]) for i in range(8)]
        series.append(v1_series(labels_of("other"), [(at + step, bits(1))]))
        status, text, _ = await post(store.server.url, v1(*series))

        assert (status, "too many series" in text) == (400, True)
    assert row_count(postgres_dsn, "series") == 6
    assert row_count(postgres_dsn) == 12


async def test_a_tenant_over_its_rate_is_told_to_wait(postgres_dsn: str, start_store: StartStore) -> None:
    """503, not 429: Prometheus drops on 429."""
    store = await start_store(postgres_dsn, limits=WriteLimits(samples_per_second=1))
    answers = [
        await post(store.server.url, v1(v1_series(labels_of("m"), [(now_ms() + i, bits(1)) for i in range(8)])))
        for _ in range(2)
    ]

    assert [status for status, _, _ in answers] == [204, 503]
    assert "Retry-After" in answers[1][2]


async def test_a_full_queue_answers_503_and_nothing_is_lost(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn, limits=WriteLimits(queued_samples=100))
    start = now_ms()
    known = v1(*(v1_series(labels_of("m", i=str(i)), [(start, bits(1))]) for i in range(60)))
    await post(store.server.url, known)

    async def send(step: int) -> int:
        body = v1(*(v1_series(labels_of("m", i=str(i)), [(start + step, bits(1))]) for i in range(60)))
        refused = 0
        while True:
            status, _, headers = await post(store.server.url, body)
            if status == 204:
                return refused
            assert (status, headers["Retry-After"]) == (503, "1")
            refused += 1
            await asyncio.sleep(0.01)

    refused = await asyncio.gather(*(send(step) for step in range(1, 40)))

    assert sum(refused) > 0
    assert row_count(postgres_dsn) == 40 * 60
