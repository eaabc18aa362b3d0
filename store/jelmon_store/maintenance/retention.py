"""Deletes what is too old. Whole partitions or chunks go; only metrics with a time of their own lose single rows."""

from datetime import datetime, timedelta

from jelmon_store.maintenance.partitions import Connection, boundary, drop_older
from jelmon_store.maintenance.settings import RetentionSettings


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
    """Drop and delete what is too old, once an hour."""
    due = connection.execute(
        "INSERT INTO jelmore.maintenance_progress VALUES ('retention', %(now)s) ON CONFLICT (task) DO UPDATE "
        "SET done_until = %(now)s WHERE maintenance_progress.done_until <= %(now)s - interval '1 hour' RETURNING 1",
        {"now": now},
    ).fetchone()
    if due is None:
        return
    raw = now - timedelta(days=settings.raw_days)
    _keep_longer(connection, boundary(connection, "samples", raw), now)
    drop_older(connection, "samples", raw)
    _delete_by_metric(connection, now)
    longest = max((override.days for override in settings.overrides), default=0)
    drop_older(connection, "samples_kept", now - timedelta(days=max(longest, settings.raw_days)))
    for table in ("histograms", "exemplars"):
        drop_older(connection, table, raw)
    connection.execute("DELETE FROM jelmore.rollup_queue WHERE hour < %s", (raw,))


def _keep_longer(connection: Connection, before: datetime, now: datetime) -> None:
    """Copy samples out of the parts that are about to be dropped: of metrics that are now kept longer."""
    kept = (
        "FROM jelmore.samples s WHERE s.time < %(before)s AND s.series_id IN (SELECT series_id FROM jelmore.series "
        "JOIN jelmore.metrics USING (metric_id) WHERE retention_class <> 0 "
        "AND s.time >= %(now)s - make_interval(days => retention_class))"
    )
    parameters = {"before": before, "now": now}
    if not connection.execute("SELECT 1 FROM jelmore.metrics WHERE retention_class <> 0 LIMIT 1").fetchone():
        return
    times = [day for (day,) in connection.execute(f"SELECT DISTINCT date_trunc('day', s.time) {kept}", parameters)]
    connection.execute("SELECT jelmore.ensure_partitions('samples_kept', %s)", (times,))
    connection.execute(
        f"INSERT INTO jelmore.samples_kept SELECT s.* {kept} AND NOT EXISTS "
        "(SELECT 1 FROM jelmore.samples_kept k WHERE k.series_id = s.series_id AND k.time = s.time)",
        parameters,
    )


def _delete_by_metric(connection: Connection, now: datetime) -> None:
    classes = connection.execute(
        "SELECT retention_class, array_agg(metric_id) FROM jelmore.metrics WHERE retention_class <> 0 GROUP BY 1"
    ).fetchall()
    for days, metrics in classes:
        for table in ("samples", "samples_kept"):
            connection.execute(
                f"DELETE FROM jelmore.{table} WHERE time < %s AND series_id IN "
                "(SELECT series_id FROM jelmore.series WHERE metric_id = ANY (%s))",
                (now - timedelta(days=days), metrics),
            )
