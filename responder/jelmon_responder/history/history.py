"""The alert history as the rest of the responder sees it: one seam, two databases behind it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from jelmon.errors import ConfigError
from jelmon.events import Outcome
from jelmon_responder.history.episodes import ClosedBy, Episode, Folded, Key
from jelmon_responder.http.webhook import Status
from jelmon_responder.mail.budget import Letter, Notice

Row = Mapping[str, Any]

EPISODE_COLUMNS = tuple(Episode.__dataclass_fields__)
KEY_COLUMNS = ("fingerprint", "starts_at")
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows to read. ``since``: alerts that fired at that time or later, also those that began before it."""

    alertname: str | None = None
    pipeline: str | None = None
    status: Status | None = None
    since: datetime | None = None
    limit: int = DEFAULT_LIMIT

    def conditions(self) -> list[tuple[str, str, Any]]:
        """SQL conditions with ``{}`` for the placeholder, the name of their parameter, and its value."""
        every = [
            ("alertname = {}", "alertname", self.alertname),
            ("pipeline = {}", "pipeline", self.pipeline),
            ("status = {}", "status", self.status),
            ("(ends_at IS NULL OR ends_at >= {})", "since", self.since),
        ]
        return [condition for condition in every if condition[2] is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the action log. ``outcome`` is None until it was published, refused or given up."""

    id: str
    action: str
    requested_by: str
    fingerprint: str
    starts_at: datetime
    pipeline: str
    stage: str
    requested_at: datetime
    outcome: Outcome | None = None
    finished_at: datetime | None = None
    detail: str = ""


ACTION_COLUMNS = tuple(Action.__dataclass_fields__)

NOTICE_COLUMNS = tuple(Notice.__dataclass_fields__)
UNSETTLED_AFTER = timedelta(minutes=10)
"""A letter without outcome for so long was on its way when its responder stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one call writes, all of it or nothing."""

    folded: Folded
    actions: Collection[Action] = ()
    notices: Collection[Notice] = ()


Fold = Callable[[list[Episode]], Entry]
"""Given the rows as they are: what to write."""
Choose = Callable[[list[Notice], list[datetime], datetime], list[Letter]]
"""Given the notices that wait, when the letters of the last hour left, and the time: what goes out now."""


class AlertHistory(Protocol):
    """Where alerts are kept.

    Every method raises `SourceError` while the database does not answer; the next call tries anew.
    """

    kind: str
    """``sqlite`` or ``postgresql``."""

    async def start(self) -> None:
        """Connect and bring the tables up to date. `ConfigError` if that can never work."""

    async def stop(self) -> None:
        """Close every connection and thread."""

    async def amend(self, keys: Collection[Key], fold: Fold, *, and_firing: bool = False) -> Folded:
        """Read, fold and write in one transaction, alone among writers; when it returns, the rows are on disk.

        The rows read are those with the keys and, of their fingerprints, those that fire and the newest;
        with ``and_firing`` also all others that fire.
        """

    async def read(self, query: Query) -> list[Episode]:
        """Rows, newest start first."""

    async def firing(self) -> dict[str, int]:
        """How many alerts fire, by severity as written in the row."""

    async def actions(self, *, pending: bool, limit: int = DEFAULT_LIMIT) -> list[Action]:
        """Actions, newest first; only those without outcome if ``pending``."""

    async def finish_action(self, action: Action) -> None:
        """Write outcome, detail and time of end of an action."""

    async def claim_letters(self, choose: Choose, *, now: datetime) -> dict[str, Letter]:
        """Take notices for sending, alone among responders; each letter counts as gone until it has failed."""

    async def settle_letter(self, name: str, outcome: Literal["sent", "failed"]) -> None:
        """Write what became of a letter; the notices of one that failed wait again."""


def open_history(url: str) -> AlertHistory:
    """The history behind a URL, not yet started.

    Raises:
        ConfigError: the URL names no database we know.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from jelmon_responder.history.sqlite import SqliteHistory

        path = unquote(urlsplit(url).path)
        if urlsplit(url).netloc or not path:
            raise ConfigError(
                f"--history.url: {url!r} names no file",
                hint="write sqlite:///var/lib/jelmon/history.db, or sqlite:history.db for the working folder",
            )
        return SqliteHistory(Path(path))
    if scheme in ("postgresql", "postgres"):
        from jelmon_responder.history.postgres import PostgresHistory

        return PostgresHistory(url)
    raise ConfigError(
        f"--history.url: no history in {scheme + ':' if scheme != url else url!r}",
        hint="write sqlite:///path/to/history.db or postgresql://user@host/database",
    )


def episode_from(row: Row) -> Episode:
    """A row as its database gives it (times as datetime, labels as mappings), as an episode."""
    closed_by = row["closed_by"]
    return Episode(
        **{**row, "status": Status(row["status"]), "closed_by": ClosedBy(closed_by) if closed_by is not None else None}
    )


def action_from(row: Row) -> Action:
    """A row of the action log as an action."""
    outcome = row["outcome"]
    return Action(**{**row, "outcome": Outcome(outcome) if outcome is not None else None})


def upsert(table: str, placeholder: str) -> str:
    """SQL that writes an episode over the row of its key. ``placeholder`` has ``{}`` for a column's name."""
    values = ", ".join(placeholder.format(column) for column in EPISODE_COLUMNS)
    updates = ", ".join(f"{column} = excluded.{column}" for column in EPISODE_COLUMNS if column not in KEY_COLUMNS)
    return (
        f"INSERT INTO {table} ({', '.join(EPISODE_COLUMNS)}) VALUES ({values}) "
        f"ON CONFLICT ({', '.join(KEY_COLUMNS)}) DO UPDATE SET {updates}"
    )


def insert_action(table: str, placeholder: str) -> str:
    """SQL that writes an action unless it is there: an action is asked for once."""
    values = ", ".join(placeholder.format(column) for column in ACTION_COLUMNS)
    return f"INSERT INTO {table} ({', '.join(ACTION_COLUMNS)}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"


def insert_notice(table: str, placeholder: str) -> str:
    """SQL that writes a notice."""
    values = ", ".join(placeholder.format(column) for column in NOTICE_COLUMNS)
    return f"INSERT INTO {table} ({', '.join(NOTICE_COLUMNS)}) VALUES ({values})"


def as_json(value: Mapping[str, str]) -> str:
    """Labels as JSON text."""
    return msgspec.json.encode(value).decode()
