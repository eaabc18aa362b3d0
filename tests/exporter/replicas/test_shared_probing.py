"""Replicas that share a store show the same results, and the next to probe goes on with them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jelmon import catalogue as c
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.shared_probing import PART, SharedProbes, _counted_more
from jelmon_exporter.replicas.singleton import PROBES, StoreElection
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.serving.view import View
from jelmon_exporter.state.memory import MemoryStore
from jelmon_exporter.state.model import Changes, Position
from jelmon_exporter.state.redis import RedisStore

Until = Callable[..., Awaitable[None]]


def probes(exporter: Any) -> int:
    """How many probes of the target it shows."""
    value = exporter.view.value(c.PROBE_TIME, "redis")
    return sum(value[1]) if isinstance(value, tuple) else 0


@pytest.fixture
def targets_file(tmp_path: Path, redis_url: str) -> Path:
    path = tmp_path / "targets.yaml"
    path.write_text(
        f"targets: [{{name: redis, url: '{redis_url.replace('redis', 'tcp').removesuffix('/0')}', interval: 1s}}]\n",
        encoding="utf-8",
    )
    return path


async def test_all_show_what_one_found_and_another_goes_on_with_it(
    redis_url: str, own_nats_url: str, exporting: Callable[..., Any], until: Until, targets_file: Path
) -> None:
    settings = {"nats_url": own_nats_url, "redis_url": redis_url}
    # the observer has no targets of its own
    async with exporting(**settings) as observer, exporting(**settings, targets_file=targets_file) as first:
        await until(lambda: probes(first) >= 2)
        async with exporting(**settings, targets_file=targets_file) as second:
            for one in (second, observer):
                await until(lambda one=one: one.view.value(c.TARGET_UP, "redis") == 1 and probes(one) >= 2)
            assert second.prober.results == {}
            stopping = asyncio.create_task(first.stop())
            shown = []
            while not second.prober.results:
                await second.mirror.refresh()
                shown.append((second.view.value(c.TARGET_UP, "redis"), probes(second)))
                await asyncio.sleep(0.05)
            await stopping
            last = shown[-1][1]
            await until(lambda: probes(second) > last)
            await until(lambda: probes(observer) > last)

    assert None not in {up for up, _ in shown}
    assert [count for _, count in shown] == sorted(count for _, count in shown)


async def test_while_the_store_is_away_everybody_goes_on_from_what_was_known(
    servers: Any, exporting: Callable[..., Any], until: Until, tmp_path: Path
) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(
        f"targets: [{{name: redis, url: '{servers.nats_url.replace('nats', 'tcp')}', interval: 1s}}]\n", "utf-8"
    )
    settings = {"nats_url": servers.nats_url, "redis_url": servers.redis_url, "targets_file": path}
    async with exporting(**settings) as one, exporting(**settings) as two:
        await until(lambda: probes(one) >= 2 and probes(two) >= 2)
        await servers.end("redis-server", signal.SIGKILL)
        before = min(probes(one), probes(two))
        await until(lambda: probes(one) > before + 1 and probes(two) > before + 1, seconds=60)
        await servers.start_redis()
        await until(lambda: bool(one.prober.results) != bool(two.prober.results), seconds=60)
        most = max(probes(one), probes(two))
        await until(lambda: probes(one) > most and probes(two) > most, seconds=60)

    for exporter in (one, two):
        assert exporter.process_series.cell(c.EXPORTER_RESETS, "rollback").value == 0


async def test_results_of_targets_that_are_gone_are_removed_from_the_store(redis_url: str, until: Until) -> None:
    store, view = RedisStore(redis_url), View()
    claim = await store.acquire(PROBES)
    assert claim is not None
    stale = {(c.TARGET_UP.name, ("old",)): 1.0, (c.PROBE_FAILURES.name, ("old", "timeout")): 3.0}
    position = Position(version=1)
    await store.commit(PROBES, claim=claim, position=position, changes=Changes(series=dict(stale)))
    turn = StoreElection(store, PROBES)
    turn.claim = claim
    shared = SharedProbes(turn, store, view, mirror=None)  # type: ignore[arg-type] # nothing is mirrored here
    view.update(PART, dict(stale))
    shared._pending = {(c.TARGET_UP.name, ("none",)): None}
    await shared._publish_pending()

    assert (await store.load(PROBES)).series == {}
    assert view.contribution(PART) == {}
    await store.release(PROBES, claim)
    await store.close()


async def test_what_was_not_stored_is_not_shown_when_it_is_our_turn_again() -> None:
    view, mirror = View(), Mirror(MemoryStore(), View(), 0, up=SeriesTable().cell(c.STATE_STORE_UP))
    shared = SharedProbes(StoreElection(MemoryStore(), PROBES), MemoryStore(), view, mirror)
    shared._pending = {(c.PROBE_FAILURES.name, ("redis", "timeout")): 1.0}
    shared.stopped()

    assert shared._pending == {}


@pytest.mark.parametrize(
    ("metric", "stored", "own", "taken"),
    [
        (c.PROBE_FAILURES, 3.0, 2.0, True),
        (c.PROBE_FAILURES, 2.0, 3.0, False),
        (c.TARGET_UP, 1.0, 0.0, False),
        (c.TARGET_UP, 1.0, None, True),
        (c.PROBE_TIME, (9, (0, 2)), (5, (2, 1)), False),
        (c.PROBE_TIME, (5, (2, 1)), (9, (0, 2)), True),
    ],
)
def test_the_larger_count_and_the_newer_gauge_stay(metric: c.Metric, stored: Any, own: Any, taken: bool) -> None:
    assert _counted_more(metric, stored, own) is taken
