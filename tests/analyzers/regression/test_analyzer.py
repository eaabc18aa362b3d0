"""The regression analyzer over a real Prometheus, and its parts by themselves."""

import asyncio
import math
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis

from jelmon.catalogue import Service
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import ConfigError, DefinitionError, SourceError
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon_analyzers.app import Analyzer
from jelmon_analyzers.regression import state_storage
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer
from jelmon_analyzers.regression.false_discovery import p_values, q_values
from jelmon_analyzers.regression.forecast import Slope, slope, time_to
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import Floats, PrometheusHistory
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_analyzers.regression.short_history import newest_change
from jelmon_analyzers.regression.signals import DEFAULTS, Signal, load
from jelmon_analyzers.settings import AnalyzerSettings
from jelmon_analyzers.timeseries.counters import rates

NOW = 1_700_438_400.0 + 9 * 86400
DAYS = 8


@pytest.fixture(scope="module")
def prometheus(tool: Callable[[str], Path], processes: Processes, server_folder: Path) -> str:
    """A Prometheus with eight days of one signal for two stages; one doubled three quarters of an hour ago."""
    folder = server_folder / "regression"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    lines = ["# TYPE stage_seconds gauge"]
    total = 0
    counter = ["# TYPE work counter"]
    for minute in range(DAYS * 1440 + 1):
        at = NOW - DAYS * 86400 + 60 * minute
        for stage, factor in (("build", 1.0), ("test", 2.0 if minute > DAYS * 1440 - 45 else 1.0)):
            value = factor * math.exp(random.normal(2, 0.1))
            lines.append(f'stage_seconds{{pipeline="main",stage="{stage}",instance="a"}} {value:.4f} {at:.0f}')
        total = 0 if minute == 5000 else total + 60
        counter.append(f'work_total{{pipeline="main"}} {total} {at:.0f}')
    (folder / "history.om").write_text("\n".join([*lines, *counter, "# EOF", ""]))
    data = folder / "data"
    subprocess.run(
        [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "history.om", data],
        check=True,
        capture_output=True,
    )
    config = folder / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    # the history is old: without a long retention the blocks are deleted at the start
    return launch.prometheus(processes, _with_retention(tool("prometheus"), folder), data, config)


def _with_retention(program: Path, folder: Path) -> Path:
    script = folder / "prometheus-with-retention"
    script.write_text(f'#!/bin/sh\nexec "{program}" --storage.tsdb.retention.time=100y "$@"\n')
    script.chmod(0o755)
    return script


def settings(url: str, **changes: object) -> RegressionSettings:
    values: dict[str, object] = {
        "prometheus_url": url,
        "signals": (Signal(name="stage", expr="stage_seconds", threshold=100.0),),
        "lag_seconds": 0.0,
        **changes,
    }
    return RegressionSettings(**values)  # type: ignore[arg-type] # the tests change one field at a time


async def test_a_stage_that_doubled_is_named(prometheus: str, tmp_path: Path) -> None:
    """From eight days of history to gauges: one stage is worse, the other is not; a second start goes on from disk."""
    instruments = Instruments(Service.ANALYZER)
    analyzer = RegressionAnalyzer(settings(prometheus, state=tmp_path), instruments, clock=lambda: NOW)
    async with PrometheusHistory(prometheus) as history:
        await analyzer.cycle(history)
    text = instruments.render()[0].decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def told(name: str, stage: str) -> float:
        labels = f'{{pipeline="main",signal="stage",stage="{stage}"}}'
        shown = {_sorted(key): value for key, value in samples.items()}
        return float(shown[_sorted(f"jelmore_regression_{name}{labels}")])

    assert told("change_ratio", "test") == pytest.approx(1.0, abs=0.15)
    assert told("change_lower_ratio", "test") < 1.0 < told("change_upper_ratio", "test")
    assert told("early_warning", "test") == told("severe", "test") == 1
    assert told("change_point_timestamp_seconds", "test") == pytest.approx(NOW - 45 * 60, abs=600)
    assert told("q_value", "test") < 0.01 < told("q_value", "build")
    assert told("early_warning", "build") == told("severe", "build") == 0
    assert told("baseline", "build") == pytest.approx(math.exp(2), rel=0.1)
    assert told("baseline_ready", "build") == 1
    assert 0 <= told("anomaly_score", "build") <= 100
    assert samples['jelmore_analyzer_series{analyzer="regression"}'] == "2.0"
    assert analyzer.checks()["prometheus"].ok

    await analyzer.save()
    again = await started_again(settings(prometheus, state=tmp_path))
    assert again.detector is not None
    assert again.detector.ready.all()
    async with PrometheusHistory(prometheus) as history:
        assert await again.read_new(history, NOW) == 0


