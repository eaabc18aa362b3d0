"""A history in each database, a running responder, and a real Alertmanager that calls it."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import pytest_asyncio

from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon_responder.app import Responder
from jelmon_responder.history.open import open_history
from jelmon_responder.history.protocol import AlertHistory
from jelmon_responder.settings import ResponderSettings

USER, PASSWORD = "alertmanager", "webhook-password"


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty history, once for each database."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/history.db"
    return str(request.getfixturevalue("postgres_dsn"))


@pytest_asyncio.fixture
async def history(history_url: str) -> AsyncIterator[AlertHistory]:
    """A started history, once for each database."""
    history = open_history(history_url)
    await history.start()
    yield history
    await history.stop()


Start = Callable[[ResponderSettings], Awaitable[Responder]]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    """Start responders on free ports, unless the settings name one; they stop at the end of the test."""
    async with AsyncExitStack() as stack:

        async def run(settings: ResponderSettings) -> Responder:
            if settings.listen.port == 9748:
                settings = replace(settings, listen=ListenAddress("127.0.0.1", 0))
            responder = Responder(settings)
            await responder.start()
            stack.push_async_callback(responder.stop)
            return responder

        yield run


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that sends JSON, as the user of `web_config`."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    """A web-config file with one user: actions need a webhook that asks who calls."""
    path = tmp_path / "web.yml"
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    path.write_text(f"basic_auth_users: {{{USER}: {stored}}}\n", encoding="utf-8")
    return path


@pytest.fixture
def responder_port() -> int:
    """A free port, for a responder whose address Alertmanager's configuration must know beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def alertmanager(tool: Callable[[str], Path], tmp_path: Path, responder_port: int) -> Iterator[str]:
    """A real Alertmanager whose only receiver is the responder on ``responder_port``."""
    config = {
        "route": {
            "receiver": "responder",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1s",
        },
        "receivers": [
            {
                "name": "responder",
                "webhook_configs": [{"url": f"http://127.0.0.1:{responder_port}/api/v1/alerts/webhook"}],
            }
        ],
    }
    path = tmp_path / "alertmanager.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    with Processes(tmp_path / "logs") as processes:
        yield launch.alertmanager(processes, tool("alertmanager"), tmp_path / "alertmanager", path)


@pytest.fixture
def wire() -> Callable[..., dict[str, Any]]:
    """A function that returns one alert as Alertmanager writes it, firing by default."""
    return _wire


@pytest.fixture
def payload() -> Callable[..., bytes]:
    """A function that returns a webhook call with the given alerts."""
    return _payload


def _wire(
    *, status: str = "firing", starts: str = "2026-01-31T12:00:00Z", ends: str | None = None, **more: Any
) -> dict[str, Any]:
    unset = "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-31T12:10:00Z"
    alert: dict[str, Any] = {
        "status": status,
        "labels": {"alertname": "PipelineStalled", "severity": "critical", "pipeline": "review", "stage": "build"},
        "annotations": {"summary": "no activity for 10 minutes"},
        "startsAt": starts,
        "endsAt": ends or unset,
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "b2f4c0a1d3e5f607",
    }
    return alert | more


def _payload(*alerts: dict[str, Any], **more: Any) -> bytes:
    body: dict[str, Any] = {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "responder",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
    }
    return json.dumps(body | more).encode()
