"""The store as a service: metrics, health, start without a database."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.store.conftest import Eventually, StartStore
from tests.store.write.sender import bits, labels_of, now_ms, post, stored, v1, v1_series

from jelmon.catalogue import STORE_REQUESTS, Service, of_service
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon_store.maintenance.settings import RetentionSettings


async def _get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def _samples(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    _, text = await _get(f"{url}/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_metrics_are_those_of_the_catalogue(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn)
    await post(store.server.url, v1(v1_series(labels_of("m"), [(now_ms(), bits(1))])))
    _, text = await _get(f"{store.server.url}/metrics")
    exposed = {(family.name, family.type, family.documentation) for family in text_string_to_metric_families(text)}

    assert exposed == {
        (metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in of_service(Service.STORE)
    }


async def test_the_metrics_count_what_was_received(postgres_dsn: str, start_store: StartStore) -> None:
    store = await start_store(postgres_dsn)
    at = now_ms()
    good = v1_series(labels_of("m"), [(at, bits(1)), (at + 1, bits(1))])
    for _ in range(2):
        await post(store.server.url, v1(good, v1_series([("job", "x")], [(at, bits(1))])))
    found = await _samples(store.server.url)
    outcomes = {
        dict(labels)["outcome"]: value
        for (name, labels), value in found.items()
        if name == "jelmore_store_samples_total"
    }

    assert outcomes == {"written": 2, "duplicate": 2, "rejected": 2, "deduplicated": 0}
    assert found["jelmore_store_rejected_total", (("reason", "labels"),)] == 2
    assert found["jelmore_store_series_created_total", ()] == 1
    assert found["jelmore_store_compared_samples_total", ()] == 2
    assert found["jelmore_store_queue_samples", ()] == 0


async def test_maintenance_says_when_it_succeeded(
    postgres_dsn: str, start_store: StartStore, eventually_true: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure leaves the time of the last success."""
    retention = RetentionSettings(interval_seconds=0.05)
    store = await start_store(postgres_dsn, retention=retention)
    name = ("jelmore_store_maintenance_last_success_timestamp_seconds", ())

    async def goes_on() -> bool:
        before = (await _samples(store.server.url))[name]
        await asyncio.sleep(0.2)
        return (await _samples(store.server.url))[name] > before

    await eventually_true(goes_on)
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as connection:
        await connection.execute("ALTER TABLE jelmore.time_partitioning RENAME TO gone")

        async def failed(times: int) -> bool:
            return sum(record.message == "maintenance failed" for record in caplog.records) >= times

        await eventually_true(lambda: failed(1))
        last = (await _samples(store.server.url))[name]
        await eventually_true(lambda: failed(3))

        assert (await _samples(store.server.url))[name] == last
        await connection.execute("ALTER TABLE jelmore.gone RENAME TO time_partitioning")
    await eventually_true(goes_on)


async def test_without_its_database_the_store_starts_and_answers_503(
    tool: Callable[[str], Path], server_folder: Path, start_store: StartStore, eventually_true: Eventually
) -> None:
    """And works as soon as the database is there."""
    with Processes(server_folder / "late-logs") as processes:
        port = processes.port(15632)
        store = await start_store(f"postgresql://jelmon@127.0.0.1:{port}/postgres")
        body = v1(v1_series(labels_of("m"), [(now_ms(), bits(1))]))
        status, _, headers = await post(store.server.url, body)

        assert (status, "Retry-After" in headers) == (503, True)
        assert (await _get(f"{store.server.url}/-/healthy"))[0] == 200
        dsn = await asyncio.to_thread(
            launch.postgres, processes, tool("postgres"), tool("initdb"), server_folder / "late", port=port
        )

        async def accepted() -> bool:
            return (await post(store.server.url, body))[0] == 204

        await eventually_true(accepted)

        assert len(stored(dsn)) == 1


async def test_unreachable_databases_are_not_ready(start_store: StartStore) -> None:
    store = await start_store("postgresql://nobody@127.0.0.1:1/none")
    for _ in range(100):
        status, _ = await _get(f"{store.server.url}/-/ready")
        if status == 503:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("ready without a database")


async def test_the_rate_limit_of_the_web_config_makes_senders_repeat(tmp_path: Path, start_store: StartStore) -> None:
    """Most senders drop what is answered with 429; all repeat it after 503."""
    config = tmp_path / "web.yml"
    config.write_text("rate_limit: {interval: 1h, burst: 1}\n", encoding="utf-8")
    store = await start_store("postgresql://nobody@127.0.0.1:1/none", web_config=config)
    assert (await _get(f"{store.server.url}/metrics"))[0] == 200
    body = v1(v1_series(labels_of("m"), [(now_ms(), bits(1))]))

    status, text, headers = await post(store.server.url, body)

    assert (status, text, headers["Retry-After"]) == (503, "too many requests\n", "1")
    assert (await _get(f"{store.server.url}/metrics"))[0] == 429


@pytest.mark.parametrize("path", ["/api/v1/write", "/api/v1/read"])
async def test_a_client_that_goes_in_mid_body_leaves_no_traceback(
    postgres_dsn: str, start_store: StartStore, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await start_store(postgres_dsn)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
    assert store.server.address is not None
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", store.server.address.port)
        writer.write(f"{head}Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # the handler waits for the body
        writer.write(b"abc")
        await writer.drain()
        writer.transport.abort()
    while (await _samples(store.server.url)).get(_requests(path), 0) < 3:
        await asyncio.sleep(0.02)

    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def _requests(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"{STORE_REQUESTS.name}_count", (("code", "400"), ("operation", path.rpartition("/")[2]))