async def started_again(again: RegressionSettings) -> MonitoredSignal:
    """What an analyzer knows at its start, before it has read anything: nothing answers at port 9."""
    analyzer = RegressionAnalyzer(again, Instruments(Service.ANALYZER), clock=lambda: NOW)
    async with PrometheusHistory("http://127.0.0.1:9") as nobody:
        await analyzer.cycle(nobody)
    [watch] = analyzer.signals
    return watch


async def test_state_is_kept_in_redis_for_all_replicas_and_learnt_again_when_lost(
    prometheus: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica goes on from what one learnt; the keys expire; without them history is read again."""
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
        assert again.detector.save() == first.signals[0].detector.save()  # type: ignore[union-attr] # it has learnt
        assert await again.read_new(history, NOW) == 0

        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        lost = await started_again(shared)
        assert lost.detector is None
        assert await lost.read_new(history, NOW) == 3 * 1440 + 1


async def test_only_the_replica_that_leads_keeps_what_is_shared(prometheus: str, redis_url: str) -> None:
    """Two that write what they learnt in turns would be waste; a lease that is not held is another's."""
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


async def test_without_redis_it_learns_from_history(prometheus: str, caplog: pytest.LogCaptureFixture) -> None:
    """A place to keep things that is away is no reason not to judge."""
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


def _sorted(key: str) -> str:
    name, _, labels = key.rstrip("}").partition("{")
    return f"{name}{{{','.join(sorted(labels.split(',')))}"


async def test_a_young_series_has_its_change_point_and_no_verdict(prometheus: str) -> None:
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


async def test_of_two_replicas_one_speaks(prometheus: str, nats_url: str) -> None:
    """Both learn; gauges of the one that does not lead are absent, so that nothing is doubled."""
    nats = NatsSettings(url=nats_url)
    instruments = [Instruments(Service.ANALYZER), Instruments(Service.ANALYZER)]
    short = settings(prometheus, cycle_seconds=1.0, history_seconds=3 * 86400.0)
    replicas = [
        RegressionAnalyzer(short, each, lease=Lease(nats, "regression-test"), clock=lambda: NOW) for each in instruments
    ]
    running = [asyncio.create_task(replica.run()) for replica in replicas]
    try:
        async with asyncio.timeout(60):
            while not all(replica.checks()["prometheus"].ok for replica in replicas):
                await asyncio.sleep(0.1)
            while not (speaking := [_speaks(each) for each in instruments]).count(True):
                await asyncio.sleep(0.1)
        assert speaking.count(True) == 1
    finally:
        await tasks.end(*running)


def _speaks(instruments: Instruments) -> bool:
    return "jelmore_regression_baseline_ready{" in instruments.render()[0].decode()


async def test_damaged_state_is_learnt_again(prometheus: str, tmp_path: Path) -> None:
    """What is lost on disk is rebuilt from history."""
    (tmp_path / "stage.state").write_bytes(b"\x00\x00\x00\x02{}nonsense")

    assert (await started_again(settings(prometheus, state=tmp_path))).detector is None


async def test_a_counter_is_read_as_a_rate_across_its_restart(prometheus: str) -> None:
    """One a second throughout, though the counter went back to 0."""
    async with PrometheusHistory(prometheus) as history:
        read = await history.read("work_total", start=NOW - DAYS * 86400, count=DAYS * 1440 + 1, step=60)
    [totals] = read.values()
    rate = rates(totals, 60)

    assert np.isnan(rate[0])
    assert rate[5000] == 0, "what the counter shows after a restart was counted since"
    assert np.delete(rate[1:], 4999).tolist() == [1.0] * (DAYS * 1440 - 1)


async def test_gaps_stay_gaps(prometheus: str) -> None:
    """Before the history began and after it ended there is nothing, rather than 0."""
    async with PrometheusHistory(prometheus) as history:
        read = await history.read("stage_seconds", start=NOW - DAYS * 86400 - 600, count=20, step=60)
    for values in read.values():
        assert np.isnan(values[:10]).all()
        assert np.isfinite(values[10:]).all()


async def test_a_refused_query_says_which_and_why(prometheus: str) -> None:
    """The message has the reason that Prometheus gave, the hint the query."""
    async with PrometheusHistory(prometheus) as history:
        with pytest.raises(SourceError, match=r"^Prometheus refused a query \(400\): ") as caught:
            await history.read("sum(", start=NOW, count=1, step=60)
    assert "sum(" in caught.value.hint


async def test_without_prometheus_it_waits_and_says_so() -> None:
    """Not able is not dead: the check fails, the service goes on."""
    analyzer = RegressionAnalyzer(settings("http://127.0.0.1:9"), Instruments(Service.ANALYZER), clock=lambda: NOW)
    async with PrometheusHistory("http://127.0.0.1:9") as history:
        await analyzer.cycle(history)

    assert not analyzer.checks()["prometheus"].ok


async def test_the_service_serves_and_leaves_nothing(prometheus: str) -> None:
    """As production starts it: metrics, health, and no task afterwards."""
    analyzer = Analyzer(
        {"regression": lambda instruments: RegressionAnalyzer(settings(prometheus), instruments, clock=lambda: NOW)},
        AnalyzerSettings(listen=ListenAddress("127.0.0.1", 0)),
    )
    await analyzer.start()
    try:
        async with asyncio.timeout(60):
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


def test_more_evidence_is_less_chance() -> None:
    """Falling throughout, and 9 % at the alarm threshold, as measured."""
    chances = p_values(np.linspace(0, 4, 81))

    assert (np.diff(chances) <= 0).all()
    assert p_values(np.array([1.0]))[0] == pytest.approx(0.09)
    assert p_values(np.array([3.0]))[0] < 1e-6


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    """Against the definition: the smallest level at which the step-up procedure rejects."""
    p = np.array([0.01, 0.04, 0.03, 0.5, 0.005])
    ranks = {value: rank for rank, value in enumerate(sorted(p), start=1)}
    slow = [min(1.0, *(other * len(p) / ranks[other] for other in p if other >= one)) for one in p]

    np.testing.assert_allclose(q_values(p), slow)
    assert q_values(np.empty(0)).tolist() == []


def test_a_slope_is_found_despite_outliers() -> None:
    """Theil-Sen, its interval, and no slope in noise."""
    random = np.random.default_rng(1)
    values = 5 + 0.01 * np.arange(72) + random.normal(0, 0.05, 72)
    values[[5, 20, 60]] += 10
    found = slope(values, 300.0)
    assert found is not None

    assert found.lower < 0.01 / 300 < found.upper
    assert found.lower > 0
    flat = slope(random.normal(0, 1, 72), 300.0)
    assert flat is not None
    assert flat.lower < 0 < flat.upper
    assert slope(np.full(72, np.nan), 300.0) is None


@pytest.mark.parametrize(
    ("trend", "expected"),
    [
        pytest.param(Slope(2.0, 1.0, 3.0), 25.0, id="every end leads there"),
        pytest.param(Slope(0.5, -0.1, 1.0), None, id="the ends do not agree"),
        pytest.param(Slope(-1.0, -2.0, -0.5), None, id="it leads away"),
    ],
)
def test_a_forecast_needs_both_ends(trend: Slope, expected: float | None) -> None:
    """From 50 to 100."""
    assert time_to(100.0, 50.0, trend) == expected


def test_signals_are_read_with_all_their_faults(tmp_path: Path) -> None:
    """Every mistake of the file at once; a right one gives what it says."""
    good = tmp_path / "signals.yaml"
    good.write_text(
        "signals:\n  errors: {expr: errors_total, worse: up, counter: true, threshold: 5, time_zone: Asia/Tokyo}\n"
    )
    assert load(good) == (
        Signal(name="errors", expr="errors_total", counter=True, threshold=5.0, time_zone="Asia/Tokyo"),
    )

    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "signals:\n  a: {expr: x, worse: sideways}\n  b: {colour: red}\n  c: {expr: x, time_zone: Mars/Base}\n"
    )
    with pytest.raises(DefinitionError) as caught:
        load(bad)
    assert len(caught.value.problems) >= 4
    assert "no time zone 'Mars/Base'" in str(caught.value)


