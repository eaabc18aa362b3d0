"""The maintenance job on every flavour of the database."""

import itertools
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.store.data import STALE, TestSeries, bits
from tests.store.support import load, migrate

from jelmon.errors import ConfigError
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.partitions import parts
from jelmon_store.maintenance.settings import RetentionSettings, parse_override

NOW = datetime(2026, 5, 20, 12, 34, 56, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def every(step: timedelta, start: datetime, end: datetime) -> list[int]:
    return [ms(start + step * index) for index in range((end - start) // step)]


def maintain(dsn: str, *overrides: str, now: datetime = NOW, **days: Any) -> None:
    settings = RetentionSettings(overrides=tuple(map(parse_override, overrides)), **days)
    assert Maintenance(dsn, settings, clock=lambda: now).run_once()


def rows(dsn: str, query: str, *parameters: Any) -> list[Any]:
    with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
        return connection.execute(query, parameters).fetchall()


async def test_it_recognises_the_flavour(store_dsn: str, flavour: str) -> None:
    """The tables follow the extension that the database has."""
    await migrate(store_dsn)

    assert rows(store_dsn, "SELECT jelmore.store_flavour()") == [(flavour,)]


async def test_raw_samples_go_after_their_days(store_dsn: str) -> None:
    """Seven days by default; a metric may be kept longer or shorter, samples from before that was set included."""
    await migrate(store_dsn)
    times = every(timedelta(hours=6), NOW - timedelta(days=30), NOW)
    names = ("usual", "long_total", "short")
    load(store_dsn, [TestSeries({"__name__": name}, [(time, bits(1.0)) for time in times]) for name in names])
    maintain(store_dsn, "long_.*=20", "short=2", "nothing=400")
    held = """
        SELECT name, min(time), count(*) FROM (
            SELECT * FROM jelmore.samples UNION ALL SELECT * FROM jelmore.samples_kept
        ) s JOIN jelmore.series USING (series_id) JOIN jelmore.metrics USING (metric_id) GROUP BY 1 ORDER BY 1
    """
    found = {name: (NOW - oldest, count) for name, oldest, count in rows(store_dsn, held)}

    assert timedelta(days=19.7) < found["long_total"][0] <= timedelta(days=20)
    assert found["long_total"][1] == 80
    assert timedelta(days=6.7) < found["usual"][0] <= timedelta(days=7, hours=4)
    assert timedelta(days=1.7) < found["short"][0] <= timedelta(days=2)

    maintain(store_dsn, "long_.*=20", "short=2", now=NOW + timedelta(days=10))
    counts = {name: count for name, _, count in rows(store_dsn, held)}

    assert counts == {"long_total": 40}, "the time goes on, and what was moved is not moved twice"


async def test_histograms_and_exemplars_have_the_days_of_their_metric(store_dsn: str) -> None:
    """They share their tables with the others, which go day by day."""
    await migrate(store_dsn)
    times = every(timedelta(hours=6), NOW - timedelta(days=30), NOW)
    names = ("usual", "long", "short")
    load(store_dsn, [TestSeries({"__name__": name}, histograms=[(time, b"") for time in times]) for name in names])
    with psycopg.connect(store_dsn) as connection:
        connection.execute("SELECT jelmore.ensure_partitions('exemplars', array_agg(time)) FROM jelmore.histograms")
        connection.execute("INSERT INTO jelmore.exemplars SELECT time, series_id, 1, '{}' FROM jelmore.histograms")
    held = """
        SELECT name, min(time), count(*) FROM jelmore.{} JOIN jelmore.series USING (series_id)
        JOIN jelmore.metrics USING (metric_id) GROUP BY 1
    """
    for later, expected in ((timedelta(), {"long": 80, "short": 8}), (timedelta(days=10), {"long": 40})):
        maintain(store_dsn, "long=20", "short=2", now=NOW + later)
        for table in ("histograms", "exemplars"):
            found = {name: (oldest, count) for name, oldest, count in rows(store_dsn, held.format(table))}

            assert {name: count for name, (_, count) in found.items() if name != "usual"} == expected, table
            assert "usual" not in found or NOW + later - found["usual"][0] <= timedelta(days=7), table

    maintain(store_dsn, now=NOW + timedelta(days=20))

    for table in ("histograms", "exemplars"):
        assert rows(store_dsn, held.format(table)) == [], "without an override, whole parts go"


async def test_late_rows_are_packed_and_joined_chunks_filled_up(store_dsn: str, flavour: str) -> None:
    """On TimescaleDB Community: four hours become a chunk, and its batches are as full as they can be."""
    if flavour != "community":
        pytest.skip("only TimescaleDB Community has a column store")
    await migrate(store_dsn)
    start = NOW.replace(hour=0, minute=0, second=0)
    times = every(timedelta(seconds=15), start, start + 8 * HOUR)
    load(store_dsn, [TestSeries({"__name__": "up"}, [(time, bits(1.0)) for time in times])])
    maintain(store_dsn)
    batches = """
        SELECT 'SELECT array_agg(_ts_meta_count ORDER BY _ts_meta_count) FROM _timescaledb_internal.' || c.table_name
        FROM _timescaledb_catalog.chunk c JOIN jelmore.packed_chunks p ON c.id = (
            SELECT compressed_chunk_id FROM _timescaledb_catalog.chunk u
            WHERE format('%%I.%%I', u.schema_name, u.table_name)::regclass = p.chunk
        )
    """
    packed = rows(store_dsn, batches)

    assert [rows(store_dsn, query) for (query,) in packed] == [[([960],)], [([960],)]]

    load(store_dsn, [TestSeries({"__name__": "late"}, [(times[0] + 1, bits(2.0))])])
    late = "SELECT count(*) FROM _timescaledb_catalog.chunk WHERE status & 8 <> 0"

    assert rows(store_dsn, late) == [(1,)]
    maintain(store_dsn, now=NOW + HOUR)
    assert rows(store_dsn, late) == [(0,)]
    assert rows(store_dsn, "SELECT count(*), sum(value) FROM jelmore.samples") == [(1921, 1922.0)]


async def test_a_metric_notes_its_days(store_dsn: str) -> None:
    """Receivers read from there that its samples go to another table; the first override that matches wins."""
    await migrate(store_dsn)
    load(store_dsn, [TestSeries({"__name__": name}, [(ms(NOW), bits(1.0))]) for name in ("a_total", "a_sum", "b")])
    maintain(store_dsn, "a_total=30", "a_.*=20")
    classes = "SELECT name, retention_class FROM jelmore.metrics ORDER BY 1"

    assert rows(store_dsn, classes) == [("a_sum", 20), ("a_total", 30), ("b", 0)]

    maintain(store_dsn)

    assert rows(store_dsn, classes) == [("a_sum", 0), ("a_total", 0), ("b", 0)]


async def test_complete_parts_are_indexed_or_compressed(store_dsn: str, flavour: str) -> None:
    """The open part stays fast to write to; samples that come late are still accepted everywhere."""
    await migrate(store_dsn)
    times = every(timedelta(minutes=1), NOW - 4 * HOUR, NOW)
    load(store_dsn, [TestSeries({"__name__": "up"}, [(time, bits(1.0)) for time in times])])
    maintain(store_dsn)
    maintain(store_dsn)
    with psycopg.connect(store_dsn) as connection:
        complete = [part for part in parts(connection, "samples") if part.end <= NOW - timedelta(minutes=10)]

        assert sum((part.end - part.start for part in complete), timedelta()) >= 4 * HOUR
    if flavour == "community":
        compressed = rows(
            store_dsn,
            "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'samples' AND is_compressed",
        )
        assert compressed == [(len(complete),)]
    else:
        indexed = rows(store_dsn, "SELECT tablename FROM pg_indexes WHERE indexname LIKE '%%_series_time'")
        assert {part.name for part in complete} <= {name for (name,) in indexed}
    load(store_dsn, [TestSeries({"__name__": "late"}, [(time + 1, bits(2.0)) for time in times])])

    assert rows(store_dsn, "SELECT count(*), sum(value) FROM jelmore.samples") == [(480, 720.0)]


async def test_only_one_receiver_maintains(store_dsn: str) -> None:
    """The others go on receiving."""
    await migrate(store_dsn)
    with psycopg.connect(store_dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (0x6A656C6D_6F726503,))

        assert not Maintenance(store_dsn, RetentionSettings()).run_once()


def obvious_rollup(samples: list[tuple[int, float]], width: int) -> dict[int, tuple[float, ...]]:
    """Rollups by the definition: over the finite and infinite values of a bucket, in order of time."""
    buckets: dict[int, list[float]] = {}
    for time, value in samples:
        if not math.isnan(value):
            buckets.setdefault(time - time % width, []).append(value)
    rollup: dict[int, tuple[float, ...]] = {}
    for time, values in buckets.items():
        increase = sum(b - a if b >= a else b for a, b in itertools.pairwise(values))
        rollup[time] = (values[0], values[-1], min(values), max(values), sum(values), len(values), increase)
    return rollup


def stored_rollup(dsn: str, level: str, metric: str) -> dict[int, tuple[float, ...]]:
    query = (
        f"SELECT time, first, last, min, max, sum, count, increase FROM jelmore.samples_{level} "
        "JOIN jelmore.series USING (series_id) JOIN jelmore.metrics USING (metric_id) WHERE name = %s"
    )
    return {ms(time): tuple(values) for time, *values in rows(dsn, query, metric)}


async def test_rollups_are_what_the_samples_say(store_dsn: str) -> None:
    """Counters by their increase without resets, gauges by extremes and sum; stale markers are no values."""
    await migrate(store_dsn)
    rng = random.Random(3)
    start = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=1)
    times = every(timedelta(seconds=40), start, NOW)
    counter, gauge, total = [], [], 0.0
    for time in times:
        total = 0.0 if rng.random() < 0.01 else total + rng.randrange(5)
        counter.append((time, total))
        gauge.append((time, math.nan if rng.random() < 0.02 else rng.randrange(-40, 40) * 0.25))
    series = [
        TestSeries({"__name__": "done_total"}, [(time, bits(value)) for time, value in counter]),
        TestSeries({"__name__": "depth"}, [(t, STALE if math.isnan(v) else bits(v)) for t, v in gauge]),
    ]
    load(store_dsn, series)
    load(store_dsn, [TestSeries({"__name__": "kept"}, series[1].samples)], table="samples_kept")
    maintain(store_dsn, now=NOW)
    last = ms(NOW) - ms(NOW) % 300_000
    for level, width in (("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)):
        for name, samples in (("done_total", counter), ("depth", gauge), ("kept", gauge)):
            expected = obvious_rollup(samples, width)
            stored = stored_rollup(store_dsn, level, name)
            complete = {time: values for time, values in expected.items() if time + width <= last}

            assert complete
            assert {time: stored.get(time) for time in complete} == complete, (level, name)


async def test_late_samples_reach_the_rollups(store_dsn: str) -> None:
    """The receiver queues their hours; TimescaleDB Community notices by itself."""
    await migrate(store_dsn)
    times = every(timedelta(minutes=1), NOW - 30 * HOUR, NOW)
    load(store_dsn, [TestSeries({"__name__": "up"}, [(time, bits(1.0)) for time in times])])
    maintain(store_dsn)
    late = ms(NOW - 26 * HOUR)
    load(store_dsn, [TestSeries({"__name__": "late"}, [(late, bits(7.0))])])
    with psycopg.connect(store_dsn) as connection:
        connection.execute("SELECT jelmore.queue_rollups(%s)", ([NOW - 26 * HOUR],))
    maintain(store_dsn, now=NOW + timedelta(minutes=1))

    for level in ("5m", "1h", "1d"):
        assert [values[4] for values in stored_rollup(store_dsn, level, "late").values()] == [7.0], level
    assert rows(store_dsn, "SELECT * FROM jelmore.rollup_queue WHERE hour < %s", NOW - 3 * HOUR) == []


async def test_rollups_outlive_their_samples(store_dsn: str) -> None:
    """And go after their own days."""
    await migrate(store_dsn)
    times = every(timedelta(minutes=10), NOW - timedelta(days=2), NOW)
    load(store_dsn, [TestSeries({"__name__": "up"}, [(time, bits(1.0)) for time in times])])
    maintain(store_dsn)
    before = stored_rollup(store_dsn, "1h", "up")
    later = NOW + timedelta(days=40)
    maintain(store_dsn, now=later)

    assert rows(store_dsn, "SELECT count(*) FROM jelmore.samples") == [(0,)]
    assert stored_rollup(store_dsn, "1h", "up") == before

    maintain(store_dsn, now=NOW + timedelta(days=150))

    assert stored_rollup(store_dsn, "5m", "up") == {}
    assert stored_rollup(store_dsn, "1h", "up") == before


BAD = {
    "days": ("up", "--retention.override: 'up' is not a regex and a number of days"),
    "zero days": ("up=0", "--retention.override: 'up=0' is not a regex and a number of days"),
    "regex": ("u(=3", "--retention.override: 'u(=3': matcher for label '__name__': invalid regex: missing ): u("),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_override_is_named(name: str) -> None:
    """With what is wrong with it."""
    text, message = BAD[name]
    with pytest.raises(ConfigError) as caught:
        parse_override(text)

    assert caught.value.message == message


def test_rollups_are_kept_at_least_as_long_as_samples() -> None:
    """Otherwise they would be made again and again."""
    with pytest.raises(ConfigError):
        RetentionSettings(raw_days=100)
