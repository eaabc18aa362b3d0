"""Regressions as findings, from this process or from Prometheus."""

import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from tests.analyzers.suggestions.conftest import REGRESSIONS, open_suggestions

from jelmon import catalogue as c
from jelmon.catalogue import Service
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.service.registry import Instruments
from jelmon_analyzers.suggestions.regressions import Regressions

SLOWER = {"signal": "stage_run_seconds", "pipeline": "demo", "stage": "deploy"}

FEWER = {"signal": "cards_per_hour", "pipeline": "demo", "stage": ""}

USUAL = {"signal": "stage_queue_seconds", "pipeline": "demo", "stage": "deploy"}


def _gauges() -> list[tuple[c.Gauge, dict[str, str], float]]:
    """Two signals got worse, one of them gravely; the third is as usual."""
    rows = ((SLOWER, 0.8, 1.0, 1.0), (FEWER, -0.3, 1.0, 0.0), (USUAL, 0.02, 0.0, 0.0))
    return [
        (gauge, labels, value)
        for labels, *values in rows
        for gauge, value in zip(
            (c.REGRESSION_CHANGE, c.REGRESSION_EARLY_WARNING, c.REGRESSION_SEVERE, c.REGRESSION_BASELINE_READY),
            (*values, 1.0),
            strict=True,
        )
    ]


async def test_regressions_of_the_same_process_need_no_prometheus() -> None:
    """`jelmon analyzer all`: the gauges are read directly."""
    instruments = Instruments(Service.ANALYZER)
    regressions = Regressions(instruments, "http://127.0.0.1:9", every_seconds=1)
    for gauge, labels, value in _gauges():
        instruments.set(gauge, value, **labels)
    async with aiohttp.ClientSession() as session:
        await regressions.update(session)

    assert sorted(regressions.findings, key=lambda one: one.about) == REGRESSIONS
    assert regressions.trouble == ""


async def test_regressions_of_another_process_come_from_prometheus(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """Two replicas of the analyzer report the same; without Prometheus there are no findings."""
    rules, config = tmp_path / "rules.yml", tmp_path / "prometheus.yml"
    told = "".join(
        f"      - record: {gauge.name}\n        expr: vector({value})\n"
        f"        labels: {{instance: {replica}, job: jelmon-analyzer"
        + "".join(f", {name}: '{text}'" for name, text in labels.items())
        + "}\n"
        for gauge, labels, value in _gauges()
        for replica in ("a", "b")
    )
    rules.write_text(f"groups:\n  - name: told\n    interval: 1s\n    rules:\n{told}", encoding="utf-8")
    config.write_text(f"rule_files: ['{rules}']\n", encoding="utf-8")
    with Processes(tmp_path / "logs") as children:
        url = launch.prometheus(children, tool("prometheus"), tmp_path / "data", config)
        regressions = Regressions(Instruments(Service.ANALYZER), url, every_seconds=1)
        until = time.monotonic() + 60
        async with aiohttp.ClientSession() as session:
            while len(regressions.findings) < len(REGRESSIONS):
                assert time.monotonic() < until, regressions.trouble
                await regressions.update(session)

    assert sorted(regressions.findings, key=lambda one: one.about) == REGRESSIONS

    async with aiohttp.ClientSession() as session:
        await regressions.update(session)

    assert regressions.findings == []
    assert regressions.trouble == "Prometheus does not respond"


def test_each_regression_is_a_separate_suggestion() -> None:
    """Two signals of one pipeline do not hide each other, and the advice says which way each moved."""
    suggestions = open_suggestions()
    opened = suggestions.update(REGRESSIONS, 0)

    assert [(one.strategy, one.about, one.action, one.expected_seconds) for one in opened] == [
        ("look_at_change", "cards_per_hour", None, None),
        ("look_at_change", "stage_run_seconds", None, None),
        ("check_dependencies", "stage_run_seconds", "check_dependencies", None),
        ("undo_slow_work", "stage_run_seconds", None, 7.5),
    ]
    assert opened[0].advice == "Review what changed in demo when cards_per_hour fell by 30%."
    assert len({one.id for one in opened}) == 4
