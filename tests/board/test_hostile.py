"""Whatever the sources send, pages are answered, escaped, and link to nothing but web pages."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.board.conftest import NOWHERE, StartBoard, eventually

from jelmon_board.charts.line_chart import line_chart
from jelmon_board.model.matchers import Matcher
from jelmon_board.settings import BoardSettings, SourceSettings

_NAME = r"""<script>alert(1)</script>"onload='x' {{7*7}} &amp; ]]> \u202e"""
_LABEL = _NAME.replace("\\", "\\\\").replace('"', '\\"')
_METRICS = "\n".join(
    f'{name}{{pipeline="{_LABEL}",{more}}} {value}'
    for name, more, value in (
        ("jelmore_cards_in_progress", "", "1e300"),
        ("jelmore_cards_waiting", "", "-5"),
        ("jelmore_pipeline_last_activity_timestamp_seconds", "", "1e30"),
        ("jelmore_pipeline_stall_limit_seconds", "", "0.5"),
        ("jelmore_stage_position", f'stage="{_LABEL}"', "1"),
        ("jelmore_stage_position", 'stage=""', "+Inf"),
        ("jelmore_stage_queue_depth", f'stage="{_LABEL}"', "1e18"),
        ("jelmore_stage_runs_in_progress", f'stage="{_LABEL}"', "-1e9"),
        ("jelmore_stage_oldest_running_timestamp_seconds", f'stage="{_LABEL}"', "-1e300"),
        ("jelmore_bottleneck_info", f'stage="{_LABEL}",state="{_LABEL}",cause="{_LABEL}"', "1"),
        ("jelmore_bottleneck_severity_score", f'stage="{_LABEL}"', "1e9"),
        ("jelmore_bottleneck_gain_seconds", f'stage="{_LABEL}"', "NaN"),
        ("jelmore_regression_change_ratio", f'signal="{_LABEL}",stage="{_LABEL}"', "1e200"),
        ("jelmore_regression_change_point_timestamp_seconds", f'signal="{_LABEL}",stage="{_LABEL}"', "1e200"),
        ("jelmore_gate_evaluations_total", f'gate="{_LABEL}",verdict="failed"', "1e17"),
        ("jelmore_test_failures_total", f'category="{_LABEL}",reason="{_LABEL}"', "3"),
        ("jelmore_health_score", "", "-7"),
    )
)
_ALERT = {
    "labels": {"alertname": _NAME, "severity": _NAME, "pipeline": _NAME, "escalation_level": "9" * 50},
    "annotations": {"summary": _NAME, "runbook_url": "javascript:alert(1)"},
    "startsAt": "0001-01-01T00:00:00Z",
    "fingerprint": _NAME,
}
_SILENCE = {
    "id": _NAME,
    "matchers": [{"name": "alertname", "value": "(a+)+$|[", "isRegex": True}],
    "startsAt": "2026-01-31T12:00:00Z",
    "endsAt": "9999-12-31T23:59:59Z",
    "status": {"state": "active"},
    "comment": _NAME,
    "createdBy": _NAME,
}


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=_METRICS)

    async def alerts(_: web.Request) -> web.Response:
        return web.json_response([_ALERT, {**_ALERT, "annotations": {}, "labels": {}}])

    async def silences(_: web.Request) -> web.Response:
        return web.json_response([_SILENCE])

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/api/v2/alerts", alerts)])
    app.add_routes([web.get("/api/v2/silences", silences)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_pages_stand_any_label_and_any_value(hostile: str, start_board: StartBoard) -> None:
    sources = SourceSettings(
        exporters=(hostile,), analyzers=(hostile,), alertmanager=hostile, responder=NOWHERE, embedded=True
    )
    board = await start_board(BoardSettings(sources=sources, refresh_seconds=1, enable_actions=True))

    async def known() -> Any:
        return board.collector.snapshot.pipelines and board.collector.snapshot.alerts

    await eventually(known)
    name = quote(board.collector.snapshot.pipelines[0].name)
    pages = ("/", "/quality", "/bottlenecks", "/alerts", "/rules", f"/pipeline?name={name}")
    async with aiohttp.ClientSession() as session:
        for path in (*pages, f"/stage?pipeline={name}&stage={name}", "/?page=99999999&q=%00", f"/alerts?q={name}"):
            async with session.get(f"{board.server.url}{path}") as response:
                text = await response.text()
                policy = response.headers["Content-Security-Policy"]

            assert response.status == 200, path
            assert len(re.findall(r"<script", text)) == 1, path  # the board's own
            assert "javascript:alert" not in text, path
            assert " onload='" not in text.replace("&#39;", "'") or "&#34;onload" in text, path
            assert "unsafe-inline" not in policy, path
            assert re.findall(r"\sstyle=|\son\w+=\"", text) == [], path
            assert "49" not in text.partition("<main")[2].partition("</h1>")[0], path


_NUMBERS = st.floats(allow_nan=True, allow_infinity=False)


@given(st.lists(_NUMBERS, max_size=30), st.sampled_from(["s", "%", "/h", "", "cards"]))
def test_any_values_can_be_drawn(values: list[float], unit: str) -> None:
    drawing = line_chart(values, title="<t>", unit=unit, start=0, step=30, band=(1.0, 2.0))

    assert "<t>" not in drawing
    assert not re.search(r'="-?(nan|inf)', drawing)


def test_matchers_are_those_of_alertmanager() -> None:
    labels = {"a": "x\ny", "b": ""}
    matching = {
        'a="x\\ny"': True,
        "a=~x.*": True,
        "a!~x.*": False,
        'b=""': True,
        'c=""': True,
        "c!=x": True,
        'a=~"(a+)+$|["': False,
    }

    assert {text: bool((m := Matcher.parse(text)) and m.fits(labels)) for text in matching} == matching
    assert Matcher.parse("no matcher") is None
    assert str(Matcher("a", 'x"y', is_regex=True, is_equal=False)) == 'a!~"x\\"y"'
