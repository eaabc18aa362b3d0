"""Databases of every flavour, and running stores.

TimescaleDB is tested where variables name servers that load it, one for each edition. The Apache edition is the same
library with ``timescaledb.license = 'apache'`` in its postgresql.conf.
"""

import asyncio
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

FLAVOURS = ("postgresql", "apache", "community")
VARIABLES = {"community": "JELMON_TEST_TIMESCALE_DSN", "apache": "JELMON_TEST_TIMESCALE_APACHE_DSN"}


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """The kind of tables."""
    return str(request.param)


@pytest.fixture
def store_dsn(flavour: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of one flavour, without tables."""
    if flavour == "postgresql":
        yield request.getfixturevalue("postgres_dsn")
        return
    server = os.environ.get(VARIABLES[flavour])
    if not server:
        pytest.skip(f"NOT TESTED on TimescaleDB ({flavour}): set {VARIABLES[flavour]} to the DSN of such a server")
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        dsn = server.rsplit("/", 1)[0] + f"/{name}"
        with psycopg.connect(dsn, autocommit=True) as own:
            # not in public: nothing may rely on finding its functions there
            own.execute("CREATE SCHEMA extensions")
            own.execute("CREATE EXTENSION timescaledb SCHEMA extensions")
        yield dsn
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
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


@pytest.fixture
def eventually_true() -> Eventually:
    """Wait on a condition that is asked for again and again."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(300):
            if await condition():
                return
            await asyncio.sleep(0.2)
        pytest.fail("the condition never came true")

    return wait
