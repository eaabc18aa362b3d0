"""What changes something is refused unless a page of the board asks for it."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
from aiohttp import web
from tests.board.conftest import NOWHERE, StartBoard, eventually

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError
from jelmon_board.app import Board
from jelmon_board.settings import BoardSettings, SourceSettings

_LABELS = {"alertname": "PipelineStalled", "severity": "critical", "pipeline": "p", "rule_id": "pipeline_stalled"}
_SOURCES = SourceSettings(
    exporters=(NOWHERE,), analyzers=(NOWHERE,), responder=NOWHERE, prometheus=NOWHERE, alertmanager=NOWHERE
)


class Recorder:
    """An Alertmanager with one alert that records what it is asked for."""

    def __init__(self) -> None:
        self.silences: list[dict[str, Any]] = []
        self.url = ""

    async def alerts(self, _: web.Request) -> web.Response:
        alert = {"labels": _LABELS, "startsAt": "2026-01-31T12:00:00Z", "fingerprint": "f1"}
        return web.json_response([alert])

    async def listed(self, _: web.Request) -> web.Response:
        return web.json_response([{**silence, "id": "s1", "status": {"state": "active"}} for silence in self.silences])

    async def create(self, request: web.Request) -> web.Response:
        self.silences.append(await request.json())
        return web.json_response({"silenceID": "s1"})


@pytest.fixture
async def alertmanager() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    app = web.Application()
    app.add_routes(
        [
            web.get("/api/v2/alerts", recorder.alerts),
            web.get("/api/v2/silences", recorder.listed),
            web.post("/api/v2/silences", recorder.create),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield recorder
    await runner.cleanup()


async def _ready(board: Board) -> tuple[str, str]:
    """The board's URL and the token in its forms."""

    async def token() -> str | None:
        async with aiohttp.ClientSession() as session, session.get(f"{board.server.url}/alerts") as response:
            found = re.search(r'name="token" value="([^"]+)"', await response.text())
        return found[1] if found and board.collector.snapshot.alerts else None

    return board.server.url, await eventually(token)


def _settings(alertmanager: Recorder, **more: Any) -> BoardSettings:
    sources = replace(_SOURCES, alertmanager=alertmanager.url)
    return BoardSettings(sources=sources, enable_actions=True, refresh_seconds=1, **more)


async def _post(url: str, fields: dict[str, str], **headers: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/actions", data=fields, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, await response.text(), response.headers.get("Location", "")


async def test_an_acknowledgement_silences_the_escalation_and_not_the_alert(
    alertmanager: Recorder, start_board: StartBoard
) -> None:
    board = await start_board(_settings(alertmanager))
    url, token = await _ready(board)
    fields = {
        "token": token,
        "action": "acknowledge",
        "alert": "f1",
        "author": "ann",
        "duration": "1h",
        "back": "/?q=1",
    }
    status, _, location = await _post(url, {**fields, "back": "/?q=1"})
    (silence,) = alertmanager.silences

    assert (status, location) == (303, "/?q=1&done=acknowledge")
    assert silence["createdBy"] == "ann"
    assert {(m["name"], m["value"], m["isRegex"]) for m in silence["matchers"]} == {
        *((name, value, False) for name, value in _LABELS.items()),
        ("escalation_level", ".+", True),
    }

    async def acknowledged() -> bool:
        (alert,) = board.collector.snapshot.alerts
        return alert.acknowledgement is not None and alert.silence is None

    await eventually(acknowledged)


_REFUSED: tuple[tuple[dict[str, str], dict[str, str], int], ...] = (
    ({"token": "wrong"}, {}, 403),
    ({"token": ""}, {}, 403),
    ({}, {"Origin": "https://evil.example"}, 403),
    ({}, {"Sec-Fetch-Site": "cross-site"}, 403),
    ({}, {"Host": "evil.example:9750"}, 403),
    ({"alert": "f2"}, {}, 404),
    ({"author": " "}, {}, 400),
    ({"duration": "1y"}, {}, 400),
    ({"duration": "30d"}, {}, 400),
    ({"action": "restart"}, {}, 400),
    ({"action": "expire", "silence": "../alerts"}, {}, 404),
)


async def test_everything_else_is_refused(alertmanager: Recorder, start_board: StartBoard) -> None:
    url, token = await _ready(await start_board(_settings(alertmanager)))
    fields = {"token": token, "action": "silence", "alert": "f1", "author": "ann", "duration": "1h"}
    answers = [(await _post(url, {**fields, **change}, **headers))[0] for change, headers, _ in _REFUSED]

    assert answers == [status for _, _, status in _REFUSED]
    assert alertmanager.silences == []


async def test_a_form_leads_back_to_the_board_only(alertmanager: Recorder, start_board: StartBoard) -> None:
    url, token = await _ready(await start_board(_settings(alertmanager)))
    fields = {"token": token, "action": "silence", "alert": "f1", "author": "a", "duration": "1h"}
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "/\tx"):
        assert (await _post(url, {**fields, "back": back}))[2] == "/?done=silence", back


async def test_without_the_flag_nothing_can_be_changed(alertmanager: Recorder, start_board: StartBoard) -> None:
    board = await start_board(replace(_settings(alertmanager), enable_actions=False))

    assert (await _post(board.server.url, {"action": "silence"}))[0] in (404, 405)
    async with aiohttp.ClientSession() as session, session.get(f"{board.server.url}/alerts") as response:
        assert 'method="post"' not in await response.text()


def test_open_to_a_network_actions_need_a_login(alertmanager: Recorder) -> None:
    settings = _settings(alertmanager, listen=ListenAddress("", 0))

    with pytest.raises(ConfigError, match="anybody who can reach the board could silence alerts"):
        Board(settings)


async def test_with_users_pages_and_actions_need_a_login(
    alertmanager: Recorder, start_board: StartBoard, tmp_path: Path
) -> None:
    stored = await asyncio.to_thread(bcrypt.hashpw, b"secret", bcrypt.gensalt(4))
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{ann: {stored.decode()}}}\n", encoding="utf-8")
    board = await start_board(_settings(alertmanager, web_config=config))
    login = {"Authorization": f"Basic {base64.b64encode(b'ann:secret').decode()}"}
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/live", "/static/board.css", "/metrics"):
            async with session.get(f"{board.server.url}{path}") as response:
                assert response.status == 401, path

        async def form() -> str:
            async with session.get(f"{board.server.url}/alerts", headers=login) as response:
                text = await response.text()
            return text if 'name="author"' in text else ""

        assert 'value="ann"' in await eventually(form)
        assert (await _post(board.server.url, {"action": "silence"}))[0] == 401


async def test_the_board_logs_in_to_the_services_with_the_current_password(
    start_board: StartBoard, tmp_path: Path
) -> None:
    """The other service is a board with users: what counts is its ``/metrics`` behind a login."""
    stored = await asyncio.to_thread(bcrypt.hashpw, b"secret", bcrypt.gensalt(4))
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{ann: {stored.decode()}}}\n", encoding="utf-8")
    other = await start_board(BoardSettings(sources=_SOURCES, web_config=config))
    password = "old"
    sources = replace(_SOURCES, exporters=(other.server.url,), credentials=lambda: f"ann:{password}")
    board = await start_board(BoardSettings(sources=sources, refresh_seconds=1))

    async def answer() -> str:
        state = board.collector.snapshot.sources.get("exporter")
        return "" if state is None else "ok" if state.ok else state.problem

    assert "refuses the board (401)" in await eventually(answer)
    password = "secret"

    async def accepted() -> bool:
        return await answer() == "ok"

    await eventually(accepted)
