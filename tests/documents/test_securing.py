"""The examples of docs/guides/securing.md do what the guide says: enough rights to work, and no more."""

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats
import nats.errors
import pytest
import redis
import redis.exceptions

from jelmon import catalogue as c
from jelmon.client import Card, Publisher
from jelmon.config.settings import ListenAddress
from jelmon.demo.processes import Processes, free_port, listens
from jelmon.nats.connection import NatsSettings
from jelmon.nats.subjects import STREAM, action_subject
from jelmon.service.web import WebConfig
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.http import PATH


@pytest.fixture
def blocks(root: Path) -> list[str]:
    """The examples of the guide."""
    text = (root / "docs/guides/securing.md").read_text(encoding="utf-8")
    return [block.split("\n", 1)[1] for block in text.split("```")[1::2]]


def one(blocks: list[str], begins: str) -> str:
    (found,) = [block for block in blocks if begins in block]
    return found


def test_the_web_configs_are_read(blocks: list[str], tmp_path: Path, certificates: Any) -> None:
    for source, name in zip(
        (*certificates.sign("server"), certificates.authority), ("server.crt", "server.key", "ca.pem"), strict=True
    ):
        shutil.copy(source, tmp_path / name)
    examples = [block for block in blocks if block.startswith("tls_server_config")]
    configs = []
    for example in examples:
        (tmp_path / "web.yml").write_text(example, encoding="utf-8")
        configs.append(WebConfig.load(tmp_path / "web.yml"))

    assert [config.warnings for config in configs] == [(), ()]
    assert list(configs[0].users) == ["prometheus"]
    assert configs[1].tls is not None
    assert configs[1].tls.allowed_names == {"prometheus.example"}


def test_prometheus_takes_the_scrape_config(
    blocks: list[str], tmp_path: Path, tool: Callable[[str], Path], certificates: Any
) -> None:
    shutil.copy(certificates.authority, tmp_path / "jelmon-ca.pem")
    (tmp_path / "jelmon.password").write_text("secret", encoding="utf-8")
    config = tmp_path / "prometheus.yml"
    config.write_text(one(blocks, "scrape_configs:").replace("/etc/prometheus", str(tmp_path)), encoding="utf-8")
    done = subprocess.run([tool("promtool"), "check", "config", config], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.fixture
def nats_with_users(blocks: list[str], tmp_path: Path, tool: Callable[[str], Path]) -> Any:
    """A NATS server with the permissions of the guide; its URL."""
    port = free_port()
    config = tmp_path / "nats.conf"
    text = one(blocks, "jetstream: {").replace("/var/lib/nats", str(tmp_path / "nats"))
    config.write_text(f'listen: "127.0.0.1:{port}"\n{text}', encoding="utf-8")
    with Processes(tmp_path / "logs") as processes:
        child = processes.start("nats-server", [tool("nats-server"), "--config", config])
        processes.wait_until("nats-server", lambda: listens(port), seconds=20, child=child)
        yield f"nats://127.0.0.1:{port}"


def settings_of(url: str, user: str) -> NatsSettings:
    return NatsSettings(url=url, user=user, password=f"{user}-password", inbox_prefix=f"_INBOX_{user.upper()}")


@pytest.fixture
def redis_with_user(blocks: list[str], redis_url: str) -> Any:
    """A Redis database and the user of the guide."""
    rule = one(blocks, "ACL SETUSER").split()
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command(*rule)
        yield f"{redis_url}?username=jelmon"
        client.execute_command("ACL", "DELUSER", "jelmon")


async def test_the_rights_of_the_guide_are_enough_and_no_more(
    nats_with_users: str, redis_with_user: str, redis_url: str
) -> None:
    exporter = Exporter(
        ExporterSettings(
            listen_address=ListenAddress("127.0.0.1", 0),
            nats=settings_of(nats_with_users, "exporter"),
            redis_url=redis_with_user,
            redis_password=lambda: "redis-password",
            batch_seconds=0.05,
        )
    )
    card = Card("card-1", pipeline="main", source="/test")
    await exporter.start()
    try:
        await until(lambda: exporter.source.up and exporter.sink is not None and exporter.sink.up)
        async with Publisher(settings=settings_of(nats_with_users, "producer")) as producer:
            await producer.publish(card.started())
        event = {
            "specversion": "1.0",
            "type": "jelmore.card.queued",
            "id": "over-http",
            "source": "/test",
            "subject": "card-2",
            "time": "2026-01-01T00:00:00Z",
            "data": {"pipeline": "main"},
        }
        async with aiohttp.ClientSession() as session, session.post(f"{exporter.url}{PATH}", json=event) as response:
            assert response.status == 202, await response.text()
        await publish_poison(nats_with_users)
        await until(lambda: exporter.view.value(c.CARDS_STARTED, "main") == 1)
        await until(lambda: exporter.view.value(c.CARDS_QUEUED, "main") == 1)
        await until(lambda: exporter.view.value(c.EVENTS_PARKED, "malformed") == 1)
    finally:
        await exporter.stop()

    with redis.Redis.from_url(redis_with_user, password="redis-password") as client:
        for forbidden in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("GET", "other:key"), ("KEYS", "*"), ("ACL", "LIST")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden)


async def test_they_are_enough_for_state_on_local_disk(nats_with_users: str, tmp_path: Path) -> None:
    exporter = Exporter(
        ExporterSettings(
            listen_address=ListenAddress("127.0.0.1", 0),
            nats=settings_of(nats_with_users, "exporter"),
            state_path=tmp_path / "state",
        )
    )
    await exporter.start()
    try:
        leadership = exporter.leadership
        assert leadership is not None
        await until(lambda: leadership.exposes)
    finally:
        await exporter.stop()


async def publish_poison(url: str) -> None:
    client = await nats.connect(url, user="producer", password="producer-password", inbox_prefix=b"_INBOX_PRODUCER")
    await client.jetstream().publish("jelmore.events.card.x", b"{")
    await client.close()


async def test_a_responder_may_publish_actions_and_a_producer_may_not(nats_with_users: str) -> None:
    for user, subject, allowed in (
        ("responder", action_subject("scale_up"), True),
        ("producer", action_subject("scale_up"), False),
        ("responder", "jelmore.events.card.x", False),
        ("producer", f"$JS.API.STREAM.DELETE.{STREAM}", False),
        ("exporter", f"$JS.API.STREAM.DELETE.{STREAM}", False),
        ("exporter", f"$JS.API.STREAM.PURGE.{STREAM}", False),
        ("producer", "_INBOX_EXPORTER.x", False),
    ):
        assert await may_publish(nats_with_users, user, subject) is allowed, (user, subject)


async def may_publish(url: str, user: str, subject: str) -> bool:
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats.connect(url, user=user, password=f"{user}-password", error_cb=note)
    await client.publish(subject, b"{}")
    await client.flush()
    with contextlib.suppress(TimeoutError):  # the refusal may come after the answer to the flush
        await until(lambda: refusals, seconds=1)
    await client.close()
    return not any(re.search("permissions violation for publish", text, re.IGNORECASE) for text in refusals)


async def until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)
