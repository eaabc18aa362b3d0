"""The alert history in a SQLite file: for a single responder, without a database server."""

import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from jelmon.database.sqlite import BUSY_TIMEOUT_SECONDS, SqliteDatabase
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

_UPSERT = rows.upsert_episode("alert_history", ":{}")
_INSERT_ACTION = rows.insert_action("action_log", ":{}")
_INSERT_NOTIFICATION = rows.insert_notification("notice", ":{}")
_REFUSED = rows.select_refused("letter", "notice", "?")
_JSON = frozenset({"labels", "annotations"})


class SqliteHistory:
    """An `AlertHistory` in a file."""

    kind = "sqlite"

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._database = SqliteDatabase(path, SCHEMA, busy_timeout=busy_timeout)

    async def start(self) -> None:
        """Open the file, create it if it is missing, and migrate its tables."""
        await self._database.start()

    async def stop(self) -> None:
        """Close the file and end its threads."""
        await self._database.stop()

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction."""

        def work(connection: sqlite3.Connection) -> Folded:
            entry = fold(_known(connection, keys, and_firing=and_firing))
            connection.executemany(_UPSERT, map(_record, entry.folded.episodes.values()))
            connection.executemany(_INSERT_ACTION, map(_record, entry.actions))
            connection.executemany(_INSERT_NOTIFICATION, map(_record, entry.notifications))
            return entry.folded

        return await self._database.write(work)

    async def read(self, query: Query) -> list[Episode]:
        """Return rows, newest start first."""
        conditions = query.conditions()
        where = " AND ".join(sql.format(f":{name}") for sql, name, _ in conditions) or "true"
        sql = f"SELECT * FROM alert_history WHERE {where} ORDER BY starts_at DESC, fingerprint LIMIT :limit"
        parameters = {name: _encoded(value) for _, name, value in conditions} | {"limit": query.limit}
        return await self._database.read(lambda connection: _episodes(connection.execute(sql, parameters)))

    async def firing(self) -> dict[str, int]:
        """Return the number of firing alerts by severity."""
        sql = "SELECT severity, count(*) AS number FROM alert_history WHERE status = 'firing' GROUP BY severity"
        return await self._database.read(
            lambda connection: {row["severity"]: row["number"] for row in connection.execute(sql)}
        )

    async def actions(self, *, pending: bool, limit: int = DEFAULT_LIMIT) -> list[Action]:
        """Return actions, newest first; pending ones oldest first."""
        where, order = ("outcome IS NULL", "ASC") if pending else ("true", "DESC")
        sql = f"SELECT * FROM action_log WHERE {where} ORDER BY requested_at {order}, id LIMIT ?"
        return await self._database.read(
            lambda connection: [rows.action_from(_decoded(row)) for row in connection.execute(sql, (limit,))]
        )

    async def attempt_action(self, action_id: str, *, now: datetime) -> bool:
        """Store that the action is about to be published, unless it has been before."""
        sql = "UPDATE action_log SET attempted_at = ? WHERE id = ? AND attempted_at IS NULL AND outcome IS NULL"
        return await self._database.write(
            lambda connection: connection.execute(sql, (_encoded(now), action_id)).rowcount == 1
        )

    async def finish_action(self, action: Action) -> None:
        """Store the outcome, detail and finish time of an action."""
        sql = "UPDATE action_log SET outcome = :outcome, finished_at = :finished_at, detail = :detail WHERE id = :id"

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(sql, _record(action))

        await self._database.write(work)

    async def claim_emails(self, select: Select, *, now: datetime) -> dict[str, Email]:
        """Claim waiting notifications for sending."""

        def work(connection: sqlite3.Connection) -> dict[str, Email]:
            unfinished = _encoded(now - UNFINISHED_AFTER)
            for sql in (
                "UPDATE notice SET letter = NULL WHERE letter IN "
                "(SELECT id FROM letter WHERE outcome IS NULL AND left_at < ?)",
                "UPDATE letter SET outcome = 'unknown' WHERE outcome IS NULL AND left_at < ?",
            ):
                connection.execute(sql, (unfinished,))
            columns = ", ".join(rows.NOTIFICATION_COLUMNS)
            waiting = connection.execute(f"SELECT {columns} FROM notice WHERE letter IS NULL ORDER BY created_at, id")
            sent = connection.execute(
                "SELECT left_at FROM letter WHERE left_at > ? AND (outcome IS NULL OR outcome IN ('sent', 'unknown'))",
                (_encoded(now - EMAIL_WINDOW),),
            )
            selected = select(
                [rows.notification_from(_decoded(row)) for row in waiting],
                [_decoded(row)["left_at"] for row in sent],
                now,
            )
            claimed = {uuid4().hex: email for email in selected}
            for email_id, email in claimed.items():
                connection.execute("INSERT INTO letter (id, left_at) VALUES (?, ?)", (email_id, _encoded(now)))
                connection.executemany(
                    "UPDATE notice SET letter = ? WHERE id = ?",
                    ((email_id, notification.id) for notification in email),
                )
            return claimed

        return await self._database.write(work)

    async def finish_email(self, email_id: str, outcome: EmailOutcome, *, reason: str = "") -> None:
        """Store the outcome of an e-mail."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE letter SET outcome = ?, reason = ? WHERE id = ?", (outcome, reason, email_id))
            if outcome == "failed":
                connection.execute("UPDATE notice SET letter = NULL WHERE letter = ?", (email_id,))

        await self._database.write(work)

    async def refused_emails(self, *, limit: int = DEFAULT_LIMIT) -> list[RefusedEmail]:
        """Return the e-mails that were set aside, newest first."""

        def work(connection: sqlite3.Connection) -> list[RefusedEmail]:
            return rows.refused_emails(_decoded(row) for row in connection.execute(_REFUSED, (limit,)))

        return await self._database.read(work)

    async def retry_refused_emails(self) -> int:
        """Let the notifications of all e-mails that were set aside wait again."""

        def work(connection: sqlite3.Connection) -> int:
            refused = "SELECT id FROM letter WHERE outcome = 'refused'"
            connection.execute(f"UPDATE notice SET letter = NULL WHERE letter IN ({refused})")
            return connection.execute("UPDATE letter SET outcome = 'failed' WHERE outcome = 'refused'").rowcount

        return await self._database.write(work)


