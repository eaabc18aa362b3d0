"""Histories that earlier releases created still open."""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from jelmon_responder.alerts import Alert, Delivery
from jelmon_responder.history.fold import fold_delivery
from jelmon_responder.history.migrations import SCHEMA
from jelmon_responder.history.open import open_history
from jelmon_responder.history.protocol import Entry, Query

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
INSERT = (
    "INSERT INTO {table} (fingerprint, starts_at, status, alertname, severity, pipeline, stage, escalation_level, "
    "receiver, labels, annotations, first_seen, last_seen, fired_at, notifications) VALUES ('f1', '{time}', 'firing', "
    "'A', 'critical', 'p', '', 0, 'r', '{{}}', '{{}}', '{time}', '{time}', '{time}', 1)"
)
_TIME = "2026-01-31T12:00:00.000000Z"


def _sqlite(path: Path, steps: int) -> None:
    """Migrate as the first releases did: the version is the file's ``user_version``."""
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        for step in SCHEMA.migrations("sqlite")[:steps]:
            file.executescript(step.sql)
            file.execute(f"PRAGMA user_version = {step.version}")
        file.execute(INSERT.format(table="alert_history", time=_TIME))


def _postgres(url: str, steps: int) -> None:
    """Migrate as the first releases did."""
    with psycopg.connect(url) as server:
        server.execute("CREATE SCHEMA jelmore")
        server.execute(
            "CREATE TABLE IF NOT EXISTS jelmore.schema_migrations (component text, version integer, "
            "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))"
        )
        for step in SCHEMA.migrations("postgresql")[:steps]:
            server.execute(step.sql)
            server.execute(
                "INSERT INTO jelmore.schema_migrations (component, version, name) VALUES ('responder', %s, %s)",
                (step.version, step.name),
            )
        server.execute(INSERT.format(table="jelmore.alert_history", time=_TIME))


@pytest.mark.parametrize("steps", [1, 2], ids=["before mail", "with mail"])
async def test_a_history_of_an_earlier_release(history_url: str, steps: int) -> None:
    """Its rows are read, new ones are added, and the tables it lacks are created."""
    if history_url.startswith("sqlite"):
        _sqlite(Path(history_url.removeprefix("sqlite://")), steps)
    else:
        _postgres(history_url, steps)
    history = open_history(history_url)
    await history.start()
    try:
        delivery = Delivery(receiver="r", alerts=(Alert(fingerprint="f2", starts_at=NOON),))
        await history.amend([("f2", NOON)], lambda rows: Entry(folded=fold_delivery(rows, delivery, now=NOON)))

        rows = await history.read(Query())
        assert [(row.fingerprint, row.starts_at, row.alertname) for row in rows] == [
            ("f1", NOON, "A"),
            ("f2", NOON, ""),
        ]
        assert await history.claim_emails(lambda *_: [], now=NOON) == {}
    finally:
        await history.stop()
    if history_url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(history_url.removeprefix("sqlite://"))) as file:
            assert file.execute("PRAGMA user_version").fetchone() == (3,)
