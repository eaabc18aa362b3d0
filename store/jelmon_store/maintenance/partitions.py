"""Partitions and chunks: made ahead of time, indexed when they are complete, dropped when too old."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_SECONDS = 5
_OPTIONS = "-c timezone=UTC -c timescaledb.max_tuples_decompressed_per_dml_transaction=0"
"""TimescaleDB would delete no more than 100,000 rows at a time from the column store."""
_FIND_EXTENSION = """
SELECT set_config(
    'search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(n.nspname)), false
)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'
"""
PARTITIONED = ("samples", "samples_kept", "histograms", "exemplars")
"""Tables that receivers write to."""
COMPLETE_AFTER = timedelta(minutes=10)
"""Samples later than this are late ones, which an index or the column store accepts, only slower."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition or chunk: its qualified name, and the times it holds, ``end`` excluded."""

    schema: str
    name: str
    start: datetime
    end: datetime

    @property
    def identifier(self) -> sql.Identifier:
        """Return its name, quoted."""
        return sql.Identifier(self.schema, self.name)


def connect(url: str, *, name: str, options: str = "") -> Connection:
    """Return a connection that may maintain and delete; it finds the functions of TimescaleDB in any schema.

    Raises:
        psycopg.OperationalError: the database does not respond.
    """
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=name,
        options=f"{_OPTIONS} {options}",
    )
    try:
        connection.execute(_FIND_EXTENSION)
    except BaseException:
        connection.close()
        raise
    return connection


def flavour(connection: Connection) -> str:
    """Return ``postgresql``, ``apache`` or ``community``."""
    row = connection.execute("SELECT jelmore.store_flavour()").fetchone()
    assert row is not None
    return str(row[0])


def is_hypertable(connection: Connection, table: str) -> bool:
    """Return whether a table is a hypertable, not a natively partitioned one."""
    row = connection.execute(
        "SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (f"jelmore.{table}",)
    ).fetchone()
    assert row is not None
    return bool(row[0] != "p")


def make_ahead(connection: Connection, now: datetime) -> None:
    """Make the partitions of the next hours, so that no receiver has to wait for one."""
    for table in PARTITIONED:
        width = _width(connection, table)
        times = [now + width * step for step in range(-1, 3)]
        connection.execute("SELECT jelmore.ensure_partitions(%s, %s)", (table, times))


def parts(connection: Connection, table: str) -> list[Part]:
    """Return the partitions or chunks of a table, the oldest first."""
    if is_hypertable(connection, table):
        rows = connection.execute(
            "SELECT chunk_schema, chunk_name, range_start, range_end FROM timescaledb_information.chunks "
            "WHERE hypertable_schema = 'jelmore' AND hypertable_name = %s ORDER BY range_start",
            (table,),
        )
        return [Part(*row) for row in rows]
    # the bound of a partition is only kept as an expression
    rows = connection.execute(
        "SELECT n.nspname, c.relname, (regexp_match(pg_get_expr(c.relpartbound, c.oid), "
        r"'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)'))::timestamptz[] "
        "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE i.inhparent = to_regclass(%s) AND NOT i.inhdetachpending",
        (f"jelmore.{table}",),
    )
    return sorted((Part(schema, name, *bounds) for schema, name, bounds in rows), key=lambda part: part.start)


def index_complete(connection: Connection, now: datetime) -> int:
    """Index the complete parts of ``samples`` by series and time; return how many. Writers do not wait for it."""
    made = 0
    for part in _complete(connection, now):
        index = f"{part.name}_series_time"
        state = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (f'{part.schema}."{index}"',)
        ).fetchone()
        if state == (True,):
            continue
        quoted = sql.Identifier(part.schema, index)
        if state is not None:  # an attempt broke off
            connection.execute(sql.SQL("DROP INDEX {}").format(quoted))
        statement: LiteralString = (
            "CREATE INDEX {} ON {} (series_id, time)"
            if part.schema == "_timescaledb_internal"
            else "CREATE INDEX CONCURRENTLY {} ON {} (series_id, time)"
        )
        connection.execute(sql.SQL(statement).format(sql.Identifier(index), part.identifier))
        made += 1
    return made


def drop_older(connection: Connection, table: str, before: datetime) -> int:
    """Drop the parts of a table that end at ``before`` or earlier; return how many."""
    if is_hypertable(connection, table):
        dropped = connection.execute(
            "SELECT drop_chunks(%s::regclass, older_than => %s)", (f"jelmore.{table}", before)
        ).fetchall()
        return len(dropped)
    finish_detaching(connection, table)
    old = [part for part in parts(connection, table) if part.end <= before]
    for part in old:
        # dropping a partition locks out every reader and writer of the table; detaching does not
        connection.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY").format(
                sql.Identifier("jelmore", table), part.identifier
            )
        )
        connection.execute(sql.SQL("DROP TABLE {}").format(part.identifier))
    return len(old)


def rollup_tables(connection: Connection, level: str) -> list[sql.Identifier]:
    """Return the tables that hold a rollup; those of continuous aggregates have names of their own."""
    if flavour(connection) != "community":
        return [sql.Identifier("jelmore", f"samples_{level}")]
    rows = connection.execute(
        "SELECT materialization_hypertable_schema, materialization_hypertable_name "
        "FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'jelmore' AND view_name = ANY (%s)",
        ([f"rollup_samples_{level}", f"rollup_samples_kept_{level}"],),
    )
    return [sql.Identifier(*row) for row in rows]


def finish_detaching(connection: Connection, table: str) -> None:
    """Finish what an interrupted `drop_older` has left."""
    for schema, name in connection.execute(
        "SELECT n.nspname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = to_regclass(%s) AND i.inhdetachpending",
        (f"jelmore.{table}",),
    ).fetchall():
        part = sql.Identifier(schema, name)
        connection.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(sql.Identifier("jelmore", table), part)
        )
        connection.execute(sql.SQL("DROP TABLE {}").format(part))


def boundary(connection: Connection, table: str, time: datetime) -> datetime | None:
    """Return the end of the last part that is older than ``time`` as a whole; None if there is none."""
    return max((part.end for part in parts(connection, table) if part.end <= time), default=None)


def _complete(connection: Connection, now: datetime) -> Iterator[Part]:
    return (part for part in parts(connection, "samples") if part.end <= now - COMPLETE_AFTER)


def _width(connection: Connection, table: str) -> timedelta:
    row = connection.execute("SELECT width FROM jelmore.time_partitioning WHERE table_name = %s", (table,)).fetchone()
    assert row is not None
    value: timedelta = row[0]
    return value
