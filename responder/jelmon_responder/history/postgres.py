"""The alert history in PostgreSQL, in the schema ``jelmore``."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg.types.json import Jsonb

from jelmon.database.postgres import Connection, PostgresDatabase
from jelmon_responder.history import rows
from jelmon_responder.history.episode import Episode, Key
from jelmon_responder.history.fold import Folded
from jelmon_responder.history.migrations import SCHEMA
from jelmon_responder.history.protocol import (
    DEFAULT_LIMIT,
    EMAIL_WINDOW,
    UNFINISHED_AFTER,
    Action,
    Email,
    EmailOutcome,
    Fold,
    Notification,
    Query,
    RefusedEmail,
    Select,
)

_WRITER_LOCK = 0x6A656C6D_6F726502
"""Advisory lock of a transaction that reads, decides and writes: one responder at a time; readers do not wait."""

_UPSERT = rows.upsert_episode("jelmore.alert_history", "%({})s")
_INSERT_ACTION = rows.insert_action("jelmore.action_log", "%({})s")
_INSERT_NOTIFICATION = rows.insert_notification("jelmore.notice", "%({})s")
_REFUSED = rows.select_refused("jelmore.letter", "jelmore.notice", "%s")
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
_RELEASE_UNFINISHED = """
    WITH unfinished AS (
        UPDATE jelmore.letter SET outcome = 'unknown' WHERE outcome IS NULL AND left_at < %s RETURNING id
    )
    UPDATE jelmore.notice SET letter = NULL WHERE letter IN (SELECT id FROM unfinished)
