"""The alert history in a SQLite file: for one responder, without a server.

One thread writes and one reads, each with its own connection, so that a long query never keeps a webhook waiting
(write-ahead log). ``synchronous`` is FULL: what was answered with 200 survives a power cut.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import msgspec

from jelmon.errors import ConfigError, SourceError
from jelmon_responder.history import history
from jelmon_responder.history.episodes import Episode, Folded, Key
from jelmon_responder.history.history import Action, Choose, Fold, Query
from jelmon_responder.history.migrations import migrations, refuse_newer
from jelmon_responder.mail.budget import WINDOW, Letter, Notice

BUSY_TIMEOUT_SECONDS = 5.0

_UPSERT = history.upsert("alert_history", ":{}")
_INSERT_ACTION = history.insert_action("action_log", ":{}")
_INSERT_NOTICE = history.insert_notice("notice", ":{}")
_JSON = frozenset({"labels", "annotations"})

T = TypeVar("T")


class SqliteHistory:
    """An `AlertHistory` in a file."""

    kind = "sqlite"

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._writer = _Lane(path, "history-writer", busy_timeout)
        self._reader = _Lane(path, "history-reader", busy_timeout)

    async def start(self) -> None:
        """Open the file, make it if need be, and bring its tables up to date."""
        if not self._path.parent.is_dir():
            raise ConfigError(
                f"--history.url: the folder {self._path.parent} does not exist", hint="make it, or name another file"
            )
        try:
            await self._writer.run(_migrate)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"--history.url: cannot use {self._path} as a SQLite file: {error}",
                hint="it must be a file that this user may write, on a local disk, and a SQLite database or new",
            ) from error

    async def stop(self) -> None:
        """Close the file and end the threads."""
        await self._writer.close()
        await self._reader.close()

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction."""

        def work(connection: sqlite3.Connection) -> Folded:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                entry = fold(_known(connection, keys, and_firing=and_firing))
                connection.executemany(_UPSERT, map(_record, entry.folded.episodes.values()))
                connection.executemany(_INSERT_ACTION, map(_record, entry.actions))
                connection.executemany(_INSERT_NOTICE, map(_record, entry.notices))
            return entry.folded

        return await self._guarded(self._writer, work)

    async def read(self, query: Query) -> list[Episode]:
        """Rows, newest start first."""
        conditions = query.conditions()
        where = " AND ".join(sql.format(f":{name}") for sql, name, _ in conditions) or "true"
        sql = f"SELECT * FROM alert_history WHERE {where} ORDER BY starts_at DESC, fingerprint LIMIT :limit"
        parameters = {name: _stored(value) for _, name, value in conditions} | {"limit": query.limit}
        return await self._guarded(self._reader, lambda connection: _episodes(connection.execute(sql, parameters)))

    async def firing(self) -> dict[str, int]:
        """How many alerts fire, by severity."""
        sql = "SELECT severity, count(*) AS number FROM alert_history WHERE status = 'firing' GROUP BY severity"
        return await self._guarded(
            self._reader, lambda connection: {row["severity"]: row["number"] for row in connection.execute(sql)}
        )

    async def actions(self, *, pending: bool, limit: int = history.DEFAULT_LIMIT) -> list[Action]:
        """Actions, newest first."""
        where = "outcome IS NULL" if pending else "true"
        sql = f"SELECT * FROM action_log WHERE {where} ORDER BY requested_at DESC, id LIMIT ?"
        return await self._guarded(
            self._reader,
            lambda connection: [history.action_from(_loaded(row)) for row in connection.execute(sql, (limit,))],
        )

    async def finish_action(self, action: Action) -> None:
        """Write outcome, detail and time of end of an action."""
        sql = "UPDATE action_log SET outcome = :outcome, finished_at = :finished_at, detail = :detail WHERE id = :id"

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute(sql, _record(action))

        await self._guarded(self._writer, work)

    async def claim_letters(self, choose: Choose, *, now: datetime) -> dict[str, Letter]:
        """Take notices for sending."""

        def work(connection: sqlite3.Connection) -> dict[str, Letter]:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                lost = _stored(now - history.UNSETTLED_AFTER)
                for sql in (
                    "UPDATE notice SET letter = NULL WHERE letter IN "
                    "(SELECT id FROM letter WHERE outcome IS NULL AND left_at < ?)",
                    "UPDATE letter SET outcome = 'unknown' WHERE outcome IS NULL AND left_at < ?",
                ):
                    connection.execute(sql, (lost,))
                columns = ", ".join(history.NOTICE_COLUMNS)
                waiting = connection.execute(
                    f"SELECT {columns} FROM notice WHERE letter IS NULL ORDER BY created_at, id"
                )
                left = connection.execute(
                    "SELECT left_at FROM letter WHERE left_at > ? AND outcome IS NOT 'failed'", (_stored(now - WINDOW),)
                )
                chosen = choose(
                    [Notice(**_loaded(row) | {"urgent": bool(row["urgent"])}) for row in waiting],
                    [_loaded(row)["left_at"] for row in left],
                    now,
                )
                claimed = {uuid4().hex: letter for letter in chosen}
                for name, letter in claimed.items():
                    connection.execute("INSERT INTO letter (id, left_at) VALUES (?, ?)", (name, _stored(now)))
                    connection.executemany(
                        "UPDATE notice SET letter = ? WHERE id = ?", ((name, notice.id) for notice in letter)
                    )
            return claimed

        return await self._guarded(self._writer, work)

    async def settle_letter(self, name: str, outcome: Literal["sent", "failed"]) -> None:
        """Write what became of a letter."""

        def work(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE letter SET outcome = ? WHERE id = ?", (outcome, name))
                if outcome == "failed":
                    connection.execute("UPDATE notice SET letter = NULL WHERE letter = ?", (name,))

        await self._guarded(self._writer, work)

    async def _guarded(self, lane: "_Lane", work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await lane.run(work)
        except sqlite3.Error as error:
            raise SourceError(
                f"the alert history {self._path} does not answer: {error}",
                hint="is the disk full, or does another program hold the file?",
            ) from error


class _Lane:
    """One thread with one connection, opened at first use."""

    def __init__(self, path: Path, name: str, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
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


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    # isolation_level None: we say BEGIN ourselves, so that a transaction locks before it reads
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        _use_wal(connection, patience=busy_timeout)
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, *, patience: float) -> None:
    """Switch to the write-ahead log. While another connection does the same SQLite refuses at once, without waiting."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection) -> None:
    steps = migrations("sqlite")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (applied,) = connection.execute("PRAGMA user_version").fetchone()
        refuse_newer(applied, len(steps))
        for step in steps[applied:]:
            for statement in _statements(step.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step.version}")


def _statements(script: str) -> list[str]:
    """The statements of a script: ``executescript`` would end our transaction."""
    found, part = [], ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found


def _known(connection: sqlite3.Connection, keys: Collection[Key], *, and_firing: bool) -> list[Episode]:
    found: dict[Key, Episode] = {}
    if and_firing:
        sql = "SELECT * FROM alert_history WHERE status = 'firing'"
        found |= {row.key: row for row in _episodes(connection.execute(sql))}
    for key in keys:
        sql = "SELECT * FROM alert_history WHERE fingerprint = ? AND starts_at = ?"
        found |= {row.key: row for row in _episodes(connection.execute(sql, (key[0], _stored(key[1]))))}
    for fingerprint in {key[0] for key in keys}:
        for sql in (
            "SELECT * FROM alert_history WHERE fingerprint = ? AND status = 'firing'",
            "SELECT * FROM alert_history WHERE fingerprint = ? ORDER BY starts_at DESC LIMIT 1",
        ):
            found |= {row.key: row for row in _episodes(connection.execute(sql, (fingerprint,)))}
    return list(found.values())


def _episodes(cursor: sqlite3.Cursor) -> list[Episode]:
    return [history.episode_from(_loaded(row)) for row in cursor]


def _record(row: Episode | Action | Notice) -> dict[str, Any]:
    return {name: _stored(getattr(row, name)) for name in row.__dataclass_fields__}


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    if isinstance(value, dict):
        return history.as_json(value)
    return value


def _loaded(row: sqlite3.Row) -> dict[str, Any]:
    values = dict(row)
    for name, value in values.items():
        if value is not None and name.endswith(("_at", "_seen")):
            values[name] = datetime.fromisoformat(value)
    for name in values.keys() & _JSON:
        values[name] = msgspec.json.decode(values[name])
    return values
