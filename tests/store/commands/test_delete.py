"""``jelmon store delete`` on every flavour of the database."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.store.data import TestSeries, bits
from tests.store.support import insert_series, load, migrate

from jelmon.cli import main
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.settings import RetentionSettings

START = datetime(2026, 5, 20, tzinfo=UTC)
NOW = START + timedelta(hours=25)
TIMES = [round((START + timedelta(minutes=minute)).timestamp() * 1000) for minute in range(600)]


@pytest.fixture
async def dsn(store_dsn: str) -> str:
    """Ten hours of three series, complete hours indexed or compressed, with their rollups."""
    await migrate(store_dsn)
    samples = [(time, bits(1.0)) for time in TIMES]
    load(
        store_dsn,
        [
            TestSeries({"__name__": "up", "job": "api"}, samples),
            TestSeries({"__name__": "up", "job": "web"}, samples, [(TIMES[0], b"message")]),
            TestSeries({"__name__": "other", "job": "api"}, samples),
        ],
    )
    maintain(store_dsn)
    return store_dsn


def maintain(dsn: str) -> None:
    assert Maintenance(dsn, RetentionSettings(), clock=lambda: NOW).run_once()


async def delete(dsn: str, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["store", "delete", "--database.url", dsn, *arguments])


def counts(dsn: str, table: str = "samples", what: str = "count(*)") -> dict[str, int]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            f"SELECT name || coalesce('/' || (labels->>'job'), ''), {what} FROM jelmore.{table} "
            "JOIN jelmore.series USING (series_id) JOIN jelmore.metrics USING (metric_id) GROUP BY 1"
        ).fetchall()
    return dict(rows)


async def test_without_yes_nothing_goes(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how much would."""
    assert await delete(dsn, "--match", "up") == 0
    assert capsys.readouterr().out == "1201 samples of 2 series would be deleted; --yes deletes them\n"
    assert sum(counts(dsn).values()) == 1800


async def test_only_the_range_goes_both_ends_included(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The rollups follow: whole buckets at once, those at the edges with the next maintenance."""
    arguments = ("--match", 'up{job="api"}', "--start", "2026-05-20T02:30:00Z", "--end", "2026-05-20T05:00:00Z")

    assert await delete(dsn, *arguments, "--yes") == 0
    assert capsys.readouterr().out == "deleted 151 samples of 1 series\n"
    assert counts(dsn) == {"up/api": 449, "up/web": 600, "other/api": 600}

    maintain(dsn)

    assert counts(dsn, "samples_5m", "sum(sum)::int") == {"up/api": 449, "up/web": 600, "other/api": 600}
    assert counts(dsn, "samples_1h", "sum(sum)::int") == {"up/api": 449, "up/web": 600, "other/api": 600}
    assert counts(dsn, "samples_1d", "sum(sum)::int") == {"up/api": 449, "up/web": 600, "other/api": 600}


async def test_several_selectors_and_no_range(dsn: str) -> None:
    """Histograms and rollups go too."""
    assert await delete(dsn, "--match", 'up{job="web"}', "--match", "other", "--yes") == 0
    for table in ("samples", "samples_5m", "samples_1h", "samples_1d"):
        assert set(counts(dsn, table)) == {"up/api"}, table
    assert counts(dsn, "histograms") == {}


async def test_many_samples_go_at_once(store_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """More than TimescaleDB takes out of the column store at a time unless it is told to."""
    await migrate(store_dsn)
    with psycopg.connect(store_dsn) as connection:
        ids = [insert_series(connection, {"__name__": "up", "number": str(number)}) for number in range(3)]
        connection.execute("SELECT jelmore.ensure_partitions('samples', %s)", ([START],))
        connection.execute(
            "INSERT INTO jelmore.samples SELECT %s + second * interval '1 second' / 12, series_id, 1 "
            "FROM generate_series(0, 43000) second, unnest(%s::bigint[]) series_id",
            (START, ids),
        )
    maintain(store_dsn)

    assert await delete(store_dsn, "--match", "up", "--start", "2026-05-20T00:00:01Z", "--yes") == 0
    assert capsys.readouterr().out == f"deleted {3 * (43001 - 12)} samples of 3 series\n"


BAD = {
    "a selector of everything": (("--match", "{}"), "it must contain a matcher"),
    "no time": (("--match", "up", "--start", "yesterday"), "--start: 'yesterday' is not a time"),
    "the end before the start": (("--match", "up", "--start", "20", "--end", "10"), "--start is later than --end"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_wrong_argument_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the database is asked."""
    arguments, message = BAD[name]

    assert await delete("postgresql://nobody@127.0.0.1:1/x", *arguments) == 2
    assert message in capsys.readouterr().err