def test_the_default_signals_are_accepted(prometheus: str) -> None:
    """Each is PromQL that a real Prometheus takes."""

    async def ask() -> None:
        async with PrometheusHistory(prometheus) as history:
            for signal in DEFAULTS:
                assert await history.read(signal.expr, start=NOW, count=1, step=60) == {}

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"prometheus_url": "localhost:9090"}, "is not an HTTP URL", id="no scheme"),
        pytest.param({"history_seconds": 3600.0}, "at least 3d", id="too little history"),
        pytest.param({"cycle_seconds": 0.0}, "from 1s", id="no interval"),
        pytest.param({"time_zone": "Europe/Berln"}, "--regression.time-zone: no time zone", id="no such zone"),
        pytest.param({"redis_url": "127.0.0.1:6379"}, "--redis.url: not the address of a Redis", id="no Redis scheme"),
        pytest.param(
            {"redis_url": "redis://:pw@host/0"},
            "--redis.url: not the address of a Redis",
            id="a password in the open",
        ),
        pytest.param(
            {"redis_url": "redis://host/0", "state": Path("x")},
            "--regression.state and --redis.url exclude each other",
            id="two places",
        ),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    """With the flag at fault."""
    with pytest.raises(ConfigError, match=message):
        settings("http://127.0.0.1:9090", **changes)


