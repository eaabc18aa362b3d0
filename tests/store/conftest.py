"""Databases and running stores."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from jelmon.config.settings import ListenAddress
from jelmon_store.app import Store
from jelmon_store.settings import StoreSettings


@pytest.fixture(params=["postgresql", "timescaledb"])
def store_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database: plain PostgreSQL, and one with TimescaleDB where JELMON_TEST_TIMESCALE_DSN names a server."""
    if request.param == "postgresql":
        yield str(request.getfixturevalue("postgres_dsn"))
        return
    server = os.environ.get("JELMON_TEST_TIMESCALE_DSN")
    if not server:
        pytest.skip("JELMON_TEST_TIMESCALE_DSN names no PostgreSQL with TimescaleDB")
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        dsn = server.rsplit("/", 1)[0] + f"/{name}"
        with psycopg.connect(dsn, autocommit=True) as inside:
            inside.execute("CREATE EXTENSION timescaledb")
        yield dsn
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


StartStore = Callable[..., Awaitable[Store]]


@pytest_asyncio.fixture
async def start_store() -> AsyncIterator[StartStore]:
    """Start stores on free ports, on a database and with settings; they stop at the end of the test."""
    async with AsyncExitStack() as stack:

        async def run(dsn: str, **settings: Any) -> Store:
            settings.setdefault("listen", ListenAddress("127.0.0.1", 0))
            store = Store(StoreSettings(database_url=dsn, **settings))
            await store.start()
            stack.push_async_callback(store.stop)
            return store

        yield run
