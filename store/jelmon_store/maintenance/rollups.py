"""Rollups of 5 minutes, 1 hour and 1 day. On TimescaleDB Community its continuous aggregates are refreshed; elsewhere
hours are made from their samples, each in a transaction of its own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from psycopg import sql

from jelmon_store.maintenance.partitions import Connection, drop_older
from jelmon_store.maintenance.settings import RetentionSettings

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DELAY = timedelta(minutes=1)
"""Samples of a bucket arrive until so long after its end; later ones queue their hour."""
HOURS_AT_ONCE = 48
_LEVELS = ("5m", "1h", "1d")
_FROM_SAMPLES = """
INSERT INTO jelmore.samples_5m
SELECT bucket, series_id, samples[1], samples[cardinality(samples)], min, max, sum, cardinality(samples),
    jelmore.counter_increase(samples)
FROM (
    SELECT date_bin('5 minutes', time, '2000-01-01 00:00Z') AS bucket, series_id,
        array_agg(value ORDER BY time) AS samples, min(value), max(value), sum(value)
    FROM (
        SELECT * FROM jelmore.samples WHERE time >= %(start)s AND time < %(end)s AND value <> 'NaN'
        UNION ALL
        SELECT * FROM jelmore.samples_kept WHERE time >= %(start)s AND time < %(end)s AND value <> 'NaN'
    ) found
    GROUP BY 1, 2
) buckets
"""
_FROM_ROLLUP = """
INSERT INTO jelmore.{target}
SELECT %(bucket)s, series_id, (array_agg(first ORDER BY time))[1], (array_agg(last ORDER BY time))[count(*)],
    min(min), max(max), sum(sum), sum(count),
    jelmore.counter_increase(
        array_agg(first ORDER BY time), array_agg(last ORDER BY time), array_agg(increase ORDER BY time)
    )
