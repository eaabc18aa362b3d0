"""The alert history in PostgreSQL 15 or newer, plain or with TimescaleDB: schema ``jelmore``, shared with the store.

One connection writes and one reads, so that a long query never keeps a webhook waiting. A connection that broke is
replaced at the next call, and the call repeated once: writing the same alerts again changes nothing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from jelmon.errors import ConfigError, SourceError
from jelmon_responder.history import history
from jelmon_responder.history.episodes import Episode, Folded, Key
from jelmon_responder.history.history import Action, Choose, Fold, Query
from jelmon_responder.history.migrations import migrations, refuse_newer
from jelmon_responder.mail.budget import WINDOW, Letter, Notice

COMPONENT = "responder"
"""Our name in the table of applied migrations, which other services share."""
CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30
LOCK_TIMEOUT_SECONDS = 10
_SCHEMA_LOCK = 0x6A656C6D_6F726501
_WRITER_LOCK = 0x6A656C6D_6F726502

_UPSERT = history.upsert("jelmore.alert_history", "%({})s")
_INSERT_ACTION = history.insert_action("jelmore.action_log", "%({})s")
_INSERT_NOTICE = history.insert_notice("jelmore.notice", "%({})s")
_KNOWN = """
    WITH wanted (fingerprint, starts_at) AS (SELECT * FROM unnest(%(fingerprints)s::text[], %(starts)s::timestamptz[]))
    SELECT h.* FROM jelmore.alert_history h JOIN wanted USING (fingerprint, starts_at)
    UNION
    SELECT h.* FROM jelmore.alert_history h
    WHERE h.status = 'firing' AND (%(and_firing)s OR h.fingerprint = ANY(%(fingerprints)s))
    UNION
    SELECT newest.* FROM (SELECT DISTINCT fingerprint FROM wanted) AS w
    CROSS JOIN LATERAL (
        SELECT * FROM jelmore.alert_history h WHERE h.fingerprint = w.fingerprint ORDER BY h.starts_at DESC LIMIT 1
    ) AS newest
"""

_RELEASE = """
    WITH lost AS (
        UPDATE jelmore.letter SET outcome = 'unknown' WHERE outcome IS NULL AND left_at < %(lost)s RETURNING id
    )
    UPDATE jelmore.notice SET letter = NULL WHERE letter IN (SELECT id FROM lost)
