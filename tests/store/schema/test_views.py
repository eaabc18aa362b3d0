"""SQL views: metrics with labels as columns, and reports."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.store.data import STALE, TestSeries, bits
from tests.store.support import load, migrate

from jelmon.cli import main
from jelmon.database.postgres import PostgresDatabase
from jelmon_store.maintenance.job import Maintenance
from jelmon_store.maintenance.settings import RetentionSettings

DAY = datetime(2026, 5, 20, tzinfo=UTC)
NOW = DAY + timedelta(days=2, minutes=10)
MINUTES = [round((DAY + timedelta(minutes=index)).timestamp() * 1000) for index in range(2880)]


def rows(dsn: str, query: str, *, role: str = "none") -> list[Any]:
    with psycopg.connect(dsn, options=f"-c timezone=UTC -c role={role}") as connection:
        return connection.execute(query).fetchall()


def every_minute(labels: dict[str, str], values: list[float]) -> TestSeries:
    return TestSeries(labels, [(time, bits(value)) for time, value in zip(MINUTES, values, strict=True)])


async def prepare(dsn: str, *series: TestSeries) -> None:
    await migrate(dsn)
    load(dsn, series)
    assert Maintenance(dsn, RetentionSettings(), clock=lambda: NOW).run_once()


async def view(dsn: str, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["store", "view", "--database.url", dsn, *arguments])


async def test_a_metric_is_a_view_with_its_labels(store_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels that are called like a column get a prefix; stale markers are no rows; the reader may read it."""
    await migrate(store_dsn)
    load(
        store_dsn,
        [
            TestSeries({"__name__": "up", "job": "api", "value": "x"}, [(MINUTES[0], bits(1.0)), (MINUTES[1], STALE)]),
            TestSeries({"__name__": "up", "It's": "odd"}, [(MINUTES[0], bits(0.0))]),
        ],
    )

    assert await view(store_dsn, "up") == 0
    assert capsys.readouterr().out == "jelmore.metric_up\n"
    query = 'SELECT job, label_value, "It\'s", value FROM jelmore.metric_up ORDER BY value'
    assert rows(store_dsn, query, role="jelmore_reader") == [(None, None, "odd", 0.0), ("api", "x", None, 1.0)]


