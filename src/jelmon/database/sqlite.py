"""A SQLite file with one writer and one reader, so that a long query never delays a write (write-ahead log).

Each is a thread with its own connection. ``synchronous`` is FULL: a committed transaction survives a power cut.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jelmon.database.schema import Schema
from jelmon.errors import ConfigError, SourceError

BUSY_TIMEOUT_SECONDS = 5.0

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class SqliteDatabase:
    """The tables of one component in a SQLite file; they are created or migrated before first use."""

    def __init__(self, path: Path, schema: Schema, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._schema = schema
        self._writer = _Worker(path, f"{schema.component}-writer", busy_timeout)
        self._reader = _Worker(path, f"{schema.component}-reader", busy_timeout)
        self._migrated = False

    async def start(self) -> None:
        """Open the file, create it if it is missing, and migrate its tables.

        Raises:
            ConfigError: this can never work.
        """
        option = self._schema.option
        if not self._path.parent.is_dir():
            raise ConfigError(
                f"{option}: the directory {self._path.parent} does not exist", hint="create it, or name another file"
            )
        try:
            await asyncio.to_thread(_prepare, self._path, self._schema)
            await self._migrate()
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{option}: cannot use {self._path} as a SQLite file: {error}",
                hint="it must be new or a SQLite database, on a local disk, and writable for this user",
            ) from error

    async def stop(self) -> None:
        """Close the file and end both threads."""
        await self._writer.close()
        await self._reader.close()

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in the writer's thread, in one transaction that excludes other writers from its start.

        Raises:
            SourceError: the database does not respond.
        """
        return await self._run(self._writer, lambda connection: _in_transaction(connection, work))

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in the reader's thread.

        Raises:
            SourceError: the database does not respond.
        """
        return await self._run(self._reader, work)

    async def _run(self, worker: "_Worker", work: Work[T]) -> T:
        try:
            await self._migrate()
            return await worker.run(work)
        except sqlite3.Error as error:
            raise SourceError(
                f"{self._schema.title} in {self._path} is unavailable: {error}",
                hint="is the disk full, or does another program lock the file?",
            ) from error

    async def _migrate(self) -> None:
        if not self._migrated:
            await self._writer.run(lambda connection: _migrate(connection, self._schema))
            self._migrated = True


class _Worker:
    """One thread with one connection, opened on first use."""

    def __init__(self, path: Path, name: str, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._work, work)

    def _work(self, work: Work[T]) -> T:
        if self._connection is None:
            self._connection = _connect(self._path, self._busy_timeout)
        return work(self._connection)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        self._executor.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _prepare(path: Path, schema: Schema) -> None:
    """Create a missing file, readable for this user only, and refuse the database of another program.

    Raises:
        ConfigError: the file has tables, and none of them is ours.
    """
    with contextlib.suppress(OSError):  # connecting to it reports the reason
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        ours = tables & {"schema_migrations", schema.first_table}
        if ours == {"schema_migrations"}:  # a common name
            columns = {row[1] for row in connection.execute("PRAGMA table_info(schema_migrations)")}
            ours = ours if "component" in columns else set()
    if tables and not ours:
        raise ConfigError(
            f"{schema.option}: {path} is the database of another program (tables {', '.join(sorted(tables)[:3])})",
            hint="name a file of its own; it will be created",
        )


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    # isolation_level None: _in_transaction begins transactions, so that they take the lock before they read
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        _use_wal(connection, timeout=busy_timeout)
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, *, timeout: float) -> None:
    """Switch to the write-ahead log. While another connection does so, SQLite fails at once instead of waiting."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        return work(connection)


def _migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    def apply(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (component TEXT NOT NULL, version INTEGER NOT NULL, "
            "name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), "
            "PRIMARY KEY (component, version))"
        )
        for step in schema.pending("sqlite", _applied(connection, schema)):
            for statement in _statements(step.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migrations (component, version, name) VALUES (?, ?, ?)",
                (schema.component, step.version, step.name),
            )
            if schema.uses_user_version:
                connection.execute(f"PRAGMA user_version = {step.version}")

    _in_transaction(connection, apply)


def _applied(connection: sqlite3.Connection, schema: Schema) -> int:
    sql = "SELECT coalesce(max(version), 0) FROM schema_migrations WHERE component = ?"
    (version,) = connection.execute(sql, (schema.component,)).fetchone()
    if schema.uses_user_version:
        (user_version,) = connection.execute("PRAGMA user_version").fetchone()
        version = max(version, user_version)
    return int(version)


def _statements(script: str) -> list[str]:
    """Split a script into statements: ``executescript`` would commit our transaction."""
    statements, part = [], ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            statements.append(part)
            part = ""
    return statements