"""


class PostgresHistory:
    """An `AlertHistory` in a PostgreSQL database."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._database = PostgresDatabase(url, SCHEMA)

    async def start(self) -> None:
        """Connect and migrate the schema."""
        await self._database.start()

    async def stop(self) -> None:
        """Close both connections."""
        await self._database.stop()

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction."""
        parameters = {
            "fingerprints": [key[0] for key in keys],
            "starts": [key[1] for key in keys],
            "and_firing": and_firing,
        }

        async def work(connection: Connection) -> Folded:
            await _lock(connection)
            async with connection.cursor() as cursor:
                await cursor.execute(_KNOWN, parameters)
                entry = fold([rows.episode_from(row) for row in await cursor.fetchall()])
                await cursor.executemany(_UPSERT, map(_record, entry.folded.episodes.values()))
                await cursor.executemany(_INSERT_ACTION, map(_record, entry.actions))
                await cursor.executemany(_INSERT_NOTIFICATION, map(_record, entry.notifications))
            return entry.folded

        return await self._database.write(work)

    async def read(self, query: Query) -> list[Episode]:
        """Return rows, newest start first."""
        conditions = query.conditions()
        where = " AND ".join(sql.format(f"%({name})s") for sql, name, _ in conditions) or "true"
        sql = f"SELECT * FROM jelmore.alert_history WHERE {where} ORDER BY starts_at DESC, fingerprint LIMIT %(limit)s"
        parameters = {name: value for _, name, value in conditions} | {"limit": query.limit}
        return [rows.episode_from(row) for row in await self._select(sql, parameters)]

    async def firing(self) -> dict[str, int]:
        """Return the number of firing alerts by severity."""
        sql = "SELECT severity, count(*) AS number FROM jelmore.alert_history WHERE status = 'firing' GROUP BY severity"
        return {row["severity"]: row["number"] for row in await self._select(sql, {})}

    async def actions(self, *, pending: bool, limit: int = DEFAULT_LIMIT) -> list[Action]:
        """Return actions, newest first; pending ones oldest first."""
        where, order = ("outcome IS NULL", "ASC") if pending else ("true", "DESC")
        sql = f"SELECT * FROM jelmore.action_log WHERE {where} ORDER BY requested_at {order}, id LIMIT %(limit)s"
        return [rows.action_from(row) for row in await self._select(sql, {"limit": limit})]

    async def attempt_action(self, action_id: str, *, now: datetime) -> bool:
        """Store that the action is about to be published, unless it has been before."""
        sql = (
            "UPDATE jelmore.action_log SET attempted_at = %s WHERE id = %s AND attempted_at IS NULL AND outcome IS NULL"
        )

        async def work(connection: Connection) -> bool:
            return (await connection.execute(sql, (now, action_id))).rowcount == 1

        return await self._database.write(work)

    async def finish_action(self, action: Action) -> None:
        """Store the outcome, detail and finish time of an action."""
        sql = (
            "UPDATE jelmore.action_log SET outcome = %(outcome)s, finished_at = %(finished_at)s, detail = %(detail)s "
            "WHERE id = %(id)s"
        )

        async def work(connection: Connection) -> None:
            await connection.execute(sql, _record(action))

        await self._database.write(work)

    async def claim_emails(self, select: Select, *, now: datetime) -> dict[str, Email]:
        """Claim waiting notifications for sending."""

        async def work(connection: Connection) -> dict[str, Email]:
            await _lock(connection)
            await connection.execute(_RELEASE_UNFINISHED, (now - UNFINISHED_AFTER,))
            columns = ", ".join(rows.NOTIFICATION_COLUMNS)
            waiting = await connection.execute(
                f"SELECT {columns} FROM jelmore.notice WHERE letter IS NULL ORDER BY created_at, id"
            )
            sent = await connection.execute(
                "SELECT left_at FROM jelmore.letter "
                "WHERE left_at > %s AND (outcome IS NULL OR outcome IN ('sent', 'unknown'))",
                (now - EMAIL_WINDOW,),
            )
            selected = select(
                [Notification(**row) for row in await waiting.fetchall()],
                [row["left_at"] for row in await sent.fetchall()],
                now,
            )
            claimed = {uuid4().hex: email for email in selected}
            for email_id, email in claimed.items():
                await connection.execute("INSERT INTO jelmore.letter (id, left_at) VALUES (%s, %s)", (email_id, now))
                await connection.execute(
                    "UPDATE jelmore.notice SET letter = %s WHERE id = ANY(%s)",
                    (email_id, [notification.id for notification in email]),
                )
            return claimed

        return await self._database.write(work)

    async def finish_email(self, email_id: str, outcome: EmailOutcome, *, reason: str = "") -> None:
        """Store the outcome of an e-mail."""

        async def work(connection: Connection) -> None:
            sql = "UPDATE jelmore.letter SET outcome = %s, reason = %s WHERE id = %s"
            await connection.execute(sql, (outcome, reason, email_id))
            if outcome == "failed":
                await connection.execute("UPDATE jelmore.notice SET letter = NULL WHERE letter = %s", (email_id,))

        await self._database.write(work)

    async def refused_emails(self, *, limit: int = DEFAULT_LIMIT) -> list[RefusedEmail]:
        """Return the e-mails that were set aside, newest first."""
        return rows.refused_emails(await self._select(_REFUSED, (limit,)))

    async def retry_refused_emails(self) -> int:
        """Let the notifications of all e-mails that were set aside wait again."""

        async def work(connection: Connection) -> int:
            refused = "SELECT id FROM jelmore.letter WHERE outcome = 'refused'"
            await connection.execute(f"UPDATE jelmore.notice SET letter = NULL WHERE letter IN ({refused})")
            sql = "UPDATE jelmore.letter SET outcome = 'failed' WHERE outcome = 'refused'"
            return (await connection.execute(sql)).rowcount

        return await self._database.write(work)

    async def _select(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any]) -> list[dict[str, Any]]:
        async def work(connection: Connection) -> list[dict[str, Any]]:
            return await (await connection.execute(sql, parameters)).fetchall()

        return await self._database.read(work)


async def _lock(connection: Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITER_LOCK,))


def _record(row: Episode | Action | Notification) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
