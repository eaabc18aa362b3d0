"""Deletes what is too old. Whole partitions or chunks go; only metrics with a time of their own lose single rows."""

from datetime import datetime, timedelta
from typing import Any

from jelmon_store.maintenance.partitions import Connection, boundary, drop_older
from jelmon_store.maintenance.settings import RetentionSettings

_WITH_OVERRIDES = ("samples", "samples_kept", "histograms", "exemplars")
_KEPT = (
    "series_id IN (SELECT series_id FROM jelmore.series JOIN jelmore.metrics USING (metric_id) "
    "WHERE retention_class <> 0)"
)


def classify(connection: Connection, settings: RetentionSettings) -> None:
    """Note at each metric how many days its samples are kept, 0 for the default. Receivers write others apart."""
    metrics = connection.execute("SELECT metric_id, name, retention_class FROM jelmore.metrics").fetchall()
    for metric_id, name, current in metrics:
        days = next((override.days for override in settings.overrides if override.names.matches(name)), 0)
        if days != current:
            connection.execute(
                "UPDATE jelmore.metrics SET retention_class = %s WHERE metric_id = %s", (days, metric_id)
            )


def enforce(connection: Connection, settings: RetentionSettings, now: datetime) -> None:
    """Drop and delete what is too old."""
    raw = now - timedelta(days=settings.raw_days)
    longest = max((override.days for override in settings.overrides), default=0)
    oldest = now - timedelta(days=max(longest, settings.raw_days))
    classes = connection.execute(
        "SELECT retention_class, array_agg(metric_id) FROM jelmore.metrics WHERE retention_class <> 0 GROUP BY 1"
    ).fetchall()
    if classes:
        _keep_longer(connection, raw, now)
        for table in _WITH_OVERRIDES:
            _delete_by_metric(connection, table, classes, now)
    drop_older(connection, "samples", raw)
    drop_older(connection, "samples_kept", oldest)
    for table in ("histograms", "exemplars"):
        kept = _oldest_kept(connection, table, raw) if classes else None
        drop_older(connection, table, min(kept or raw, raw))
        if kept is not None:
            connection.execute(f"DELETE FROM jelmore.{table} WHERE time < %s AND NOT {_KEPT}", (raw,))
    connection.execute("DELETE FROM jelmore.rollup_queue WHERE hour < %s", (raw,))
    connection.execute(
        "DELETE FROM jelmore.series_starts s WHERE start_time < %s AND EXISTS (SELECT FROM jelmore.series_starts later "
        "WHERE later.series_id = s.series_id AND later.start_time > s.start_time)",
        (now - timedelta(days=settings.days_1d),),
    )


def _keep_longer(connection: Connection, raw: datetime, now: datetime) -> None:
    """Copy samples out of the parts that are about to be dropped: of metrics that are now kept longer."""
    before = boundary(connection, "samples", raw)
    if before is None:
        return
    kept = (
        "FROM jelmore.samples s WHERE s.time < %(before)s AND s.series_id IN (SELECT series_id FROM jelmore.series "
        "JOIN jelmore.metrics USING (metric_id) WHERE retention_class <> 0 "
        "AND s.time >= %(now)s - make_interval(days => retention_class))"
    )
    parameters = {"before": before, "now": now}
    times = [day for (day,) in connection.execute(f"SELECT DISTINCT date_trunc('day', s.time) {kept}", parameters)]
    connection.execute("SELECT jelmore.ensure_partitions('samples_kept', %s)", (times,))
    connection.execute(
        f"INSERT INTO jelmore.samples_kept SELECT s.* {kept} AND NOT EXISTS "
        "(SELECT 1 FROM jelmore.samples_kept k WHERE k.series_id = s.series_id AND k.time = s.time)",
        parameters,
    )


def _delete_by_metric(connection: Connection, table: str, classes: list[Any], now: datetime) -> None:
    for days, metrics in classes:
        connection.execute(
            f"DELETE FROM jelmore.{table} WHERE time < %s AND series_id IN "
            "(SELECT series_id FROM jelmore.series WHERE metric_id = ANY (%s))",
            (now - timedelta(days=days), metrics),
        )


def _oldest_kept(connection: Connection, table: str, raw: datetime) -> datetime | None:
    """Return the oldest time before ``raw`` of metrics with a time of their own, in a table that others share."""
    row = connection.execute(f"SELECT min(time) FROM jelmore.{table} WHERE time < %s AND {_KEPT}", (raw,)).fetchone()
    assert row is not None
    oldest: datetime | None = row[0]
    return oldest
