"""The regression analyzer over a real Prometheus."""

import asyncio
import math
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon_analyzers.app import Analyzer
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_analyzers.regression.signals import Signal
from jelmon_analyzers.settings import AnalyzerSettings

NOW = 1_700_438_400.0 + 9 * 86400


async def test_a_stage_that_doubled_is_named(
    prometheus: str,
    tmp_path: Path,
    settings: Callable[..., RegressionSettings],
    started_again: Callable[[RegressionSettings], Awaitable[MonitoredSignal]],
) -> None:
    """Of two stages one is worse, which shows in the gauges; a second start continues from disk."""
    instruments = Instruments(Service.ANALYZER)
    analyzer = RegressionAnalyzer(settings(prometheus, state=tmp_path), instruments, clock=lambda: NOW)
    async with PrometheusHistory(prometheus) as history:
        await analyzer.cycle(history)
    text = instruments.render()[0].decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def gauge(name: str, stage: str) -> float:
        labels = f'{{pipeline="main",signal="stage",stage="{stage}"}}'
        shown = {_sorted(key): value for key, value in samples.items()}
        return float(shown[_sorted(f"jelmore_regression_{name}{labels}")])

    assert gauge("change_ratio", "test") == pytest.approx(1.0, abs=0.15)
    assert gauge("change_lower_ratio", "test") < 1.0 < gauge("change_upper_ratio", "test")
    assert gauge("early_warning", "test") == gauge("severe", "test") == 1
    assert gauge("change_point_timestamp_seconds", "test") == pytest.approx(NOW - 45 * 60, abs=600)
    assert gauge("q_value", "test") < 0.01 < gauge("q_value", "build")
    assert gauge("early_warning", "build") == gauge("severe", "build") == 0
    assert gauge("baseline", "build") == pytest.approx(math.exp(2), rel=0.1)
    assert gauge("baseline_ready", "build") == 1
    assert 0 <= gauge("anomaly_score", "build") <= 100
    assert samples['jelmore_analyzer_series{analyzer="regression"}'] == "2.0"
    assert analyzer.checks()["prometheus"].ok

    await analyzer.save()
    again = await started_again(settings(prometheus, state=tmp_path))
    assert again.detector is not None
    assert again.detector.ready.all()
    async with PrometheusHistory(prometheus) as history:
        assert await again.read_new(history, NOW) == 0


def _sorted(key: str) -> str:
    name, _, labels = key.rstrip("}").partition("{")
    return f"{name}{{{','.join(sorted(labels.split(',')))}"


async def test_a_young_series_has_its_change_point_and_no_verdict(
    prometheus: str, settings: Callable[..., RegressionSettings]
) -> None:
    """Two hours of history are no baseline; that the stage doubled can be seen all the same."""
    expression = f"stage_seconds and on() (vector(time()) >= {NOW - 7200})"
    young = settings(prometheus, signals=(Signal(name="stage", expr=expression),), recent_step_seconds=15.0)
    instruments = Instruments(Service.ANALYZER)
    analyzer = RegressionAnalyzer(young, instruments, clock=lambda: NOW)
    async with PrometheusHistory(prometheus) as history:
        await analyzer.cycle(history)
    text = instruments.render()[0].decode()
    test, build = 'pipeline="main",signal="stage",stage="test"', 'pipeline="main",signal="stage",stage="build"'
    shown = {
        _sorted(line.rsplit(" ", 1)[0]): float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"
    }

    assert shown[_sorted(f"jelmore_regression_baseline_ready{{{test}}}")] == 0
    assert shown[_sorted(f"jelmore_regression_change_ratio{{{test}}}")] == pytest.approx(1.0, abs=0.15)
    assert shown[_sorted(f"jelmore_regression_change_point_timestamp_seconds{{{test}}}")] == NOW - 44 * 60
    assert _sorted(f"jelmore_regression_change_ratio{{{build}}}") not in shown
    assert "jelmore_regression_severe{" not in text


async def test_of_two_replicas_one_speaks(
    prometheus: str, nats_url: str, settings: Callable[..., RegressionSettings]
) -> None:
    """Both learn; gauges of the one that does not lead are absent, so that nothing is doubled."""
    nats = NatsSettings(url=nats_url)
    instruments = [Instruments(Service.ANALYZER), Instruments(Service.ANALYZER)]
    short = settings(prometheus, cycle_seconds=1.0, history_seconds=3 * 86400.0)
    replicas = [
        RegressionAnalyzer(short, each, lease=Lease(nats, "regression-test"), clock=lambda: NOW) for each in instruments
    ]
    running = [asyncio.create_task(replica.run()) for replica in replicas]
    try:
        async with asyncio.timeout(200):
            while not all(replica.checks()["prometheus"].ok for replica in replicas):
                await asyncio.sleep(0.1)
            while not (speaking := [_speaks(each) for each in instruments]).count(True):
                await asyncio.sleep(0.1)
        assert speaking.count(True) == 1
    finally:
        await tasks.end(*running)


def _speaks(instruments: Instruments) -> bool:
    return "jelmore_regression_baseline_ready{" in instruments.render()[0].decode()


async def test_without_prometheus_it_waits_and_says_so(settings: Callable[..., RegressionSettings]) -> None:
    """The check fails, and the service keeps running."""
    analyzer = RegressionAnalyzer(settings("http://127.0.0.1:9"), Instruments(Service.ANALYZER), clock=lambda: NOW)
    async with PrometheusHistory("http://127.0.0.1:9") as history:
        await analyzer.cycle(history)

    assert not analyzer.checks()["prometheus"].ok


async def test_the_service_serves_and_leaves_nothing(
    prometheus: str, settings: Callable[..., RegressionSettings]
) -> None:
    """As production starts it: metrics, health, and no task afterwards."""
    analyzer = Analyzer(
        {"regression": lambda instruments: RegressionAnalyzer(settings(prometheus), instruments, clock=lambda: NOW)},
        AnalyzerSettings(listen=ListenAddress("127.0.0.1", 0)),
    )
    await analyzer.start()
    try:
        async with asyncio.timeout(200):
            while True:
                text = await asyncio.to_thread(_get, f"{analyzer.server.url}/metrics")
                if "jelmore_regression_change_ratio{" in text:
                    break
                await asyncio.sleep(0.2)
        assert await asyncio.to_thread(_get, f"{analyzer.server.url}/-/ready") == "OK\n"
    finally:
        await analyzer.stop()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "regression"] == []


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read().decode())
