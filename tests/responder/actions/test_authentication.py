"""Who may request actions: nobody, unless the web configuration makes every caller prove who it is."""

import asyncio
import re
import subprocess
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest

from jelmon.errors import ConfigError
from jelmon.nats.connection import NatsSettings
from jelmon_responder.app import Responder
from jelmon_responder.settings import ResponderSettings

Start = Callable[[ResponderSettings], Awaitable[Responder]]
NOWHERE = NatsSettings(url="nats://127.0.0.1:9")


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """The beginning of a web config with TLS; the certificate is its own authority."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), check=True, capture_output=True, cwd=tmp_path)
    return "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"


@pytest.mark.parametrize(
    ("more", "accepted"),
    [
        pytest.param("", False, id="encryption alone"),
        pytest.param(
            "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: cert.pem\n", False, id="if it likes"
        ),
        pytest.param(
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n", True, id="certificates"
        ),
    ],
)
def test_client_certificates_must_be_required(tmp_path: Path, certificate: str, more: str, accepted: bool) -> None:
    """One that may be left out keeps nobody out."""
    path = tmp_path / "web.yml"
    path.write_text(certificate + more, encoding="utf-8")
    settings = ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", nats=NOWHERE, web_config=path)
    if accepted:
        Responder(settings)
        return
    with pytest.raises(ConfigError, match="any client of the webhook can request them"):
        Responder(settings)


def test_actions_without_authentication_are_refused(tmp_path: Path, web_config: Path) -> None:
    """The message names both ways out, and both work."""
    url = f"sqlite://{tmp_path}/h.db"
    with pytest.raises(ConfigError, match="actions are enabled") as caught:
        Responder(ResponderSettings(history_url=url, nats=NOWHERE))
    assert {"basic_auth_users", "--actions.allowed"} <= set(re.findall(r"[a-z_.-]{5,}", caught.value.hint))

    Responder(ResponderSettings(history_url=url, nats=NOWHERE, web_config=web_config))
    Responder(ResponderSettings(history_url=url, nats=NOWHERE, allowed_actions=()))
    Responder(ResponderSettings(history_url=url))


async def test_users_cannot_be_removed_while_actions_are_enabled(
    tmp_path: Path, start: Start, http: aiohttp.ClientSession, web_config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed web config without users is refused like a broken one; the previous users stay."""
    settings = ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", nats=NOWHERE, web_config=web_config)
    responder = await start(settings)
    web_config.write_text("{}\n", encoding="utf-8")
    deadline = time.monotonic() + 30
    while not any("invalid web config" in record.message for record in caplog.records):
        assert time.monotonic() < deadline, "the changed file was not noticed"
        await asyncio.sleep(0.05)

    async with aiohttp.ClientSession() as stranger, stranger.get(f"{responder.server.url}/alerts") as response:
        assert response.status == 401
    async with http.get(f"{responder.server.url}/alerts") as response:
        assert response.status == 200


async def test_webhook_users_may_do_nothing_else(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    web_config: Path,
    payload: Callable[..., bytes],
    wire: Callable[..., dict[str, Any]],
) -> None:
    """The account of a scraper cannot send alerts, and that of Alertmanager cannot read."""
    stored = bcrypt.hashpw(b"scrape-password", bcrypt.gensalt(4)).decode()
    with web_config.open("a", encoding="utf-8") as file:
        file.write(f"  prometheus: {stored}\n")
    text = (
        web_config.read_text(encoding="utf-8").replace("basic_auth_users: {", "basic_auth_users:\n  ").replace("}", "")
    )
    web_config.write_text(text, encoding="utf-8")
    url = f"sqlite://{tmp_path}/h.db"
    with pytest.raises(ConfigError, match="'nobody' is not a user"):
        Responder(ResponderSettings(history_url=url, web_config=web_config, webhook_users=("nobody",)))
    responder = await start(ResponderSettings(history_url=url, web_config=web_config, webhook_users=("alertmanager",)))
    webhook, history = (f"{responder.server.url}/api/v1/alerts{path}" for path in ("/webhook", ""))
    scraper = {"Authorization": f"Basic {b64encode(b'prometheus:scrape-password').decode()}"}

    async with http.post(webhook, data=payload(wire()), headers=scraper) as response:
        assert response.status == 403
    async with http.get(history) as response:
        assert response.status == 403
    async with http.post(webhook, data=payload(wire())) as response:
        assert response.status == 200
    async with http.get(history, headers=scraper) as response:
        assert (response.status, len((await response.json())["alerts"])) == (200, 1)