def young_series(random: np.random.Generator, *, factor: float) -> Floats:
    """Two hours of which the last minutes hold values: means over ranges that overlap, with a slow-down perhaps."""
    each = np.exp(random.normal(0, 0.3, 96))
    each[56:] *= factor
    means = np.convolve(each, np.ones(6) / 6, "valid")
    return np.concatenate([np.full(2309, np.nan), means])


def test_a_young_change_has_an_honest_interval() -> None:
    """The doubling is within it and 0 is not; what was before the series began is no level that it rose from."""
    random = np.random.default_rng(7)
    found = [newest_change(young_series(random, factor=2.0)) for _ in range(40)]
    known = [change for change in found if change is not None]

    assert len(known) >= 36
    assert sum(change.lower < 1.0 < change.upper for change in known) >= 0.9 * len(known)
    assert sum(change.lower > 0 for change in known) >= 0.8 * len(known)
    assert sum(abs(change.first - 2309 - 53) <= 8 for change in known) >= 0.9 * len(known)

    steady = [newest_change(young_series(random, factor=1.0)) for _ in range(40)]
    assert sum(change is not None and not change.lower < 0 < change.upper for change in steady) <= 3


def test_a_young_series_that_was_empty_or_zero_has_no_ratio() -> None:
    """Nothing known, and nothing that could be divided by."""
    assert newest_change(np.full(100, np.nan)) is None
    assert newest_change(np.repeat([0.0, 5.0], 30) + 0.001 * np.tile([0, 1], 30)) is None
