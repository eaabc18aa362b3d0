"""State on local disk, without Redis: a SQLite file, one transaction per batch.

The write-ahead log is not flushed to disk at each commit. Losing the last commits in a power failure does no harm:
values and position fall back together, and the stream is counted again from there. Without a stream, it is flushed
(``sole``).
"""

import asyncio
import os
import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jelmon.errors import ConfigError
from jelmon_exporter.state.encoding import (
    encode,
    encode_key,
    read_declared,
    read_entries,
    read_ids,
    read_series,
)
from jelmon_exporter.state.model import Changes, Position, Snapshot, Unreadable
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, Seen, StoreUnavailableError

R = TypeVar("R")

_HINTS = {
    sqlite3.SQLITE_BUSY: "another exporter has it open: give each its own file, or use --redis.url",
    sqlite3.SQLITE_CANTOPEN: "it must be a file in a directory that the exporter can write",
    sqlite3.SQLITE_READONLY: "the exporter needs permission to write the file and its directory",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_NOTADB: "the file belongs to another program: name a different one",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: move it away, and the exporter counts the stream again",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check the system log",
}
"""Hints by SQLite's primary result code."""

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1785486702;
CREATE TABLE IF NOT EXISTS partitions (
    partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, token TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0, stream TEXT NOT NULL DEFAULT '', time REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS kept (
    partition INTEGER, kind TEXT, name BLOB, value BLOB NOT NULL, PRIMARY KEY (partition, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unreadable (
    partition INTEGER, kind TEXT, name BLOB, value BLOB NOT NULL, PRIMARY KEY (partition, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ids (number INTEGER PRIMARY KEY, partition INTEGER NOT NULL, batch BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ids_by_partition ON ids (partition, number);
"""


APPLICATION_ID = 1785486702
"""Marks a state file as ours: the bytes "jlmn"."""
_TABLES = {"partitions", "kept", "ids", "ids_by_partition", "unreadable"}


def _hint(error: OSError | sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CANTOPEN)  # an OSError comes from its folder
    return _HINTS.get(code & 0xFF, "")


def check_path(path: Path) -> None:
    """Check that a state file can be created there, without creating anything.

    Raises:
        ConfigError: it cannot be.
    """
    if path.is_dir():
        raise ConfigError(f"--state.path: {path} is a directory", hint=f"name a file in it: {path / 'state.db'}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ConfigError(f"--state.path: {folder} is not a directory", hint="name another file")
    for existing in (path, folder):
        if existing.exists() and not os.access(existing, os.W_OK):
            raise ConfigError(f"--state.path: no permission to write {existing}", hint=_HINTS[sqlite3.SQLITE_READONLY])


def _refuse_foreign(database: sqlite3.Connection, path: Path) -> None:
    """Refuse the database of another program, before anything is written to it.

    Raises:
        ConfigError: it has tables that are not ours.
        sqlite3.Error: it cannot be read.
    """
    rows = database.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    foreign = sorted({str(name) for (name,) in rows} - _TABLES)
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if foreign or application not in (0, APPLICATION_ID):
        holds = f" (it holds {', '.join(foreign[:3])})" if foreign else ""
        raise ConfigError(
            f"--state.path: {path} is a database of another program{holds}", hint="name a file of the exporter's own"
        )


class DiskStore:
    """A `StateStore` in one file."""

    name = "disk"
    shared = False
    renew_seconds = 2.0

    def __init__(self, path: Path, *, sole: bool = False) -> None:
        """Open or create the file. ``sole``: there is no stream to count again from, so commits wait for the disk.

        Raises:
            ConfigError: it cannot be opened, or another exporter uses it.
        """
        # one thread, so that transactions never mix; SQLite waits for the disk, which the event loop must not
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        try:
            check_path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            if path.stat().st_mode & 0o077 and path.is_file():  # of an earlier version; SQLite's other files follow it
                path.chmod(0o600)
            self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            _refuse_foreign(self._database, path)
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA synchronous = {'FULL' if sole else 'NORMAL'}")
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("COMMIT")
        except ConfigError:
            self._thread.shutdown()
            raise
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"--state.path: cannot use {path}: {reason}", hint=_hint(error)) from error

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        return [] if leaving else [replica]

    async def acquire(self, partition: int) -> Claim | None:
        token = str(uuid.uuid4())

        def write() -> int:
            self._database.execute(
                "INSERT INTO partitions (partition, epoch, token) VALUES (?, 1, ?) "
                "ON CONFLICT (partition) DO UPDATE SET epoch = epoch + 1, token = excluded.token",
                (partition, token),
            )
            row = self._database.execute("SELECT epoch FROM partitions WHERE partition = ?", (partition,)).fetchone()
            return int(row[0])

        return Claim(await self._transaction(write), token)

    async def renew(self, partition: int, claim: Claim) -> bool:
        return await self._transaction(lambda: self._claim(partition)[0]) == claim

    async def release(self, partition: int, claim: Claim) -> None:
        pass

    async def load(self, partition: int) -> Snapshot:
        return await self._transaction(lambda: self._load(partition))

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        def read() -> tuple[Seen, Snapshot, bool] | None:
            claim, version = self._claim(partition)
            now = Seen(claim.epoch, version)
            return None if now == seen else (now, self._load(partition), True)

        return await self._transaction(read)

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        await self._transaction(lambda: self._commit(partition, claim, position, changes, whole=whole))

    def _claim(self, partition: int) -> tuple[Claim, int]:
        row = self._database.execute(
            "SELECT epoch, token, version FROM partitions WHERE partition = ?", (partition,)
        ).fetchone()
        return (Claim(row[0], row[1]), int(row[2])) if row else (Claim(0, ""), 0)

    def _load(self, partition: int) -> Snapshot:
        row = self._database.execute(
            "SELECT version, sequence, stream, time FROM partitions WHERE partition = ?", (partition,)
        ).fetchone()

        def kept(kind: str) -> list[tuple[bytes, bytes]]:
            return self._database.execute(
                "SELECT name, value FROM kept WHERE partition = ? AND kind = ?", (partition, kind)
            ).fetchall()

        ids = self._database.execute("SELECT batch FROM ids WHERE partition = ? ORDER BY number", (partition,))
        faults: list[Unreadable] = []
        return Snapshot(
            position=Position(*row) if row else Position(),
            series=read_series(kept("series"), faults),
            entries=read_entries(kept("entry"), faults),
            declared=read_declared(kept("declared"), faults),
            ids=read_ids((batch for (batch,) in ids), faults),
            unreadable=faults,
        )

    def place(self, partition: int, part: str) -> str:
        return f"state file, partition {partition}, {part}"

    async def set_aside(self, partition: int, faults: list[Unreadable]) -> None:
        rows = [(partition, fault.part, fault.field, fault.value) for fault in faults]
        await self._transaction(
            lambda: self._database.executemany("INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?, ?)", rows)
        )

    def _commit(self, partition: int, claim: Claim, position: Position, changes: Changes, *, whole: bool) -> None:
        owner, version = self._claim(partition)
        if owner != claim:
            raise FencedError(f"partition {partition} has a newer owner")
        if version == position.version:
            return
        if not whole and version != position.version - 1:
            raise FellBackError(f"partition {partition} is at version {version}")
        database = self._database
        if whole:
            database.execute("DELETE FROM kept WHERE partition = ?", (partition,))
            database.execute("DELETE FROM ids WHERE partition = ?", (partition,))
        written: list[tuple[int, str, bytes, bytes | None]] = []
        for key, value in changes.series.items():
            written.append((partition, "series", encode_key(key), None if value is None else encode(value)))
        for name, entry in changes.entries.items():
            written.append((partition, "entry", name.encode(), entry))
        for pipeline, declaration in changes.declared.items():
            written.append((partition, "declared", pipeline.encode(), encode(declaration)))
        database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", [row for row in written if row[3]])
        database.executemany(
            "DELETE FROM kept WHERE partition = ? AND kind = ? AND name = ?", [row[:3] for row in written if not row[3]]
        )
        if changes.ids:
            batch = encode((position.time, changes.ids))
            database.execute("INSERT INTO ids (partition, batch) VALUES (?, ?)", (partition, batch))
        if changes.expired_batches:
            database.execute(
                "DELETE FROM ids WHERE number IN (SELECT number FROM ids WHERE partition = ? ORDER BY number LIMIT ?)",
                (partition, changes.expired_batches),
            )
        database.execute(
            "UPDATE partitions SET version = ?, sequence = ?, stream = ?, time = ? WHERE partition = ?",
            (position.version, position.sequence, position.stream, position.time, partition),
        )

    async def _transaction(self, work: Callable[[], R]) -> R:
        def run() -> R:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    result = work()
                except BaseException:
                    if self._database.in_transaction:  # a full disk ends it
                        self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreUnavailableError(f"the state file cannot be written: {error}", hint=_hint(error)) from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
        self._thread.shutdown()
