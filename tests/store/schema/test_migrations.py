"""The tables of the store, made by their migrations in a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from jelmon.database.postgres import PostgresDatabase
from jelmon.errors import SourceError
from jelmon_store.schema import SCHEMA


async def migrate(url: str) -> None:
    database = PostgresDatabase(url, SCHEMA)
    await database.start()
    await database.stop()


async def test_migrating_twice_changes_nothing(postgres_dsn: str) -> None:
    """Every start of every receiver migrates."""
    await migrate(postgres_dsn)
    await migrate(postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        versions = connection.execute("SELECT version FROM jelmore.schema_migrations WHERE component = 'store'")

        assert [version for (version,) in versions] == [step.version for step in SCHEMA.migrations("postgresql")]


async def test_an_extension_that_the_server_does_not_load_is_named(postgres_dsn: str) -> None:
    """TimescaleDB ends each connection that uses it then; the functions here say what it says."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
            "SELECT 4294967290, 'timescaledb', oid, 'public'::regnamespace, false, '2.28.3' FROM pg_roles "
            "WHERE rolname = current_user"
        )
        connection.execute("CREATE FUNCTION by_range(name text, step interval) RETURNS text RETURN name")
        connection.execute(
            "CREATE FUNCTION create_hypertable(regclass, text, create_default_indexes boolean) RETURNS void "
            "LANGUAGE plpgsql AS $$ BEGIN RAISE 'extension \"timescaledb\" must be preloaded'; END $$"
        )
    with pytest.raises(SourceError, match="must be preloaded") as caught:
        await migrate(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM pg_extension WHERE extname = 'timescaledb'")

    assert "shared_preload_libraries" in (caught.value.hint or "")
    await migrate(postgres_dsn)  # nothing was left half made


async def test_partitions_are_made_for_the_times_that_are_written(postgres_dsn: str) -> None:
    """A sample needs a partition; making it twice is harmless."""
    await migrate(postgres_dsn)
    times = [datetime(2026, 3, 1, 10, 59, 59, 999999, UTC), datetime(2026, 3, 1, 11, tzinfo=UTC)]
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        ensure = "SELECT jelmore.ensure_partitions('samples', %s)"

        assert connection.execute(ensure, (times,)).fetchone() == (2,)
        assert connection.execute(ensure, (times,)).fetchone() == (0,)
        for time in times:
            connection.execute("INSERT INTO jelmore.samples VALUES (%s, 1, 2.5)", (time,))
        rows = connection.execute("SELECT tableoid::regclass::text FROM jelmore.samples ORDER BY time").fetchall()

        assert rows == [("jelmore.samples_20260301_1000",), ("jelmore.samples_20260301_1100",)]


async def test_two_sessions_make_the_same_partition(postgres_dsn: str) -> None:
    """Receivers and the maintenance job do so at the same time; none of them may fail."""
    await migrate(postgres_dsn)
    times = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(24)]

    def ensure() -> int:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            made = 0
            for time in times:
                row = connection.execute("SELECT jelmore.ensure_partitions('samples', %s)", ([time],)).fetchone()
                assert row is not None
                made += row[0]
            return made

    made = await asyncio.gather(*(asyncio.to_thread(ensure) for _ in range(4)))

    assert sum(made) == len(times)


async def test_a_reader_reads_and_a_writer_writes(postgres_dsn: str) -> None:
    """The two roles have what they need and no more."""
    await migrate(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET ROLE jelmore_writer")
        connection.execute("SELECT jelmore.ensure_partitions('samples', ARRAY[now()])")
        connection.execute("INSERT INTO jelmore.metrics (name) VALUES ('up')")
        connection.execute("INSERT INTO jelmore.series (metric_id, labels, fingerprint) VALUES (1, '{}', '\\x00')")
        connection.execute("INSERT INTO jelmore.samples VALUES (now(), 1, 1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM jelmore.samples")
        connection.execute("SET ROLE jelmore_reader")

        assert connection.execute("SELECT count(*) FROM jelmore.samples").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO jelmore.samples VALUES (now(), 1, 1)")
