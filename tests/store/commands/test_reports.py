"""``jelmon store migrate`` and ``jelmon store cardinality``."""

import asyncio

import pytest
from tests.store.data import TestSeries
from tests.store.support import load, migrate

from jelmon.cli import main
from jelmon_store.schema import SCHEMA


async def run(arguments: list[str]) -> int:
    return await asyncio.to_thread(main, arguments)


async def test_migrate_says_what_the_database_has(
    store_dsn: str, flavour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version of the tables and their kind."""
    assert await run(["store", "migrate", "--database.url", store_dsn]) == 0

    kind = {"postgresql": "native partitions", "apache": "Apache edition", "community": "Community edition"}[flavour]
    output = capsys.readouterr().out
    assert output.startswith(f"schema version {len(SCHEMA.migrations('postgresql'))};")
    assert kind in output


async def test_cardinality_shows_metrics_labels_and_values(
    postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest first; control characters do not reach the terminal."""
    await migrate(postgres_dsn)
    series = [TestSeries({"__name__": "up", "job": "api", "instance": f"host-{index}"}) for index in range(12)]
    load(postgres_dsn, [*series, TestSeries({"__name__": "other", "job": "\x1b[31m"})])

    assert await run(["store", "--database.url", postgres_dsn, "cardinality", "--top", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "13 series",
        "",
        "metric  series",
        "up          12",
        "other        1",
        "",
        "label     values  series",
        "instance      12      12",
        "job            2      13",
        "",
        "label and value    series",
        'job="api"              12',
        'instance="host-0"       1',
    ]


async def test_control_characters_do_not_reach_the_terminal(
    postgres_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label may hold anything."""
    await migrate(postgres_dsn)
    load(postgres_dsn, [TestSeries({"__name__": "other", "job": "\x9b31m"})])

    assert await run(["store", "cardinality", "--database.url", postgres_dsn]) == 0
    assert "\x9b" not in capsys.readouterr().out
