"""How long the board needs for 200 pipelines, 6,000 alerts and 10,000 series: to read them, and to render each page.

    python benchmarks/board/bench_board.py

The limit is 300 ms a page. The services are stand-ins on loopback, as what counts is the board's own time; `parse` is
compared with the parser of prometheus-client.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from jelmon.config.settings import ListenAddress
from jelmon_board.app import Board
from jelmon_board.collection import _WANTED
from jelmon_board.settings import BoardSettings, SourceSettings
from jelmon_board.sources.exposition import parse

PIPELINES, STAGES, ALERTS = 200, 5, 6000
PAGES: tuple[str, ...] = ("/", "/?page=2", "/pipeline?name=pipeline-007", "/stage?pipeline=pipeline-007&stage=stage-2")
PAGES += ("/quality", "/bottlenecks", "/alerts", "/alerts?page=60", "/alerts?q=pipeline-007", "/rules")
REPEATS = 15


def exporter_page(now: float, tick: int) -> str:
    """Return about 6,000 series, some of which grow with each tick."""
    lines = []
    for number in range(PIPELINES):
        pipeline = f'pipeline="pipeline-{number:03}"'
        lines += [
            f"jelmore_cards_in_progress{{{pipeline}}} {number % 7}",
            f"jelmore_cards_waiting{{{pipeline}}} {number % 5}",
            f"jelmore_pipeline_last_activity_timestamp_seconds{{{pipeline}}} {now - number}",
        ]
        for outcome in ("success", "failure"):
            labels = f'{pipeline},outcome="{outcome}"'
            lines += [
                f"jelmore_cards_finished_total{{{labels}}} {tick * (number + 1)}",
                f"jelmore_card_processing_seconds_sum{{{labels}}} {tick * 60.5}",
                f"jelmore_card_processing_seconds_count{{{labels}}} {tick}",
            ]
        for stage in range(STAGES):
            labels = f'{pipeline},stage="stage-{stage}"'
            lines += [
                f"jelmore_stage_position{{{labels}}} {stage + 1}",
                f"jelmore_stage_queue_depth{{{labels}}} {(stage + tick) % 4}",
                f"jelmore_stage_runs_in_progress{{{labels}}} {stage % 3}",
                f"jelmore_stage_queue_seconds_sum{{{labels}}} {tick * 4}",
                f"jelmore_stage_queue_seconds_count{{{labels}}} {tick}",
                f'jelmore_stage_runs_finished_total{{{labels},outcome="success"}} {tick}',
                f'jelmore_stage_run_seconds_sum{{{labels},outcome="success"}} {tick * 9}',
                f'jelmore_stage_run_seconds_count{{{labels},outcome="success"}} {tick}',
            ]
    return "\n".join(lines) + "\n"


def analyzer_page() -> str:
    """Return about 4,000 series of the analyzers."""
    lines = []
    for number in range(PIPELINES):
        pipeline = f'pipeline="pipeline-{number:03}"'
        lines.append(f"jelmore_health_score{{{pipeline}}} {number % 100}")
        lines.append(
            f'jelmore_bottleneck_info{{{pipeline},stage="stage-{number % STAGES}",state="steady",cause="none"}} 1'
        )
        for stage in range(STAGES):
            labels = f'{pipeline},stage="stage-{stage}"'
            lines += [
                f"jelmore_bottleneck_{name}{{{labels}}} {number % 100}"
                for name in ("severity_score", "gain_seconds", "impact_seconds", "utilisation_ratio")
            ]
    return "\n".join(lines) + "\n"


def alerts() -> list[dict[str, object]]:
    """Return firing alerts as Alertmanager lists them."""
    return [
        {
            "labels": {
                "alertname": f"Alert{number % 40}",
                "severity": ("critical", "warning", "info")[number % 3],
                "pipeline": f"pipeline-{number % PIPELINES:03}",
                "number": str(number),
            },
            "annotations": {
                "summary": f"Something is wrong with number {number}",
                "runbook_url": "https://example.org",
            },
            "startsAt": "2026-01-31T12:00:00Z",
            "fingerprint": f"{number:x}",
            "receivers": [{"name": "responder"}],
            "status": {"state": "active", "inhibitedBy": [], "silencedBy": []},
        }
        for number in range(ALERTS)
    ]


async def main() -> None:
    """Start the stand-ins and the board, and measure."""
    tick = 0

    async def exporter(_: web.Request) -> web.Response:
        nonlocal tick
        tick += 1
        return web.Response(text=exporter_page(time.time(), tick))

    pages: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {"/exporter/metrics": exporter}
    analyzed, listed = analyzer_page(), alerts()

    async def analyzer(_: web.Request) -> web.Response:
        return web.Response(text=analyzed)

    async def firing(_: web.Request) -> web.Response:
        return web.json_response(listed)

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response([])

    pages |= {"/analyzer/metrics": analyzer, "/api/v2/alerts": firing, "/api/v2/silences": nothing}
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in pages.items()])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sources = SourceSettings(
        exporters=(f"{base}/exporter",),
        analyzers=(f"{base}/analyzer",),
        responder=base,
        alertmanager=base,
        embedded=True,
    )
    board = Board(BoardSettings(sources=sources, listen=ListenAddress("127.0.0.1", 0), refresh_seconds=300))
    await board.start()
    try:
        while not board.collector.snapshot.taken:
            await asyncio.sleep(0.1)
        seconds = []
        for _ in range(5):
            began = time.process_time()
            await board.collector.collect()
            seconds.append(time.process_time() - began)
        text = exporter_page(time.time(), 3) + analyzed
        series = text.count("\n")
        print(f"{series} series, {len(board.collector.snapshot.alerts)} alerts, {PIPELINES} pipelines")
        print(f"one reading of all sources: {statistics.median(seconds) * 1000:.0f} ms of CPU, with the stand-ins' own")
        for name, read in (("parse", lambda: parse(text, _WANTED)), ("prometheus-client", lambda: _official(text))):
            began = time.process_time()
            read()
            print(f"  {name}: {(time.process_time() - began) * 1000:.0f} ms of CPU")
        async with aiohttp.ClientSession() as session:
            print(f"{'page':44} {'median':>8} {'worst':>8} {'CPU':>8} {'kB':>6}")
            for path in PAGES:
                await _measure(session, f"{board.server.url}{path}", path)
    finally:
        await board.stop()
        await runner.cleanup()


async def _measure(session: aiohttp.ClientSession, url: str, path: str) -> None:
    waits, size = [], 0
    began_cpu = time.process_time()
    for _ in range(REPEATS):
        began = time.perf_counter()
        async with session.get(url) as response:
            size = len(await response.read())
            assert response.status == 200, (path, response.status)
        waits.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time() - began_cpu) * 1000 / REPEATS
    print(f"{path:44} {statistics.median(waits):5.0f} ms {max(waits):5.0f} ms {cpu:5.0f} ms {size / 1000:6.0f}")


def _official(text: str) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


if __name__ == "__main__":
    asyncio.run(main())
