"""The tables over PostgreSQL, asked of a real one by a role that may only read."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from jelmon.database.postgres import PostgresDatabase
from jelmon_analyzers.suggestions.migrations import SCHEMA as SUGGESTIONS
from jelmon_responder.history.migrations import SCHEMA as HISTORY

Json = dict[str, Any]
_READER = "jelmore_grafana_test"


def _expanded(query: str) -> str:
    """Fill in macros and variables as Grafana does when everything is chosen."""
    query = re.sub(r"\$__timeFilter\(([^)]+)\)", r"\1 BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z'", query)
    return re.sub(r"\$\{(\w+):regex\}", ".*", query)


@pytest.fixture
def reader(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of a role with the rights that the documents give it, to a database with a row in each table."""
    asyncio.run(_migrated(postgres_dsn))
    with psycopg.connect(postgres_dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO jelmore.alert_history (fingerprint, starts_at, status, alertname, severity, pipeline, stage,"
            " escalation_level, receiver, labels, annotations, first_seen, last_seen, notifications)"
            " VALUES ('f', '2026-01-01T12:00:00Z', 'firing', 'PipelineStalled', 'critical', 'shop', '', 0, 'r', '{}',"
            " '{}', '2026-01-01T12:00:00Z', '2026-01-01T12:00:00Z', 1)"
        )
        owner.execute(
            "INSERT INTO jelmore.action_log (id, action, requested_by, fingerprint, starts_at, pipeline, stage,"
            " requested_at, detail) VALUES ('a', 'restart_pipeline', 'PipelineStalled', 'f', '2026-01-01T12:00:00Z',"
            " 'shop', '', '2026-01-01T12:01:00Z', '')"
        )
        owner.execute(
            "INSERT INTO jelmore.recommendations (id, pipeline, stage, strategy, advice, opened_at)"
            " VALUES ('r', 'shop', 'deploy', 'add_worker', 'Add a worker to deploy.', '2026-01-01T12:00:00Z')"
        )
        owner.execute(f"DROP ROLE IF EXISTS {_READER}")
        owner.execute(f"CREATE ROLE {_READER} LOGIN")
        owner.execute(f"GRANT USAGE ON SCHEMA jelmore TO {_READER}")
        owner.execute(
            f"GRANT SELECT ON jelmore.alert_history, jelmore.action_log, jelmore.recommendations TO {_READER}"
        )
        owner.execute(f"ALTER ROLE {_READER} SET default_transaction_read_only = on")
    connection = psycopg.connect(postgres_dsn, user=_READER, autocommit=True)
    yield connection
    connection.close()
    with psycopg.connect(postgres_dsn, autocommit=True) as owner:
        owner.execute(f"DROP OWNED BY {_READER}")
        owner.execute(f"DROP ROLE {_READER}")


async def _migrated(dsn: str) -> None:
    for schema in (HISTORY, SUGGESTIONS):
        database = PostgresDatabase(dsn, schema)
        await database.start()
        await database.stop()


def test_every_sql_table_answers_with_its_columns(reader: psycopg.Connection[Any], sql_panels: dict[str, Json]) -> None:
    """The query runs, finds the row, and yields the columns that the table formats."""
    assert len(sql_panels) == 3

    for title, panel in sql_panels.items():
        (target,) = panel["targets"]
        cursor = reader.execute(_expanded(target["rawSql"]))
        names = [column.name for column in cursor.description or ()]
        formatted = {
            entry["matcher"]["options"]
            for entry in panel["fieldConfig"]["overrides"]
            if entry["matcher"]["id"] == "byName"
        }

        assert len(cursor.fetchall()) == 1, title
        assert set(names) == formatted, title
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("DELETE FROM jelmore.alert_history")


def test_variables_are_matched_and_never_listed(sql_panels: dict[str, Json]) -> None:
    """ "All" arrives as ``.*``: ``IN ($stage)`` would be a syntax error."""
    for title, panel in sql_panels.items():
        query = panel["targets"][0]["rawSql"]

        assert "$__timeFilter(" in query, title
        assert "~ '^(${pipeline:regex})$'" in query, title
        assert "~ '^(${stage:regex})$'" in query, title
        assert " IN ($" not in query, title
