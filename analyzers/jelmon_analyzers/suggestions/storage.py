"""The table of recommendations: every suggestion, its expected gain and its measured result, in PostgreSQL or SQLite.

In PostgreSQL it is ``jelmore.recommendations``, beside the alert history; in a SQLite file ``recommendations``. Saving
is idempotent, so a failed write is simply repeated. The database is opened for each call: there is one every few
minutes.
"""

import importlib.util
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jelmon.database.sqlite import SqliteDatabase
from jelmon.errors import ConfigError
from jelmon_analyzers.suggestions.migrations import SCHEMA
from jelmon_analyzers.suggestions.open_suggestions import Suggestion
from jelmon_analyzers.suggestions.results import KEPT_SECONDS, Measured

if TYPE_CHECKING:
    from jelmon.database.postgres import Connection, PostgresDatabase

COLUMNS = (
    "id",
    "pipeline",
    "stage",
    "strategy",
    "advice",
    "action",
    "severity",
    "expected_seconds",
    "opened_at",
    "closed_at",
    "applied_at",
    "before_seconds",
    "after_seconds",
)
_TIMES = ("opened_at", "closed_at", "applied_at")
_UPDATED = ("closed_at", "applied_at", "before_seconds", "after_seconds")


class SuggestionStore(Protocol):
    """Storage of suggestions. Every method raises `SourceError` while the database does not respond."""

    async def save(self, suggestions: Iterable[Suggestion]) -> None:
        """Insert suggestions, or update those that are stored."""

    async def measured(self) -> list[Measured]:
        """Return recently applied suggestions whose result has been measured."""

    async def read(self) -> list[dict[str, Any]]:
        """Return all rows, newest first; times in Unix seconds."""


def open_suggestion_store(url: str) -> SuggestionStore:
    """Return the store at a URL: ``sqlite:///path`` or ``postgresql://user@host/database``.

    Raises:
        ConfigError: the URL does not name a supported database.
    """
    if url.startswith("sqlite:"):
        return _SqliteStore(Path(url.removeprefix("sqlite:").removeprefix("//")))
    if url.startswith(("postgresql://", "postgres://")):
        if importlib.util.find_spec("psycopg") is None:
            raise ConfigError(
                "a PostgreSQL URL requires the package psycopg",
                hint="install jelmon with its analyzers extra, or pip install 'psycopg[binary]'",
            )
        return _PostgresStore(url)
    raise ConfigError(
        "--recommendations.url: not the URL of a database",
        hint="write sqlite:///path/to/file or postgresql://user@host/database",
    )


def _upsert(table: str, placeholder: str) -> str:
    updates = ", ".join(f"{column} = excluded.{column}" for column in _UPDATED)
    placeholders = ", ".join([placeholder] * len(COLUMNS))
    return (
        f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({placeholders}) ON CONFLICT (id) DO UPDATE SET {updates}"
    )


def _select_measured(table: str, placeholder: str) -> str:
    return (
        f"SELECT id, pipeline, strategy, applied_at, before_seconds, after_seconds FROM {table} "
        f"WHERE before_seconds IS NOT NULL AND after_seconds IS NOT NULL AND applied_at > {placeholder}"
    )


def _select_all(table: str) -> str:
    return f"SELECT {', '.join(COLUMNS)} FROM {table} ORDER BY opened_at DESC, id"


class _SqliteStore:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def save(self, suggestions: Iterable[Suggestion]) -> None:
        rows = [[getattr(suggestion, column) for column in COLUMNS] for suggestion in suggestions]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_upsert("recommendations", "?"), rows)

        async with self._opened() as database:
            await database.write(work)

    async def measured(self) -> list[Measured]:
        return [Measured(*row) for row in await self._rows(_select_measured("recommendations", "?"), _oldest())]

    async def read(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._rows(_select_all("recommendations"))]

    async def _rows(self, sql: str, *parameters: float) -> list[sqlite3.Row]:
        async with self._opened() as database:
            return await database.read(lambda connection: connection.execute(sql, parameters).fetchall())

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[SqliteDatabase]:
        database = SqliteDatabase(self._path, SCHEMA)
        try:
            yield database
        finally:
            await database.stop()


class _PostgresStore:
    def __init__(self, url: str) -> None:
        self._url = url

    async def save(self, suggestions: Iterable[Suggestion]) -> None:
        rows = [[_stored(column, getattr(suggestion, column)) for column in COLUMNS] for suggestion in suggestions]

        async def work(connection: "Connection") -> None:
            async with connection.cursor() as cursor:
                await cursor.executemany(_upsert("jelmore.recommendations", "%s"), rows)

        async with self._opened() as database:
            await database.write(work)

    async def measured(self) -> list[Measured]:
        oldest = datetime.fromtimestamp(_oldest(), UTC)
        rows = await self._rows(_select_measured("jelmore.recommendations", "%s"), oldest)
        return [Measured(*row.values()) for row in rows]

    async def read(self) -> list[dict[str, Any]]:
        return await self._rows(_select_all("jelmore.recommendations"))

    async def _rows(self, sql: str, *parameters: datetime) -> list[dict[str, Any]]:
        async def work(connection: "Connection") -> list[dict[str, Any]]:
            return await (await connection.execute(sql, parameters)).fetchall()

        async with self._opened() as database:
            return [_loaded(row) for row in await database.read(work)]

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator["PostgresDatabase"]:
        from jelmon.database.postgres import PostgresDatabase  # the SQLite store works without psycopg

        database = PostgresDatabase(self._url, SCHEMA)
        try:
            yield database
        finally:
            await database.stop()


def _oldest() -> float:
    return time.time() - KEPT_SECONDS


def _stored(column: str, value: Any) -> Any:
    return datetime.fromtimestamp(value, UTC) if column in _TIMES and value is not None else value


def _loaded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column: value.timestamp() if column in _TIMES and value is not None else value for column, value in row.items()
    }
