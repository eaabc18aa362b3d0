"""``jelmon store delete``: deletes the samples of some series in a time range."""

import argparse
from datetime import UTC, datetime

from psycopg import sql

from jelmon.errors import ConfigError
from jelmon_store.commands.connection import connected
from jelmon_store.maintenance.partitions import PARTITIONED, Connection, rollup_tables
from jelmon_store.maintenance.rollups import queue
from jelmon_store.read.selection import select_series
from jelmon_store.read.selector import parse_selector
from jelmon_store.settings import add_database_argument

MAX_SERIES = 1_000_000
_OLDEST, _NEWEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_LEVELS = {"5m": "5 minutes", "1h": "1 hour", "1d": "1 day"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon store delete``."""
    parser.epilog = """\
examples:
  jelmon store delete --match 'up{job="old"}'
  jelmon store delete --match '{pipeline=~"test-.*"}' --start 2026-05-01 --end 2026-05-02T12:00:00Z --yes

Without --yes it only counts. Rollups of whole buckets in the range go too; those at its edges are made again from the
samples that are left.
"""
    add_database_argument(parser, default=argparse.SUPPRESS)
    parser.add_argument(
        "--match", action="append", required=True, metavar="SELECTOR", help="series to delete; repeat for several"
    )
    parser.add_argument("--start", metavar="TIME", help="first time, RFC 3339 or Unix seconds (default: no limit)")
    parser.add_argument("--end", metavar="TIME", help="last time, included (default: no limit)")
    parser.add_argument("--tenant", default="", help="tenant of the series (default: that without a name)")
    parser.add_argument("--yes", action="store_true", help="delete")


def run(args: argparse.Namespace) -> int:
    """Delete, or count what would be deleted."""
    start = parse_time(args.start, "--start") if args.start else _OLDEST
    end = parse_time(args.end, "--end") if args.end else _NEWEST
    if start > end:
        raise ConfigError("--start is later than --end")
    selectors = [parse_selector(text) for text in args.match]
    with connected(args) as connection:
        ids = sorted(
            {
                series.series_id
                for matchers in selectors
                for series in select_series(connection, matchers, tenant=args.tenant, limit=MAX_SERIES)
            }
        )
        if not args.yes:
            count = sum(_count(connection, table, ids, start, end) for table in PARTITIONED)
            print(f"{count} samples of {len(ids)} series would be deleted; --yes deletes them")
            return 0
        count = sum(_delete(connection, table, ids, start, end) for table in PARTITIONED)
        _delete_rollups(connection, ids, start, end)
        print(f"deleted {count} samples of {len(ids)} series")
    return 0


def parse_time(text: str, name: str) -> datetime:
    """Return a time written as RFC 3339, without a zone in UTC, or as Unix seconds.

    Raises:
        ConfigError: it is something else.
    """
    try:
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except ValueError:
            time = datetime.fromisoformat(text)
            return time if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"{name}: {text!r} is not a time", hint="write 2026-05-01T12:00:00Z or 1777636800, for example"
        ) from error


def _count(connection: Connection, table: str, ids: list[int], start: datetime, end: datetime) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM jelmore.{table} WHERE series_id = ANY (%s) AND time BETWEEN %s AND %s", (ids, start, end)
    ).fetchone()
    assert row is not None
    return int(row[0])


def _delete(connection: Connection, table: str, ids: list[int], start: datetime, end: datetime) -> int:
    """Delete, and queue the hours of what was deleted, in one transaction."""
    with connection.transaction():
        row = connection.execute(
            f"WITH deleted AS (DELETE FROM jelmore.{table} WHERE series_id = ANY (%s) AND time BETWEEN %s AND %s "
            "RETURNING time) SELECT count(*), array_agg(DISTINCT date_bin('1 hour', time, '2000-01-01 00:00Z')) "
            "FROM deleted",
            (ids, start, end),
        ).fetchone()
        assert row is not None
        if row[1]:
            queue(connection, row[1])
    return int(row[0])


def _delete_rollups(connection: Connection, ids: list[int], start: datetime, end: datetime) -> None:
    for level, width in _LEVELS.items():
        for table in rollup_tables(connection, level):
            connection.execute(
                sql.SQL(
                    "DELETE FROM {} WHERE series_id = ANY (%s) AND time >= %s AND time <= %s - {}::interval"
                ).format(table, sql.Literal(width)),
                (ids, start, end),
            )
