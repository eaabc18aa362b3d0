"""Who may post events: nobody, all users, or accounts of their own; and what the exporter says about an open door."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest

from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.http import PATH
from jelmon_exporter.state.memory import MemoryStore

Until = Callable[..., Awaitable[None]]
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
EVENT = {
    "specversion": "1.0",
    "type": "jelmore.card.started",
    "id": "e1",
    "source": "/test",
    "subject": "card-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"pipeline": "main"},
}


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  prometheus: {HASH}\n  ci: {HASH}\n")
    return path


def login(user: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, "secret")} if user else {}


async def statuses(exporter: Exporter, user: str = "") -> tuple[int, int]:
    """The answers to a scrape and to a post."""
    async with (
        aiohttp.ClientSession(headers=login(user)) as session,
        session.get(f"{exporter.url}/metrics") as scraped,
        session.post(f"{exporter.url}{PATH}", json=EVENT) as posted,
    ):
        return scraped.status, posted.status


async def test_producers_and_prometheus_have_accounts_of_their_own(
    exporting: Callable[..., Any], users: Path, until: Until
) -> None:
    async with exporting(nats_url=None, web_config_file=users, events_users=("ci",)) as exporter:
        await until(lambda: exporter.source.up)
        found = {name: await statuses(exporter, name) for name in ("prometheus", "ci")}
        nobody = await statuses(exporter)

    assert found == {"prometheus": (200, 403), "ci": (403, 202)}
    assert nobody == (401, 401)


async def test_the_endpoint_can_be_closed(exporting: Callable[..., Any], own_nats_url: str) -> None:
    async with exporting(nats_url=own_nats_url, events=False) as exporter:
        found = await statuses(exporter)
        names = {task.get_name() for task in asyncio.all_tasks()}

    assert found == (200, 404)
    assert "forwarding" not in names


@pytest.mark.parametrize(
    ("address", "closed", "open_to_all"),
    [
        ("127.0.0.1:9746", None, False),
        ("[::1]:9746", None, False),
        (":9746", None, True),
        ("192.0.2.1:9746", None, True),
        (":9746", "users", False),
        (":9746", "off", False),
    ],
)
async def test_an_open_door_is_told(users: Path, address: str, closed: str | None, open_to_all: bool) -> None:
    settings = ExporterSettings(
        listen_address=ListenAddress.parse(address),
        web_config_file=users if closed == "users" else None,
        events=closed != "off",
    )
    notes = Exporter(settings, store=MemoryStore()).notes()

    assert any(f"POST {PATH} is open to everybody who can reach" in note for note in notes) == open_to_all


async def test_an_account_that_does_not_exist_is_a_mistake(users: Path) -> None:
    with pytest.raises(ConfigError, match=r"--web\.events-users: 'cj' is not a user of") as caught:
        Exporter(ExporterSettings(web_config_file=users, events_users=("cj",)), store=MemoryStore())

    assert "basic_auth_users" in caught.value.hint


async def test_what_depends_on_the_endpoint_is_told_in_the_metrics(
    exporting: Callable[..., Any], users: Path, until: Until
) -> None:
    """A reload that fails is seen where the scraper looks."""
    user = "prometheus"

    async def good(exporter: Exporter) -> str:
        async with (
            aiohttp.ClientSession(headers=login(user)) as session,
            session.get(f"{exporter.url}/metrics") as page,
        ):
            lines = (await page.text()).splitlines()
        return next(line for line in lines if line.startswith("jelmore_exporter_web_config_last_reload_successful "))

    async with exporting(nats_url=None, web_config_file=users) as exporter:
        before = await good(exporter)
        users.write_text(users.read_text().replace("$2b$", "$2$"))
        async with asyncio.timeout(40):
            while (after := await good(exporter)) == before:
                await asyncio.sleep(0.1)

    assert (before.split()[1], after.split()[1]) == ("1", "0")