"""

Connection = psycopg.AsyncConnection[dict[str, Any]]
T = TypeVar("T")


class PostgresHistory:
    """An `AlertHistory` in a PostgreSQL database."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise ConfigError(
                f"--history.url: not a PostgreSQL URL: {error}", hint="write postgresql://user@host:5432/database"
            ) from error
        self._writer = _Lane(url)
        self._reader = _Lane(url)

    async def start(self) -> None:
        """Connect and bring the tables up to date."""
        await self._writer.run(_nothing)

    async def stop(self) -> None:
        """Close both connections."""
        await self._writer.close()
        await self._reader.close()

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction."""

        async def work(connection: Connection) -> Folded:
            async with connection.transaction(), connection.cursor() as cursor:
                # of several responders on one database one writes at a time; readers do not wait
                await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITER_LOCK,))
                entry = fold(await _known(cursor, keys, and_firing=and_firing))
                await cursor.executemany(_UPSERT, map(_record, entry.folded.episodes.values()))
                await cursor.executemany(_INSERT_ACTION, map(_record, entry.actions))
                await cursor.executemany(_INSERT_NOTICE, map(_record, entry.notices))
            return entry.folded

        return await self._writer.run(work)

    async def read(self, query: Query) -> list[Episode]:
        """Rows, newest start first."""
        conditions = query.conditions()
        where = " AND ".join(sql.format(f"%({name})s") for sql, name, _ in conditions) or "true"
        sql = f"SELECT * FROM jelmore.alert_history WHERE {where} ORDER BY starts_at DESC, fingerprint LIMIT %(limit)s"
        parameters = {name: value for _, name, value in conditions} | {"limit": query.limit}
        return [history.episode_from(row) for row in await self._rows(sql, parameters)]

    async def firing(self) -> dict[str, int]:
        """How many alerts fire, by severity."""
        sql = "SELECT severity, count(*) AS number FROM jelmore.alert_history WHERE status = 'firing' GROUP BY severity"
        return {row["severity"]: row["number"] for row in await self._rows(sql, {})}

    async def actions(self, *, pending: bool, limit: int = history.DEFAULT_LIMIT) -> list[Action]:
        """Actions, newest first."""
        where = "outcome IS NULL" if pending else "true"
        sql = f"SELECT * FROM jelmore.action_log WHERE {where} ORDER BY requested_at DESC, id LIMIT %(limit)s"
        return [history.action_from(row) for row in await self._rows(sql, {"limit": limit})]

    async def finish_action(self, action: Action) -> None:
        """Write outcome, detail and time of end of an action."""
        sql = (
            "UPDATE jelmore.action_log SET outcome = %(outcome)s, finished_at = %(finished_at)s, detail = %(detail)s "
            "WHERE id = %(id)s"
        )

        async def work(connection: Connection) -> None:
            await connection.execute(sql, _record(action))

        await self._writer.run(work)

    async def claim_letters(self, choose: Choose, *, now: datetime) -> dict[str, Letter]:
        """Take notices for sending."""

        async def work(connection: Connection) -> dict[str, Letter]:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITER_LOCK,))
                await cursor.execute(_RELEASE, {"lost": now - history.UNSETTLED_AFTER})
                columns = ", ".join(history.NOTICE_COLUMNS)
                await cursor.execute(
                    f"SELECT {columns} FROM jelmore.notice WHERE letter IS NULL ORDER BY created_at, id"
                )
                waiting = [Notice(**row) for row in await cursor.fetchall()]
                await cursor.execute(
                    "SELECT left_at FROM jelmore.letter WHERE left_at > %s AND outcome IS DISTINCT FROM 'failed'",
                    (now - WINDOW,),
                )
                left = [row["left_at"] for row in await cursor.fetchall()]
                claimed = {uuid4().hex: letter for letter in choose(waiting, left, now)}
                for name, letter in claimed.items():
                    await cursor.execute("INSERT INTO jelmore.letter (id, left_at) VALUES (%s, %s)", (name, now))
                    await cursor.execute(
                        "UPDATE jelmore.notice SET letter = %s WHERE id = ANY(%s)",
                        (name, [notice.id for notice in letter]),
                    )
            return claimed

        return await self._writer.run(work)

    async def settle_letter(self, name: str, outcome: Literal["sent", "failed"]) -> None:
        """Write what became of a letter."""

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("UPDATE jelmore.letter SET outcome = %s WHERE id = %s", (outcome, name))
                if outcome == "failed":
                    await connection.execute("UPDATE jelmore.notice SET letter = NULL WHERE letter = %s", (name,))

        await self._writer.run(work)

    async def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async def work(connection: Connection) -> list[dict[str, Any]]:
            return await (await connection.execute(sql, parameters)).fetchall()

        return await self._reader.run(work)


class _Lane:
    """One connection, used by one task at a time, replaced when it breaks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._lock:
            try:
                return await self._attempt(work)
            except psycopg.Error as error:
                raise SourceError(
                    f"the alert history does not answer: {_first_line(error)}",
                    hint="is PostgreSQL up, and may this user use the schema jelmore?",
                ) from error

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        if self._connection is not None:
            try:
                return await work(self._connection)
            except psycopg.OperationalError:
                if not self._connection.broken:
                    raise
                await self._drop()
        self._connection = await _connect(self._url)
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


async def _connect(url: str) -> Connection:
    """A connection to a database whose tables are up to date."""
    connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name="jelmon-responder",
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=15_000,
        # UTC: years near 1 and 9999 do not survive a shift of zone
        options=f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s "
        f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s -c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_SECONDS}s",
    )
    try:
        await _migrate(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _migrate(connection: Connection) -> None:
    """Apply what is missing, alone among all responders. Without anything missing it needs no rights but to read."""
    steps = migrations("postgresql")
    applied = await _applied(connection)
    refuse_newer(applied, len(steps))
    if applied == len(steps):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        # CREATE SCHEMA IF NOT EXISTS asks for the right to create even when there is nothing to do
        schema = await (await connection.execute("SELECT to_regnamespace('jelmore') AS name")).fetchone()
        if schema is None or schema["name"] is None:
            await connection.execute("CREATE SCHEMA jelmore")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS jelmore.schema_migrations (component text, version integer, "
            "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))"
        )
        for step in steps[await _applied(connection) :]:
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO jelmore.schema_migrations (component, version, name) VALUES (%s, %s, %s)",
                (COMPONENT, step.version, step.name),
            )


async def _applied(connection: Connection) -> int:
    table = await (await connection.execute("SELECT to_regclass('jelmore.schema_migrations') AS name")).fetchone()
    if table is None or table["name"] is None:
        return 0
    cursor = await connection.execute(
        "SELECT coalesce(max(version), 0) AS version FROM jelmore.schema_migrations WHERE component = %s", (COMPONENT,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["version"])


async def _known(
    cursor: psycopg.AsyncCursor[dict[str, Any]], keys: Collection[Key], *, and_firing: bool
) -> list[Episode]:
    fingerprints, starts = [key[0] for key in keys], [key[1] for key in keys]
    await cursor.execute(_KNOWN, {"fingerprints": fingerprints, "starts": starts, "and_firing": and_firing})
    return [history.episode_from(row) for row in await cursor.fetchall()]


def _record(row: Episode | Action | Notice) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


async def _nothing(_: Connection) -> None:
    pass
