"""Numbered migrations in a database that several components, processes and releases share."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from jelmon.database.postgres import PostgresDatabase
from jelmon.database.schema import Schema
from jelmon.database.sqlite import SqliteDatabase
from jelmon.errors import ConfigError, SourceError

FRUIT = {"0001_fruit": "CREATE TABLE {0}fruit (name text);\n"}
NUTS = {"0001_nuts": "CREATE TABLE {0}nuts (name text);\n"}
BOTH = FRUIT | {"0002_nuts": NUTS["0001_nuts"]}
MakeSchema = Callable[[str, dict[str, str]], Schema]


@pytest.fixture
def make_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSchema:
    """Write the SQL files of a component into a package and return its schema."""
    monkeypatch.syspath_prepend(tmp_path)
    packages = iter(range(100))

    def make(component: str, steps: dict[str, str]) -> Schema:
        package = tmp_path / f"steps_{tmp_path.name}_{next(packages)}"
        package.mkdir()
        (package / "__init__.py").touch()
        for name, sql in steps.items():
            (package / f"{name}.sqlite.sql").write_text(sql.format(""), encoding="utf-8")
            (package / f"{name}.postgresql.sql").write_text(sql.format("jelmore."), encoding="utf-8")
        return Schema(component=component, package=package.name, title="the pantry", option="--pantry.url")

    return make


def _applied(path: Path) -> list[tuple[str, int, str]]:
    with contextlib.closing(sqlite3.connect(path)) as file:
        sql = "SELECT component, version, name FROM schema_migrations ORDER BY component, version"
        return file.execute(sql).fetchall()


async def test_two_components_share_a_file(tmp_path: Path, make_schema: MakeSchema) -> None:
    """Each has its own versions; opening the file again changes nothing."""
    path = tmp_path / "pantry.db"
    for schema in [make_schema("b", BOTH), make_schema("a", {"0001_seeds": "CREATE TABLE seeds (name text);\n"})] * 2:
        database = SqliteDatabase(path, schema)
        await database.start()
        await database.stop()

    assert _applied(path) == [("a", 1, "seeds"), ("b", 1, "fruit"), ("b", 2, "nuts")]


async def test_a_later_release_adds_what_is_missing(tmp_path: Path, make_schema: MakeSchema) -> None:
    """Rows stay; the earlier release then refuses the file."""
    path = tmp_path / "pantry.db"
    old, new = SqliteDatabase(path, make_schema("a", FRUIT)), SqliteDatabase(path, make_schema("a", BOTH))
    await old.write(lambda connection: connection.execute("INSERT INTO fruit VALUES ('apple')").rowcount)
    await old.stop()
    rows = await new.read(lambda connection: [tuple(row) for row in connection.execute("SELECT * FROM fruit, nuts")])
    await new.stop()
    old = SqliteDatabase(path, make_schema("a", FRUIT))
    with pytest.raises(ConfigError, match="the pantry has schema version 2; this program supports versions up to 1"):
        await old.start()
    await old.stop()

    assert rows == []
    assert _applied(path) == [("a", 1, "fruit"), ("a", 2, "nuts")]


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, make_schema: MakeSchema) -> None:
    """All steps are one transaction."""
    path = tmp_path / "pantry.db"
    database = SqliteDatabase(path, make_schema("a", FRUIT | {"0002_broken": "CREATE TABLE {0}fruit (again text);\n"}))
    with pytest.raises(SourceError, match="fruit already exists"):
        await database.read(lambda connection: None)
    await database.stop()

    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == []


async def test_a_write_that_fails_is_rolled_back(tmp_path: Path, make_schema: MakeSchema) -> None:
    """A write is one transaction."""
    database = SqliteDatabase(tmp_path / "pantry.db", make_schema("a", FRUIT))

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO fruit VALUES ('apple')")
        connection.execute("INSERT INTO vegetables VALUES ('leek')")

    with pytest.raises(SourceError, match="no such table: vegetables"):
        await database.write(work)
    count = await database.read(lambda connection: connection.execute("SELECT count(*) FROM fruit").fetchone()[0])
    await database.stop()

    assert count == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_processes_that_start_together_migrate_once(
    kind: str, tmp_path: Path, make_schema: MakeSchema, request: pytest.FixtureRequest
) -> None:
    """Under a lock; the second one finds nothing to do."""
    schema = make_schema("a", BOTH)
    databases: list[SqliteDatabase | PostgresDatabase]
    if kind == "sqlite":
        databases = [SqliteDatabase(tmp_path / "pantry.db", schema) for _ in range(8)]
    else:
        dsn = request.getfixturevalue("postgres_dsn")
        databases = [PostgresDatabase(dsn, schema) for _ in range(8)]
    try:
        await asyncio.gather(*(database.start() for database in databases))
    finally:
        await asyncio.gather(*(database.stop() for database in databases))
    if kind == "sqlite":
        applied = _applied(tmp_path / "pantry.db")
    else:
        with psycopg.connect(dsn) as server:
            sql = "SELECT component, version, name FROM jelmore.schema_migrations ORDER BY component, version"
            applied = server.execute(sql).fetchall()

    assert applied == [("a", 1, "fruit"), ("a", 2, "nuts")]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("CREATE TABLE bookmarks (url TEXT); PRAGMA user_version = 7;", id="any program"),
        pytest.param("CREATE TABLE schema_migrations (version TEXT); CREATE TABLE users (id);", id="a web framework"),
    ],
)
async def test_the_database_of_another_program_is_refused(tmp_path: Path, make_schema: MakeSchema, script: str) -> None:
    """And it stays as it was, to the byte."""
    path = tmp_path / "data" / "other.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(script)
    before = path.read_bytes()
    database = SqliteDatabase(path, make_schema("a", FRUIT))
    with pytest.raises(ConfigError, match="is the database of another program"):
        await database.start()
    await database.stop()

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["other.db"]


async def test_a_new_file_is_for_its_owner_only(tmp_path: Path, make_schema: MakeSchema) -> None:
    """The log of changes beside it, too: alerts and e-mail are nobody else's."""
    folder = tmp_path / "data"
    folder.mkdir()
    database = SqliteDatabase(folder / "history.db", make_schema("a", FRUIT))
    await database.start()
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
    await database.stop()

    assert modes
    assert set(modes.values()) == {"0o600"}


@pytest.mark.parametrize("trouble", ["locked", "read-only", "full"])
async def test_a_file_that_cannot_be_written_is_unavailable_and_recovers(
    tmp_path: Path, make_schema: MakeSchema, trouble: str
) -> None:
    """An error that the caller can handle, each time; afterwards all is well."""
    path = tmp_path / "history.db"
    database = SqliteDatabase(path, make_schema("a", FRUIT), busy_timeout=0.05)
    await database.start()
    insert = "INSERT INTO fruit (name) VALUES (hex(zeroblob(200000)))"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        if trouble == "locked":
            other.execute("BEGIN IMMEDIATE")
        elif trouble == "full":
            await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
        else:
            await database._writer.run(lambda connection: connection.execute("PRAGMA query_only = 1"))
        for _ in range(2):
            with pytest.raises(SourceError, match="is unavailable"):
                await database.write(lambda connection: connection.execute(insert))
        if trouble == "locked":
            other.execute("ROLLBACK")
        await database._writer.run(lambda connection: connection.execute("PRAGMA query_only = 0").fetchone())
        await database._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
        await database.write(lambda connection: connection.execute(insert))
    await database.stop()
