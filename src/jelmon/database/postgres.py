"""PostgreSQL 15 or newer, plain or with TimescaleDB: the schema ``jelmore``, which all services share.

One connection writes and one reads, so that a long query never delays a write. A broken connection is replaced on the
next call, which is then repeated once: work must be idempotent.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from jelmon.database.schema import Schema
from jelmon.errors import ConfigError, SourceError

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30
LOCK_TIMEOUT_SECONDS = 10
_SCHEMA_LOCK = 0x6A656C6D_6F726501
"""Advisory lock held while any component migrates. The numbers after it are used by the components."""

Connection = psycopg.AsyncConnection[dict[str, Any]]
T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]


class PostgresDatabase:
    """The tables of one component in a PostgreSQL database; they are created or migrated when connecting.

    Raises:
        ConfigError: the URL is malformed.
    """

    def __init__(self, url: str, schema: Schema) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise ConfigError(
                f"{schema.option}: not a PostgreSQL URL: {error}", hint="write postgresql://user@host:5432/database"
            ) from error
        self._writer = _Session(url, schema)
        self._reader = _Session(url, schema)

    async def start(self) -> None:
        """Connect and migrate the tables.

        Raises:
            SourceError: the server does not respond.
            ConfigError: a newer program has migrated the database.
        """
        await self._writer.run(_nothing)

    async def stop(self) -> None:
        """Close both connections."""
        await self._writer.close()
        await self._reader.close()

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in one transaction of the writing connection.

        Raises:
            SourceError: the database does not respond.
        """

        async def in_transaction(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._writer.run(in_transaction)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on the reading connection.

        Raises:
            SourceError: the database does not respond.
        """
        return await self._reader.run(work)


class _Session:
    """One connection, used by one task at a time, replaced when it breaks."""

    def __init__(self, url: str, schema: Schema) -> None:
        self._url = url
        self._schema = schema
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    async def run(self, work: Work[T]) -> T:
        async with self._lock:
            try:
                return await self._attempt(work)
            except psycopg.Error as error:
                raise SourceError(
                    f"{self._schema.title} is unavailable: {_first_line(error)}", hint=_hint(error)
                ) from error

    async def _attempt(self, work: Work[T]) -> T:
        if self._connection is not None:
            try:
                return await work(self._connection)
            except psycopg.OperationalError:
                if not self._connection.broken:
                    raise
                await self._drop()
        self._connection = await _connect(self._url, self._schema)
        try:
            return await work(self._connection)
        except psycopg.OperationalError:
            await self._drop()
            raise

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None


async def _connect(url: str, schema: Schema) -> Connection:
    """Return a connection to a database whose tables are up to date."""
    connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=f"jelmon-{schema.component}",
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=15_000,
        # UTC: years near 1 and 9999 do not survive a shift of zone
        options=f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s "
        f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s -c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_SECONDS}s",
    )
    try:
        await _migrate(connection, schema)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _migrate(connection: Connection, schema: Schema) -> None:
    """Apply missing migrations, one process at a time. If none is missing, the right to read is enough."""
    if not schema.pending("postgresql", await _applied(connection, schema)):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        # CREATE SCHEMA IF NOT EXISTS requires the right to create even if the schema exists
        row = await (await connection.execute("SELECT to_regnamespace('jelmore') AS name")).fetchone()
        if row is None or row["name"] is None:
            await connection.execute("CREATE SCHEMA jelmore")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS jelmore.schema_migrations (component text, version integer, "
            "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))"
        )
        for step in schema.pending("postgresql", await _applied(connection, schema)):
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO jelmore.schema_migrations (component, version, name) VALUES (%s, %s, %s)",
                (schema.component, step.version, step.name),
            )


async def _applied(connection: Connection, schema: Schema) -> int:
    table = await (await connection.execute("SELECT to_regclass('jelmore.schema_migrations') AS name")).fetchone()
    if table is None or table["name"] is None:
        return 0
    cursor = await connection.execute(
        "SELECT coalesce(max(version), 0) AS version FROM jelmore.schema_migrations WHERE component = %s",
        (schema.component,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["version"])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _hint(error: Exception) -> str:
    if "must be preloaded" in str(error):  # an extension of this database, of which its server knows nothing
        return "add the extension to shared_preload_libraries in postgresql.conf and restart PostgreSQL"
    return "is PostgreSQL up, and may this user access the schema jelmore?"


async def _nothing(_: Connection) -> None:
    pass
