"""A Prometheus with history, and analyzers that read it."""

import math
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from jelmon.catalogue import Service
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.service.registry import Instruments
from jelmon_analyzers.regression.analyzer import RegressionAnalyzer
from jelmon_analyzers.regression.monitored_signal import MonitoredSignal
from jelmon_analyzers.regression.prometheus_history import PrometheusHistory
from jelmon_analyzers.regression.settings import RegressionSettings
from jelmon_analyzers.regression.signals import Signal

NOW = 1_700_438_400.0 + 9 * 86400
DAYS = 8


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def settings() -> Callable[..., RegressionSettings]:
    """Return a function from the URL of a Prometheus and changed fields to settings with one signal."""

    def make(url: str, **changes: object) -> RegressionSettings:
        values: dict[str, object] = {
            "prometheus_url": url,
            "signals": (Signal(name="stage", expr="stage_seconds", threshold=100.0),),
            "lag_seconds": 0.0,
            **changes,
        }
        return RegressionSettings(**values)  # type: ignore[arg-type] # the tests change one field at a time

    return make


@pytest.fixture(scope="session")
def started_again() -> Callable[[RegressionSettings], Awaitable[MonitoredSignal]]:
    """Return a function that gives what an analyzer knows at its start, before it has read anything."""

    async def start(again: RegressionSettings) -> MonitoredSignal:
        analyzer = RegressionAnalyzer(again, Instruments(Service.ANALYZER), clock=lambda: NOW)
        async with PrometheusHistory("http://127.0.0.1:9") as nobody:  # nothing answers at port 9
            await analyzer.cycle(nobody)
        [signal] = analyzer.signals
        return signal

    return start
