"""Suggestions in SQLite and PostgreSQL, and databases of earlier releases."""

import contextlib
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.analyzers.suggestions.conftest import BOTTLENECK, action_finished, open_suggestions

from jelmon.errors import ConfigError, SourceError
from jelmon_analyzers.suggestions.open_suggestions import Suggestion
from jelmon_analyzers.suggestions.storage import COLUMNS, open_suggestion_store

# as the first releases wrote it on each connection, without a version
_CREATE = (
    "CREATE TABLE IF NOT EXISTS {table} (id text PRIMARY KEY, pipeline text NOT NULL, stage text NOT NULL, "
    "strategy text NOT NULL, advice text NOT NULL, action text, severity double precision, "
    "expected_seconds double precision, opened_at {time} NOT NULL, closed_at {time}, applied_at {time}, "
    "before_seconds double precision, after_seconds double precision)"
)
ROW = ("demo/deploy/add_worker/100", "demo", "deploy", "add_worker", "Add one.", None, 50.0, 7.5)
OLD = dict(zip(COLUMNS, (*ROW, 100.0, None, None, None, None), strict=True))
NEW = Suggestion(
    pipeline="demo",
    stage="deploy",
    strategy="reduce_work",
    advice="Do less.",
    action=None,
    opened_at=200.0,
    expected_seconds=None,
    severity=None,
    fitted_at=200.0,
)


async def _check(url: str) -> None:
    store = open_suggestion_store(url)
    assert await store.read() == [OLD]

    await store.save([NEW])

    assert [row["id"] for row in await store.read()] == [NEW.id, OLD["id"]]


async def test_a_sqlite_file_of_an_earlier_release(tmp_path: Path) -> None:
    """Its rows are read, and new ones are added."""
    path = tmp_path / "r.db"
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(_CREATE.format(table="recommendations", time="double precision"))
        file.execute(f"INSERT INTO recommendations VALUES ({', '.join('?' * len(COLUMNS))})", tuple(OLD.values()))

    await _check(f"sqlite:///{path}")


async def test_a_postgresql_database_of_an_earlier_release(postgres_dsn: str) -> None:
    """Its rows are read, and new ones are added."""
    opened_at = datetime.fromtimestamp(100, UTC)
    with psycopg.connect(postgres_dsn) as server:
        server.execute("CREATE SCHEMA IF NOT EXISTS jelmore")
        server.execute(_CREATE.format(table="jelmore.recommendations", time="timestamptz"))
        values = tuple((OLD | {"opened_at": opened_at}).values())
        server.execute(f"INSERT INTO jelmore.recommendations VALUES ({', '.join(['%s'] * len(COLUMNS))})", values)

    await _check(postgres_dsn)


async def test_a_file_shared_with_the_alert_history(tmp_path: Path) -> None:
    """The responder of an earlier release kept its version in ``user_version``, which is not ours."""
    path = tmp_path / "both.db"
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE alert_history (fingerprint TEXT)")
        file.execute("PRAGMA user_version = 2")

    store = open_suggestion_store(f"sqlite:///{path}")
    await store.save([NEW])

    assert [row["id"] for row in await store.read()] == [NEW.id]
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'recommendations.db'}"
    return str(request.getfixturevalue("postgres_dsn"))


async def test_suggestions_are_inserted_once_and_updated(store_url: str) -> None:
    """In both databases; the same row, later with its result."""
    suggestions = open_suggestions()
    opened = suggestions.update([BOTTLENECK], 1000.0)
    store = open_suggestion_store(store_url)
    await store.save(opened)
    await store.save(opened)
    await store.save(suggestions.observe(action_finished("scale_up", 1100)))
    await store.save(suggestions.update([], 2500))
    rows = await store.read()
    added = next(row for row in rows if row["strategy"] == "add_worker")

    assert len(rows) == 4
    assert (added["opened_at"], added["applied_at"], added["closed_at"]) == (1000.0, 1100.0, 2500.0)
    assert (added["before_seconds"], added["after_seconds"], added["expected_seconds"]) == (89.0, 75.0, 7.5)
    assert added["advice"].startswith("Add a worker to deploy")


async def test_an_unreachable_database_is_an_error(tmp_path: Path) -> None:
    """And so is an invalid URL."""
    with pytest.raises(SourceError, match="the table of recommendations in "):
        await open_suggestion_store(f"sqlite:///{tmp_path / 'no' / 'such.db'}").save(
            open_suggestions().update([BOTTLENECK], 0)
        )
    with pytest.raises(ConfigError, match="not the URL of a database"):
        open_suggestion_store("mysql://x")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_results_survive_a_restart(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They are read again from the table of recommendations."""
    url = f"sqlite:///{tmp_path / 'r.db'}" if kind == "sqlite" else str(request.getfixturevalue("postgres_dsn"))
    suggestions, now = open_suggestions(), time.time()
    store = open_suggestion_store(url)
    await store.save(suggestions.update([BOTTLENECK], now))
    await store.save(suggestions.observe(action_finished("scale_up", now + 10)))
    await store.save(suggestions.update([], now + 1000))
    (measured,) = await store.measured()

    assert (measured.strategy, measured.pipeline) == ("add_worker", "demo")
    assert measured.applied_at == pytest.approx(now + 10, abs=1e-3)
    assert measured.before_seconds - measured.after_seconds == pytest.approx(9.9)
