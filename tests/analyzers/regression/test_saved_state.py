"""State between runs, in a folder and in Redis."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from jelmon.catalogue import Service
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service.registry import Instruments
from jelmon_analyzers.regression import state_storage
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.settings import RegressionSettings

NOW = 1_700_438_400.0 + 9 * 86400


async def test_state_is_kept_in_redis_for_all_replicas_and_learnt_again_when_lost(
    prometheus: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    settings: Callable[..., RegressionSettings],
    started_again: Callable[[RegressionSettings], Awaitable[MonitoredSignal]],
) -> None:
    """Another replica continues from saved state; the keys expire; without them history is read again."""
    monkeypatch.setattr(state_storage, "_CHUNK_BYTES", 10_000)  # several commands even for two series
    shared = settings(prometheus, redis_url=redis_url, history_seconds=3 * 86400.0)
    first = RegressionAnalyzer(shared, Instruments(Service.ANALYZER), clock=lambda: NOW)
    async with PrometheusHistory(prometheus) as history:
        await first.cycle(history)
        await first.save()
        with redis.Redis.from_url(redis_url) as client:
            [key] = client.keys("*")
            assert key == b"jelmore:regression:{stage}"
            assert client.llen(key) > 2
            assert 0 < client.ttl(key) <= shared.history_seconds
        again = await started_again(shared)
        assert again.detector is not None
        assert again.detector.save() == first.signals[0].detector.save()  # type: ignore[union-attr] # not None after a cycle
        assert await again.read_new(history, NOW) == 0

        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        lost = await started_again(shared)
        assert lost.detector is None
        assert await lost.read_new(history, NOW) == 3 * 1440 + 1


async def test_only_the_replica_that_leads_keeps_what_is_shared(
    prometheus: str, redis_url: str, settings: Callable[..., RegressionSettings]
) -> None:
    """A replica that does not hold the lease saves nothing."""
    lease = Lease(NatsSettings(url="nats://127.0.0.1:9"), "nobody")
    analyzer = RegressionAnalyzer(
        settings(prometheus, redis_url=redis_url, history_seconds=3 * 86400.0),
        Instruments(Service.ANALYZER),
        lease=lease,
        clock=lambda: NOW,
    )
    async with PrometheusHistory(prometheus) as history:
        await analyzer.cycle(history)
    await analyzer.save()

    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*") == []


async def test_without_redis_it_learns_from_history(
    prometheus: str, caplog: pytest.LogCaptureFixture, settings: Callable[..., RegressionSettings]
) -> None:
    """Without its storage the analyzer still judges."""
    analyzer = RegressionAnalyzer(
        settings(prometheus, redis_url="redis://127.0.0.1:9/0", history_seconds=3 * 86400.0),
        Instruments(Service.ANALYZER),
        clock=lambda: NOW,
    )
    async with PrometheusHistory(prometheus) as history:
        await analyzer.cycle(history)
    await analyzer.save()

    assert analyzer.signals[0].detector is not None
    assert [record.message for record in caplog.records] == [
        "cannot load saved state; relearning from history",
        "cannot save state; retrying at the next save",
    ]


async def test_damaged_state_is_learnt_again(
    prometheus: str,
    tmp_path: Path,
    settings: Callable[..., RegressionSettings],
    started_again: Callable[[RegressionSettings], Awaitable[MonitoredSignal]],
) -> None:
    """Unreadable state on disk is ignored."""
    (tmp_path / "stage.state").write_bytes(b"\x00\x00\x00\x02{}nonsense")

    assert (await started_again(settings(prometheus, state=tmp_path))).detector is None
