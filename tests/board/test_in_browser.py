"""Every page in real Chromium: with all services, with a stall that ends, with nothing, and with everything missing.

One browser for all of it, because a browser and the services take seconds to start.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.board.browser import Tab
from tests.board.conftest import NOWHERE, Stack, StartBoard, eventually, get

from jelmon_board.settings import BoardSettings, SourceSettings

_STAGE = {"pipeline": "demo", "stage": "test_execution"}
_PAGES = {
    "start": "/",
    "pipeline": "/pipeline?name=demo",
    "stage": f"/stage?{urlencode(_STAGE)}",
    "quality": "/quality",
    "bottlenecks": "/bottlenecks",
    "alerts": "/alerts",
    "rules": "/rules",
}
_VARIANTS = (("light", 1280), ("dark", 400))
_PICTURES = os.environ.get("JELMON_TEST_PICTURES")
_VIOLATIONS = """axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations
    .filter((rule) => ['serious', 'critical'].includes(rule.impact))
    .map((rule) => [rule.id, rule.nodes.map((node) => node.html.slice(0, 200))]))"""


@pytest.mark.timeout(600)
async def test_every_page_with_a_stalled_pipeline_that_recovers(
    stack: Stack, start_board: StartBoard, tab: Tab, axe: str
) -> None:
    board = await start_board(BoardSettings(sources=stack.sources, refresh_seconds=1, enable_actions=True))
    url = board.server.url

    async def complete() -> bool:
        snapshot = board.collector.snapshot
        row = snapshot.pipeline("demo")
        names = {alert.name for alert in snapshot.alerts}
        return bool(
            row and row.limit and row.health and "PipelineStalled" in names and snapshot.episodes and snapshot.rules
        )

    await eventually(complete)
    for name, path in _PAGES.items():
        await _look(tab, url, path, name, axe)
    await _shows_what_is_asked_at_night(tab, url)
    await _works_without_scripts(tab, url)
    await _can_be_used_with_the_keyboard(tab, url)
    await _acknowledges(tab, url)
    await _follows_recovery(tab, url, stack)
    stack.stop()
    await _says_what_is_missing(tab, url)


@pytest.mark.timeout(600)
async def test_pages_with_nothing_and_with_an_exporter_alone(start_board: StartBoard, tab: Tab, axe: str) -> None:
    nowhere = SourceSettings(
        exporters=(NOWHERE,), analyzers=(NOWHERE,), responder=NOWHERE, prometheus=NOWHERE, alertmanager=NOWHERE
    )
    board = await start_board(BoardSettings(sources=nowhere, refresh_seconds=1))
    url = board.server.url
    await tab.open(url)
    await tab.until("document.body.innerText.includes('jelmon exporter')")
    for name, path in _PAGES.items():
        if name not in ("pipeline", "stage"):
            await _look(tab, url, path, f"missing-{name}", axe, [("dark", 400)])
    status, text = await get(f"{url}/pipeline?name=%3Cscript%3E")

    assert status == 404
    assert "<script>" not in text.partition("<main")[2]
    assert "&lt;script&gt;" in text


async def _look(
    tab: Tab, url: str, path: str, name: str, axe: str, variants: Sequence[tuple[str, int]] = _VARIANTS
) -> None:
    """The page complains about nothing, asks nobody else, fits a telephone, and keeps nobody out."""
    for scheme, width in variants:
        await tab.open(url + path, width=width, scheme=scheme)
        await tab.value(f"{axe};0")

        assert await tab.value(_VIOLATIONS) == [], (name, scheme, width)
        assert tab.complaints == [], name
        assert [request for request in tab.requests if not request.startswith((url, "data:"))] == []
        assert await tab.value("document.documentElement.scrollWidth <= innerWidth"), (name, width)
        if _PICTURES:
            await tab.picture(Path(_PICTURES) / f"{name}-{scheme}.png")


async def _text(tab: Tab, selector: str) -> str:
    text: Any = await tab.value(f"document.querySelector({selector!r})?.innerText ?? ''")
    return str(text)


async def _shows_what_is_asked_at_night(tab: Tab, url: str) -> None:
    await tab.open(url)

    assert "stalled" in await _text(tab, ".headline")
    assert "demo" in await _text(tab, ".headline")
    assert "CRITICAL" in (await _text(tab, ".alerts .alert")).upper()
    facts = await _text(tab, ".facts")
    for words in ("Limiting stage", "of 30 s allowed", "What changed", "of 100"):
        assert words in facts
    assert await tab.value("document.querySelectorAll('.plots svg.chart').length") == 6
    assert await tab.value("document.querySelectorAll('svg.chart .threshold.critical').length") >= 1
    await tab.open(f"{url}/pipeline?name=demo")
    names = await tab.value("[...document.querySelectorAll('svg.map:not(.upright) .name')].map((n) => n.textContent)")
    assert names == ["code_analysis", "test_execution", "quality_gates", "security_scan", "deploy"]
    await tab.open(f"{url}/alerts?q=PipelineStalled")
    assert await tab.value("document.querySelector('.alert .do a').href.endsWith('/PipelineStalled.md')")
    await tab.open(f"{url}/rules")
    assert "on-call engineer after 15m" in await _text(tab, "table")


async def _works_without_scripts(tab: Tab, url: str) -> None:
    await tab.open(url, scripts=False)
    text = str((await tab.send("Runtime.evaluate", expression="document.body.innerText"))["result"].get("value"))

    assert "stalled" in text
    assert "Reload" in text


async def _can_be_used_with_the_keyboard(tab: Tab, url: str) -> None:
    await tab.open(url)
    wanted, seen = {"Now", "Rules", "Pause", "demo", "Runbook", "Acknowledge", "Silence"}, list[str]()
    for _ in range(60):
        for kind in ("keyDown", "keyUp"):
            await tab.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(str(await tab.value("document.activeElement.innerText || document.activeElement.id")).strip())
        if wanted <= set(seen):
            break

    assert seen[0] == "Skip to content"
    assert wanted <= set(seen)


async def _acknowledges(tab: Tab, url: str) -> None:
    await tab.open(f"{url}/alerts?q=PipelineStalled")
    await tab.value("document.querySelector('details.act').open = true")
    await tab.value("document.querySelector('details.act [name=author]').value = 'ann <b>'")
    await tab.value("document.querySelector('details.act form').requestSubmit()")
    await tab.until("document.querySelector('.done') !== null")
    await tab.until("document.querySelector('#firing')?.innerText.includes('acknowledged by ann <b>')", seconds=120)


async def _follows_recovery(tab: Tab, url: str, stack: Stack) -> None:
    """An open page changes by itself, unless it is paused. The pipeline may rest for an hour from then on."""
    await tab.open(url)
    await tab.value("document.getElementById('pause').click()")
    emit = [sys.executable, "-m", "jelmon", "emit", "--nats.url", stack.nats]
    declared = ["pipeline.declared", "--pipeline", "demo", "--subject", "demo", "--stall-limit-seconds", "3600"]
    declared += ["--stages", '[{"stage": "code_analysis"}]']
    for event in (declared, ["card.started", "--pipeline", "demo", "--subject", "fresh"]):
        await asyncio.to_thread(subprocess.run, [*emit, *event], check=True, timeout=120, capture_output=True)

    async def recovered() -> bool:
        return "is stalled" not in (await get(url))[1].partition("<main")[2].partition("</h1>")[0]

    await eventually(recovered)
    assert "is stalled" in await _text(tab, ".headline")  # paused
    await tab.value("document.getElementById('pause').click()")
    await tab.until("!document.querySelector('.headline').innerText.includes('is stalled')", seconds=120)


async def _says_what_is_missing(tab: Tab, url: str) -> None:
    """What was known is gone or marked, and each part says what to start."""
    for words in ("Alertmanager at", "start it: jelmon exporter", "jelmon analyzer all", "--embedded"):
        await tab.until(f"document.body.innerText.includes({words!r})", seconds=120)  # each source in its own rhythm