FROM jelmore.{source} WHERE time >= %(start)s AND time < %(end)s GROUP BY series_id
"""


def refresh(connection: Connection, settings: RetentionSettings, now: datetime, *, community: bool) -> None:
    """Bring the rollups up to date, and drop those that are too old."""
    if community:
        _refresh_aggregates(connection, settings, now)
    else:
        _refresh_tables(connection, settings, now)
    for level, days in zip(_LEVELS, (settings.days_5m, settings.days_1h, settings.days_1d), strict=True):
        tables = (f"rollup_samples_{level}", f"rollup_samples_kept_{level}") if community else (f"samples_{level}",)
        for table in tables:
            drop_older(connection, table, now - timedelta(days=days))


def _refresh_aggregates(connection: Connection, settings: RetentionSettings, now: datetime) -> None:
    """Refresh what has changed. Never beyond raw retention: that would delete rollups of dropped samples."""
    oldest = _ceiling(now - timedelta(days=settings.raw_days), DAY)
    _call_refresh(connection, _LEVELS, oldest, now - DELAY, force=False)
    # TimescaleDB 2.28 misses some deletions from compressed chunks
    rows = connection.execute(
        "SELECT hour, array_agg(ctid::text) FROM jelmore.rollup_queue WHERE hour >= %s GROUP BY 1 ORDER BY 1 LIMIT %s",
        (oldest, HOURS_AT_ONCE),
    ).fetchall()
    for hour, seen in rows:
        with_day = _floor(hour, DAY) + DAY <= now - DELAY
        if hour + HOUR <= now - DELAY:
            _call_refresh(connection, ("5m", "1h"), hour, hour + HOUR, force=True)
        if with_day:
            _call_refresh(connection, ("1d",), _floor(hour, DAY), _floor(hour, DAY) + DAY, force=True)
        connection.execute("DELETE FROM jelmore.rollup_queue WHERE ctid = ANY (%s::tid[])", (seen,))


def _call_refresh(
    connection: Connection, levels: Iterable[str], start: datetime, end: datetime, *, force: bool
) -> None:
    for table in ("samples", "samples_kept"):
        for level in levels:
            connection.execute(
                "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz, force => %s)",
                (f"jelmore.rollup_{table}_{level}", start, end, force),
            )


def _queued(connection: Connection, oldest: datetime) -> list[datetime]:
    rows = connection.execute("SELECT DISTINCT hour FROM jelmore.rollup_queue WHERE hour >= %s ORDER BY 1", (oldest,))
    return [hour for (hour,) in rows]


def _refresh_tables(connection: Connection, settings: RetentionSettings, now: datetime) -> None:
    oldest = _ceiling(now - timedelta(days=settings.raw_days), HOUR)
    latest = _floor(now - DELAY, timedelta(minutes=5))
    row = connection.execute("SELECT done_until FROM jelmore.maintenance_progress WHERE task = 'rollups'").fetchone()
    done = row[0] if row else _oldest_sample(connection) or latest
    starts = {hour: hour for hour in _queued(connection, oldest)}
    start = max(done, oldest)
    while start < latest:
        starts.setdefault(_floor(start, HOUR), start)
        start = _floor(start, HOUR) + HOUR
    due = sorted(starts.items())[:HOURS_AT_ONCE]
    for (hour, start), following in zip_longest(due, [hour for hour, _ in due[1:]]):
        day = _floor(hour, DAY)
        _make_partitions(connection, hour)
        with connection.transaction():
            # one snapshot: a sample that it does not show has its row in the queue still
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            _make_5m(connection, start, hour + HOUR, min(hour + HOUR, latest))
            if hour + HOUR <= latest:
                _roll_up(connection, "samples_5m", "samples_1h", hour, hour + HOUR)
            if day + DAY <= latest and (following is None or following >= day + DAY):
                _roll_up(connection, "samples_1h", "samples_1d", day, day + DAY)
            connection.execute("DELETE FROM jelmore.rollup_queue WHERE hour = %s", (hour,))
            if hour + HOUR > done:
                done = min(hour + HOUR, latest)
                connection.execute(
                    "INSERT INTO jelmore.maintenance_progress VALUES ('rollups', %s) "
                    "ON CONFLICT (task) DO UPDATE SET done_until = excluded.done_until",
                    (done,),
                )


def _make_partitions(connection: Connection, hour: datetime) -> None:
    for level, time in (("5m", hour), ("1h", hour), ("1d", _floor(hour, DAY))):
        connection.execute("SELECT jelmore.ensure_partitions(%s, %s)", (f"samples_{level}", [time]))


def _make_5m(connection: Connection, start: datetime, end: datetime, complete: datetime) -> None:
    """Make the buckets from ``start`` to ``complete`` again; there must be none from there to ``end``."""
    connection.execute("DELETE FROM jelmore.samples_5m WHERE time >= %s AND time < %s", (start, end))
    connection.execute(_FROM_SAMPLES, {"start": start, "end": complete})


def _roll_up(connection: Connection, source: str, target: str, start: datetime, end: datetime) -> None:
    connection.execute(sql.SQL("DELETE FROM jelmore.{} WHERE time = %s").format(sql.Identifier(target)), (start,))
    statement = sql.SQL(_FROM_ROLLUP).format(target=sql.Identifier(target), source=sql.Identifier(source))
    connection.execute(statement, {"bucket": start, "start": start, "end": end})


def queue(connection: Connection, times: Iterable[datetime]) -> None:
    """Queue the hours of some times, whose samples have changed."""
    connection.execute("SELECT jelmore.queue_rollups(%s)", (list(times),))


def _oldest_sample(connection: Connection) -> datetime | None:
    row = connection.execute(
        "SELECT min(time) FROM (SELECT min(time) AS time FROM jelmore.samples "
        "UNION ALL SELECT min(time) FROM jelmore.samples_kept) oldest"
    ).fetchone()
    assert row is not None
    oldest: datetime | None = row[0]
    return oldest


def _floor(time: datetime, width: timedelta) -> datetime:
    return time - (time - datetime(2000, 1, 1, tzinfo=UTC)) % width


def _ceiling(time: datetime, width: timedelta) -> datetime:
    return _floor(time + width - timedelta(microseconds=1), width)
