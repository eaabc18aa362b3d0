"""SQL statements and row conversions that both databases share."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import msgspec

from jelmon.events import Outcome
from jelmon_responder.alerts import Status
from jelmon_responder.history.episode import ClosedBy, Episode
from jelmon_responder.history.protocol import Action, Notification, RefusedEmail

Row = Mapping[str, Any]

EPISODE_COLUMNS = tuple(Episode.__dataclass_fields__)
ACTION_COLUMNS = tuple(Action.__dataclass_fields__)
NOTIFICATION_COLUMNS = tuple(Notification.__dataclass_fields__)
_KEY_COLUMNS = ("fingerprint", "starts_at")


def episode_from(row: Row) -> Episode:
    """Return the episode of a database row (times as datetime, labels as mappings)."""
    closed_by = row["closed_by"]
    return Episode(
        **{**row, "status": Status(row["status"]), "closed_by": ClosedBy(closed_by) if closed_by is not None else None}
    )


def action_from(row: Row) -> Action:
    """Return the action of a row of the action log."""
    outcome = row["outcome"]
    return Action(**{**row, "outcome": Outcome(outcome) if outcome is not None else None})


def select_refused(letter: str, notice: str, placeholder: str) -> str:
    """Return SQL that selects the notifications of e-mails that were set aside, newest e-mail first."""
    columns = ", ".join(f"notice.{column}" for column in NOTIFICATION_COLUMNS)
    return (
        f"SELECT letter.id AS letter, letter.left_at, letter.reason, {columns} FROM (SELECT * FROM {letter} "
        f"WHERE outcome = 'refused' ORDER BY left_at DESC, id LIMIT {placeholder}) AS letter "
        f"JOIN {notice} AS notice ON notice.letter = letter.id ORDER BY letter.left_at DESC, letter.id, "
        "notice.created_at, notice.id"
    )


def refused_emails(found: Iterable[Row]) -> list[RefusedEmail]:
    """Return the e-mails of `select_refused`."""
    return [
        RefusedEmail(
            id=key[0],
            refused_at=key[1],
            reason=key[2],
            notifications=tuple(notification_from({name: row[name] for name in NOTIFICATION_COLUMNS}) for row in group),
        )
        for key, group in groupby(found, key=lambda row: (row["letter"], row["left_at"], row["reason"]))
    ]


def notification_from(row: Row) -> Notification:
    """Return the notification of a row of the table ``notice``."""
    return Notification(**{**row, "urgent": bool(row["urgent"])})


def upsert_episode(table: str, placeholder: str) -> str:
    """Return SQL that inserts or replaces an episode. ``placeholder`` has ``{}`` for the name of a column."""
    updates = ", ".join(f"{column} = excluded.{column}" for column in EPISODE_COLUMNS if column not in _KEY_COLUMNS)
    insert = _insert(table, EPISODE_COLUMNS, placeholder)
    return f"{insert} ON CONFLICT ({', '.join(_KEY_COLUMNS)}) DO UPDATE SET {updates}"


def insert_action(table: str, placeholder: str) -> str:
    """Return SQL that inserts an action unless it exists: an action is requested once."""
    return f"{_insert(table, ACTION_COLUMNS, placeholder)} ON CONFLICT (id) DO NOTHING"


def insert_notification(table: str, placeholder: str) -> str:
    """Return SQL that inserts a notification."""
    return _insert(table, NOTIFICATION_COLUMNS, placeholder)


def as_json(value: Mapping[str, str]) -> str:
    """Return labels as JSON text."""
    return msgspec.json.encode(value).decode()


def _insert(table: str, columns: tuple[str, ...], placeholder: str) -> str:
    values = ", ".join(placeholder.format(column) for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"
