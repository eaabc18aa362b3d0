"""Rollups of 5 minutes, 1 hour and 1 day. On TimescaleDB Community its continuous aggregates are refreshed; elsewhere
hours are made from their samples, each in a transaction of its own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

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
    for table in ("samples", "samples_kept"):
        for level in _LEVELS:
            connection.execute(
                "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz)",
                (f"jelmore.rollup_{table}_{level}", oldest, now - DELAY),
            )
    connection.execute("DELETE FROM jelmore.rollup_queue")  # TimescaleDB notes late samples itself


def _refresh_tables(connection: Connection, settings: RetentionSettings, now: datetime) -> None:
    oldest = _ceiling(now - timedelta(days=settings.raw_days), HOUR)
    latest = _floor(now - DELAY, timedelta(minutes=5))
    row = connection.execute("SELECT done_until FROM jelmore.maintenance_progress WHERE task = 'rollups'").fetchone()
    done = row[0] if row else _oldest_sample(connection) or latest
    queued = [
        hour
        for (hour,) in connection.execute("SELECT DISTINCT hour FROM jelmore.rollup_queue WHERE hour >= %s", (oldest,))
    ]
    starts = {hour: hour for hour in queued}
    start = max(done, oldest)
    while start < latest:
        starts.setdefault(_floor(start, HOUR), start)
        start = _floor(start, HOUR) + HOUR
    for hour, start in sorted(starts.items())[:HOURS_AT_ONCE]:
        _make_partitions(connection, hour)
        with connection.transaction():
            # one snapshot: a sample that it does not show has its row in the queue still
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            _make_hour(connection, hour, start, min(hour + HOUR, latest))
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


def _make_hour(connection: Connection, hour: datetime, start: datetime, end: datetime) -> None:
    """Make the buckets of an hour from ``start`` on, and the rollups that the hour is part of."""
    day = _floor(hour, DAY)
    connection.execute("DELETE FROM jelmore.samples_5m WHERE time >= %s AND time < %s", (start, hour + HOUR))
    connection.execute(_FROM_SAMPLES, {"start": start, "end": end})
    _roll_up(connection, "samples_5m", "samples_1h", hour, hour + HOUR)
    _roll_up(connection, "samples_1h", "samples_1d", day, day + DAY)


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