def _known(connection: sqlite3.Connection, keys: Collection[Key], *, and_firing: bool) -> list[Episode]:
    known: dict[Key, Episode] = {}
    if and_firing:
        sql = "SELECT * FROM alert_history WHERE status = 'firing'"
        known |= {row.key: row for row in _episodes(connection.execute(sql))}
    for key in keys:
        sql = "SELECT * FROM alert_history WHERE fingerprint = ? AND starts_at = ?"
        known |= {row.key: row for row in _episodes(connection.execute(sql, (key[0], _encoded(key[1]))))}
    for fingerprint in {key[0] for key in keys}:
        for sql in (
            "SELECT * FROM alert_history WHERE fingerprint = ? AND status = 'firing'",
            "SELECT * FROM alert_history WHERE fingerprint = ? ORDER BY starts_at DESC LIMIT 1",
        ):
            known |= {row.key: row for row in _episodes(connection.execute(sql, (fingerprint,)))}
    return list(known.values())


def _episodes(cursor: sqlite3.Cursor) -> list[Episode]:
    return [rows.episode_from(_decoded(row)) for row in cursor]


def _record(row: Episode | Action | Notification) -> dict[str, Any]:
    return {name: _encoded(getattr(row, name)) for name in row.__dataclass_fields__}


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    if isinstance(value, dict):
        return rows.as_json(value)
    return value


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    values = dict(row)
    for name, value in values.items():
        if value is not None and name.endswith(("_at", "_seen")):
            values[name] = datetime.fromisoformat(value)
    for name in values.keys() & _JSON:
        values[name] = msgspec.json.decode(values[name])
    return values
