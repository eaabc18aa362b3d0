"""The table of recommendations: every suggestion, what it promised, and what came of it. PostgreSQL or SQLite.

In PostgreSQL it is ``jelmore.recommendations``, beside the alert history; in a SQLite file ``recommendations``. Writing
the same suggestion again changes nothing, so a write that failed is simply repeated.
"""

import asyncio
import contextlib
import importlib.util
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from jelmon.errors import ConfigError, SourceError
from jelmon.installation import install_hint
from jelmon_analyzers.suggestions.open_suggestions import Suggestion
from jelmon_analyzers.suggestions.results import KEPT_SECONDS, Measured

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
_TIMES = frozenset({"opened_at", "closed_at", "applied_at"})
_NUMBERS = frozenset({"severity", "expected_seconds", "before_seconds", "after_seconds"})
_REQUIRED = frozenset({"pipeline", "stage", "strategy", "advice", "opened_at"})
_UPDATED = ("closed_at", "applied_at", "before_seconds", "after_seconds")


class Keeper(Protocol):
    """Where suggestions are written."""

    async def keep(self, suggestions: Iterable[Suggestion]) -> None:
        """Write them.

        Raises:
            SourceError: the database does not take them; try again later.
        """

    async def measured(self) -> list[Measured]:
        """Those that were applied lately, and what came of them.

        Raises:
            SourceError: the database does not answer; try again later.
        """

    async def read(self) -> list[dict[str, Any]]:
        """All of them, newest first."""


def open_keeper(url: str) -> Keeper:
    """The keeper of a URL: ``sqlite:///path`` or ``postgresql://user@host/database``.

    Raises:
        ConfigError: neither of them.
    """
    if url.startswith("sqlite:"):
        return _Sqlite(Path(url.removeprefix("sqlite:").removeprefix("//")))
    if url.startswith(("postgresql://", "postgres://")):
        if importlib.util.find_spec("psycopg") is None:
            raise ConfigError(
                "a PostgreSQL URL needs the package that provides 'psycopg'", hint=install_hint("analyzers")
            )
        return _Postgres(url)
    raise ConfigError(
        "--recommendations.url: not the address of a database",
        hint="write sqlite:///path/to/file or postgresql://user@host/database",
    )


def _table(name: str, time: str) -> str:
    def kind(column: str) -> str:
        base = time if column in _TIMES else "double precision" if column in _NUMBERS else "text"
        return f"{base} NOT NULL" if column in _REQUIRED else base

    columns = ", ".join(f"{column} {kind(column)}" for column in COLUMNS if column != "id")
    return f"CREATE TABLE IF NOT EXISTS {name} (id text PRIMARY KEY, {columns})"


def _upsert(name: str, mark: str) -> str:
    updates = ", ".join(f"{column} = excluded.{column}" for column in _UPDATED)
    marks = ", ".join([mark] * len(COLUMNS))
    return f"INSERT INTO {name} ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}"


def _select_measured(name: str, applied_at: str) -> str:
    columns = f"id, pipeline, strategy, {applied_at}, before_seconds, after_seconds"
    return (
        f"SELECT {columns} FROM {name} WHERE before_seconds IS NOT NULL AND after_seconds IS NOT NULL "
        f"AND {applied_at} > %s"
    )


def _row(one: Suggestion) -> list[Any]:
    return [getattr(one, column) for column in COLUMNS]


class _Sqlite:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def keep(self, suggestions: Iterable[Suggestion]) -> None:
        await asyncio.to_thread(self._keep, [_row(one) for one in suggestions])

    async def measured(self) -> list[Measured]:
        return await asyncio.to_thread(self._measured)

    async def read(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._read)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5)
        connection.execute(_table("recommendations", "double precision"))
        return connection

    def _keep(self, rows: Sequence[list[Any]]) -> None:
        try:
            with contextlib.closing(self._connect()) as connection, connection:
                connection.executemany(_upsert("recommendations", "?"), rows)
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: cannot write recommendations: {error}") from error

    def _measured(self) -> list[Measured]:
        query = _select_measured("recommendations", "applied_at").replace("%s", "?")
        try:
            with contextlib.closing(self._connect()) as connection:
                return [Measured(*row) for row in connection.execute(query, (time.time() - KEPT_SECONDS,))]
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: cannot read recommendations: {error}") from error

    def _read(self) -> list[dict[str, Any]]:
        with contextlib.closing(self._connect()) as connection:
            rows = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM recommendations ORDER BY opened_at DESC, id"
            ).fetchall()
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


class _Postgres:
    """Connects for each write: there is one every few minutes."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def keep(self, suggestions: Iterable[Suggestion]) -> None:
        await asyncio.to_thread(self._keep, [_row(one) for one in suggestions])

    async def measured(self) -> list[Measured]:
        return await asyncio.to_thread(self._measured)

    async def read(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self._read)

    def _connect(self) -> Any:
        import psycopg

        connection = psycopg.connect(self._url, connect_timeout=5)
        connection.execute("CREATE SCHEMA IF NOT EXISTS jelmore")
        connection.execute(_table("jelmore.recommendations", "timestamptz"))
        return connection

    def _keep(self, rows: Sequence[list[Any]]) -> None:
        import psycopg

        times = [column in _TIMES for column in COLUMNS]
        told = [
            [
                datetime.fromtimestamp(value, UTC) if is_time and value is not None else value
                for value, is_time in zip(row, times, strict=True)
            ]
            for row in rows
        ]
        try:
            with self._connect() as connection, connection.cursor() as cursor:
                cursor.executemany(_upsert("jelmore.recommendations", "%s"), told)
        except psycopg.Error as error:
            raise SourceError(f"PostgreSQL does not take recommendations: {error}") from error

    def _measured(self) -> list[Measured]:
        import psycopg

        query = _select_measured("jelmore.recommendations", "extract(epoch FROM applied_at)::float8")
        try:
            with self._connect() as connection:
                return [Measured(*row) for row in connection.execute(query, (time.time() - KEPT_SECONDS,))]
        except psycopg.Error as error:
            raise SourceError(f"PostgreSQL does not give recommendations: {error}") from error

    def _read(self) -> list[dict[str, Any]]:
        with self._connect() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM jelmore.recommendations ORDER BY opened_at DESC, id"
            ).fetchall()
        return [
            {
                column: value.timestamp() if column in _TIMES and value is not None else value
                for column, value in zip(COLUMNS, row, strict=True)
            }
            for row in rows
        ]
