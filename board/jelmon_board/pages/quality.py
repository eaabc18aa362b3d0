"""The quality page: gates, tests, failures, scans."""

import asyncio
from typing import Any

from aiohttp import web

from jelmon import catalogue as c
from jelmon.errors import JelmonError
from jelmon.events import TestOutcome
from jelmon_board.collection import Collector
from jelmon_board.model import quality as figures
from jelmon_board.model.samples import Key
from jelmon_board.model.wording import duration

DAY = "24h"
MOST_ROWS = 100


async def quality(collector: Collector, request: web.Request) -> dict[str, Any]:
    """Return what the template shows, of all pipelines or of one."""
    snapshot = collector.snapshot
    wanted = request.query.get("pipeline", "")
    earlier, period, problem = {}, "since the exporter began to count", ""
    if collector.prometheus is not None:
        try:
            earlier, period = await _earlier(collector), "in the last 24 hours"
        except JelmonError as error:
            problem = error.message
    grown = figures.growth(snapshot.samples, earlier)
    if wanted:
        grown = {name: {key: v for key, v in rows.items() if key[0] == wanted} for name, rows in grown.items()}
    seconds = snapshot.samples.sum_by(f"{c.TEST_TIME.name}_sum", ("pipeline", "category"), c.TEST_TIME.labels)
    runs = snapshot.samples.sum_by(f"{c.TEST_TIME.name}_count", ("pipeline", "category"), c.TEST_TIME.labels)
    return {
        "wanted": wanted,
        "names": [row.name for row in snapshot.pipelines][:200],
        "period": period,
        "problem": problem,
        "gates": figures.gates(grown)[:MOST_ROWS],
        "tests": figures.tests(grown)[:MOST_ROWS],
        "test_outcomes": [outcome.value for outcome in TestOutcome],
        "mean": {key: duration(seconds[key] / count) for key, count in runs.items() if count and key in seconds},
        "flaky": {key[:2]: value for key, value in grown[c.TEST_FAILURES.name].items() if key[2] == "flaky"},
        "failures": figures.failures(grown)[:30],
        "scans": figures.scans(grown)[:MOST_ROWS],
        "findings": {row.names: row for row in figures.findings(grown)},
        "retries": sorted(
            ((key, value) for key, value in grown[c.STAGE_RETRIES.name].items() if value >= 0.5), key=lambda r: -r[1]
        )[:20],
    }


async def _earlier(collector: Collector) -> dict[str, dict[Key, float]]:
    prometheus = collector.prometheus
    assert prometheus is not None

    async def read(counter: c.Counter) -> dict[Key, float]:
        by = ", ".join(counter.labels)
        values = await prometheus.values(f"max by ({by}) ({counter.name} offset {DAY})")
        return {tuple(labels.get(name, "") for name in counter.labels): value for labels, value in values}

    found = await asyncio.gather(*(read(counter) for counter in figures.COUNTERS))
    return {counter.name: values for counter, values in zip(figures.COUNTERS, found, strict=True)}