async def test_a_view_grows_with_the_labels(postgres_dsn: str) -> None:
    """Other views may depend on it, so columns keep their place."""
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "up", "job": "api"}, [(MINUTES[0], bits(1.0))])])
    await view(postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE VIEW mine AS SELECT job FROM jelmore.metric_up")
    load(postgres_dsn, [TestSeries({"__name__": "up", "a": "1", "job": "web"}, [(MINUTES[0], bits(1.0))])])

    assert await view(postgres_dsn) == 0
    assert rows(postgres_dsn, "SELECT a, job FROM jelmore.metric_up ORDER BY job") == [(None, "api"), ("1", "web")]


async def test_rollups_show_counters_and_gauges_differently(store_dsn: str) -> None:
    """What a counter gained; where a gauge was."""
    await prepare(
        store_dsn,
        every_minute({"__name__": "done_total", "job": "a"}, [float(index) for index in range(2880)]),
        every_minute({"__name__": "depth", "job": "a"}, [float(index % 60) for index in range(2880)]),
    )
    await view(store_dsn, "--rollup", "1h")
    counter = rows(store_dsn, "SELECT first, last, increase, count FROM jelmore.metric_done_total_1h ORDER BY time")
    gauge = rows(store_dsn, "SELECT min, max, avg, last, count FROM jelmore.metric_depth_1h ORDER BY time")

    assert counter[:2] == [(0.0, 59.0, 59.0, 60), (60.0, 119.0, 59.0, 60)]
    assert gauge[0] == (0.0, 59.0, 29.5, 59.0, 60)


@pytest.mark.parametrize("name", ["nothing", "up'; DROP TABLE jelmore.samples; --"])
async def test_a_metric_that_is_not_stored(postgres_dsn: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is named."""
    assert await view(postgres_dsn, name) == 2
    assert f"no metric {name!r} is stored" in capsys.readouterr().err


async def test_long_names_have_a_view_too(postgres_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """PostgreSQL's names have 63 bytes."""
    await migrate(postgres_dsn)
    names = ["a" * 70, "a" * 71]
    load(postgres_dsn, [TestSeries({"__name__": name, "l" * 80: "x"}, [(MINUTES[0], bits(1.0))]) for name in names])

    assert await view(postgres_dsn) == 0
    assert len(set(capsys.readouterr().out.splitlines())) == 2


async def test_cards_per_day(store_dsn: str) -> None:
    """Over midnight and a restart; replicas show the same and count once."""
    values = [float(index) for index in range(2000)] + [float(index) for index in range(880)]
    labels = {"__name__": "jelmore_cards_finished_total", "pipeline": "p", "outcome": "success"}
    await prepare(
        store_dsn,
        every_minute({**labels, "instance": "a"}, values),
        every_minute({**labels, "instance": "b"}, values),
    )
    report = rows(store_dsn, "SELECT * FROM jelmore.report_cards_per_day ORDER BY day")

    assert report == [
        (date(2026, 5, 20), "p", "success", 1439.0),
        (date(2026, 5, 21), "p", "success", 560.0 + 879.0),
    ]


async def test_stage_percentiles_per_day(store_dsn: str) -> None:
    """As histogram_quantile() would say."""
    shares = {"1": 0.25, "2": 0.5, "4": 0.75, "+Inf": 1.0}
    labels = {"__name__": "jelmore_stage_run_seconds_bucket", "pipeline": "p", "stage": "s"}
    await prepare(
        store_dsn,
        *(every_minute({**labels, "le": le}, [share * index for index in range(2880)]) for le, share in shares.items()),
    )
    query = "SELECT runs, p50_seconds, p90_seconds FROM jelmore.report_stage_percentiles_per_day ORDER BY day"
    report = rows(store_dsn, query)

    assert report == [(1439.0, 2.0, 4.0), (1440.0, 2.0, 4.0)]


async def test_objectives_and_bottlenecks_per_day(store_dsn: str) -> None:
    """Attainment is the share of good events; a bottleneck costs card-hours."""
    slo = {"pipeline": "p", "job": "jelmon-exporter", "instance": "all"}
    await prepare(
        store_dsn,
        every_minute({"__name__": "jelmore:slo_card_success_valid_5m", **slo}, [20.0] * 2880),
        every_minute({"__name__": "jelmore:slo_card_success_bad_5m", **slo}, [1.0] * 2880),
        every_minute(
            {"__name__": "jelmore_bottleneck_impact_seconds", "pipeline": "p", "stage": "s", "instance": "a"},
            [7200.0] * 2880,
        ),
    )
    objectives = rows(
        store_dsn, "SELECT objective, labels, valid, bad, attainment FROM jelmore.report_objectives_per_day"
    )
    cost = rows(store_dsn, "SELECT * FROM jelmore.report_bottleneck_cost_per_day ORDER BY day")

    assert objectives == [("card_success", {"pipeline": "p"}, 5760.0, 288.0, 0.95)] * 2
    assert cost == [(date(2026, 5, day), "p", "s", 192.0, 24) for day in (20, 21)]


async def test_mttr_needs_the_alert_history(postgres_dsn: str) -> None:
    """Which the responder makes, before or after."""
    from jelmon_responder.history.migrations import SCHEMA as HISTORY

    await migrate(postgres_dsn)
    query = "SELECT * FROM jelmore.report_mttr_per_day"

    assert rows(postgres_dsn, query) == []

    history = PostgresDatabase(postgres_dsn, HISTORY)
    await history.start()
    await history.stop()
    columns = (
        "fingerprint, starts_at, ends_at, status, closed_by, alertname, severity, pipeline, stage, escalation_level, "
        "receiver, labels, annotations, first_seen, last_seen, notifications"
    )
    with psycopg.connect(postgres_dsn) as connection:
        for index, minutes in enumerate((10, 20)):
            connection.execute(
                f"INSERT INTO jelmore.alert_history ({columns}) VALUES "
                "(%s, %s, %s, 'resolved', 'resolved', 'Stalled', 'critical', 'p', '', 0, '', '{}', '{}', %s, %s, 1)",
                (str(index), DAY, DAY + timedelta(minutes=minutes), DAY, DAY),
            )

    assert rows(postgres_dsn, query) == [(date(2026, 5, 20), "Stalled", "critical", "p", 2, 900.0, 1200.0)]


async def test_restarts_are_shown_with_their_labels(postgres_dsn: str) -> None:
    """As senders of remote write 2.0 state them."""
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "done_total", "job": "api"}, [(MINUTES[0], bits(1.0))])])
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO jelmore.series_starts SELECT series_id, %s FROM jelmore.series", (DAY,))

    assert rows(
        postgres_dsn, "SELECT start_time, metric, labels, tenant FROM jelmore.restarts", role="jelmore_reader"
    ) == [(DAY, "done_total", {"job": "api"}, "")]
