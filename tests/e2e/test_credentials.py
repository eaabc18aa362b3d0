"""NATS ends connections for good: a credential expires, a password changes. Everybody comes back with what is valid.

Everybody: exporter, producer, analyzer, lease, the responder's requests of actions, and the commands for streams.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.nats_accounts import Operator

from jelmon import catalogue as c
from jelmon import events as e
from jelmon.catalogue import Service
from jelmon.client import Publisher
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.errors import SourceError
from jelmon.nats import streams
from jelmon.nats.connection import NatsSettings
from jelmon.nats.lease import Lease
from jelmon.service.registry import Instruments
from jelmon.service.tasks import end
from jelmon_analyzers.follow import Follower
from jelmon_exporter.app import Exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.streams.dead_letters import dead_letters
from jelmon_responder.actions.publisher import ActionPublisher
from jelmon_responder.alerts import Delivery
from jelmon_responder.history.fold import fold_delivery
from jelmon_responder.history.open import open_history
from jelmon_responder.history.protocol import Action, AlertHistory, Entry


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


class Line:
    """Everything that keeps a connection, over one server: exporter, producer, analyzer, lease and responder."""

    def __init__(self, settings: NatsSettings, history: AlertHistory) -> None:
        self.settings = settings
        self.history = history
        self.actions = ActionPublisher(settings, history, Instruments(Service.RESPONDER))
        self.exporter = Exporter(
            ExporterSettings(listen_address=ListenAddress("127.0.0.1", 0), nats=settings, batch_seconds=0.05)
        )
        self.producer = Publisher(settings=settings, patience=60)
        self.seen: list[str] = []
        self.follower = Follower(settings, lambda event: self.seen.append(event.id), replay_seconds=60)
        self.lease = Lease(settings, "test")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.exporter.start()
        await until(lambda: self.exporter.source.up)
        await self.producer.connect()
        tasks = [asyncio.create_task(part.run()) for part in (self.follower, self.lease, self.actions)]
        try:
            yield
            assert [task for task in tasks if task.done()] == []
        finally:
            await end(*tasks)
            await self.producer.close()
            await self.exporter.stop()

    @property
    def counted(self) -> int:
        value = self.exporter.view.value(c.EVENTS_APPLIED, "jelmore.card.started")
        return int(value) if isinstance(value, int | float) else 0

    async def count(self, number: int) -> None:
        """Publish a card and request an action, and wait until everybody has them; there are ``number`` now."""
        event = e.make(e.CardStarted, e.CardData(pipeline="main"), source="/test", subject=f"card-{number}")
        await self.producer.publish(event)
        await until(lambda: self.counted == number)
        await until(lambda: event.id in self.seen)
        await until(lambda: self.lease.held)
        assert await self.statuses(number) == (200, 202)
        await self.request(f"action-{number}")
        async with streams.connected(self.settings, name="test") as client:
            assert [letter async for letter in dead_letters(client.jetstream())] == []

    async def request(self, name: str) -> None:
        """Let the responder request an action, and wait until it was sent."""
        now = datetime.now(UTC)
        action = Action(
            id=name,
            action="scale_up",
            requested_by="alert:Test",
            fingerprint=name,
            starts_at=now,
            pipeline="main",
            stage="",
            requested_at=now,
        )
        delivery = Delivery(receiver="test", alerts=())
        await self.history.amend(
            [], lambda rows: Entry(folded=fold_delivery(rows, delivery, now=now), actions=(action,))
        )
        self.actions.wake()
        async with asyncio.timeout(60):
            while await self.history.actions(pending=True):
                await asyncio.sleep(0.05)
        finished = {action.id: action.outcome for action in await self.history.actions(pending=False)}
        assert finished[name] == "success"

    async def statuses(self, number: int) -> tuple[int, int]:
        """What the exporter answers when asked whether it is ready, and to a post of the card that was published."""
        event = e.make(e.StageQueued, e.StageData(pipeline="main", stage="s"), source="/test", subject=f"card-{number}")
        headers = {"Content-Type": "application/cloudevents+json"}
        url = self.exporter.url
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/-/ready") as ready,
            session.post(f"{url}/api/v1/events", data=e.encode(event), headers=headers) as posted,
        ):
            return ready.status, posted.status

    async def out_of_order(self) -> None:
        """Wait until readiness and metrics say that nothing is counted."""
        up = self.exporter.process_series.cell(c.SOURCE_UP, "jetstream")
        await until(lambda: up.value == 0 and not self.exporter.checks()["events"].ok)
        assert await self.statuses(0) == (503, 503)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as found:
        yield found


@pytest.fixture
async def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AlertHistory]:
    monkeypatch.setattr("jelmon_responder.actions.publisher.TIMEOUT_SECONDS", 60)  # a busy machine may take longer
    history = open_history(f"sqlite://{tmp_path}/history.db")
    await history.start()
    yield history
    await history.stop()


@pytest.mark.parametrize("remedy", ["file", "server"])
async def test_a_changed_password(
    children: Processes, tool: Callable[[str], Path], tmp_path: Path, history: AlertHistory, remedy: str, caplog: Any
) -> None:
    """Until the file has the new one, or the server the old one again, nothing pretends to work."""
    config, secret = tmp_path / "nats.conf", tmp_path / "password"

    def on_server(password: str) -> None:
        config.write_text(f"authorization {{ user: u, password: {password} }}\n")

    on_server("first")
    secret.write_text("first\n")
    url = launch.nats(children, tool("nats-server"), tmp_path / "nats", port=free_port(), config=config)
    settings = NatsSettings.from_environ({"NATS_URL": url, "NATS_USER": "u", "NATS_PASSWORD_FILE": str(secret)})
    line = Line(settings, history)
    async with line.running():
        await line.count(1)
        on_server("second")
        children.signal("nats-server", signal.SIGHUP)
        await line.out_of_order()
        await until(lambda: line.exporter.source.trouble.find("refuses the connection") >= 0)
        if remedy == "file":
            secret.write_text("second\n")
        else:
            on_server("first")
            children.signal("nats-server", signal.SIGHUP)
        await line.count(2)

    assert "first" not in caplog.text
    assert "second" not in caplog.text


async def test_a_password_that_changes_while_the_server_is_away(
    children: Processes, tool: Callable[[str], Path], tmp_path: Path, history: AlertHistory
) -> None:
    """Then no connection is ended: each attempt to restore it is refused."""
    config, secret, port = tmp_path / "nats.conf", tmp_path / "password", free_port()
    config.write_text("authorization { user: u, password: first }\n")
    secret.write_text("first\n")

    def start() -> str:
        return launch.nats(children, tool("nats-server"), tmp_path / "nats", port=port, config=config)

    settings = NatsSettings.from_environ({"NATS_URL": start(), "NATS_USER": "u", "NATS_PASSWORD_FILE": str(secret)})
    line = Line(settings, history)
    async with line.running():
        await line.count(1)
        children.signal("nats-server", signal.SIGKILL)
        await line.out_of_order()
        config.write_text("authorization { user: u, password: second }\n")
        await asyncio.to_thread(start)
        await until(lambda: "refuses the connection" in line.exporter.source.trouble)
        secret.write_text("second\n")
        await line.count(2)


async def test_a_credential_that_expires_is_read_again(
    children: Processes, tool: Callable[[str], Path], tmp_path: Path, history: AlertHistory
) -> None:
    """Its file was renewed in time, as an operator does it; nobody needs a restart."""
    operator, config, credentials = Operator(), tmp_path / "nats.conf", tmp_path / "user.creds"
    config.write_text(operator.config)
    operator.write_credentials(credentials, seconds=20)
    url = launch.nats(children, tool("nats-server"), tmp_path / "nats", port=free_port(), config=config)
    line = Line(NatsSettings(url=url, credentials_file=str(credentials)), history)
    async with line.running():
        await line.count(1)
        operator.write_credentials(credentials, seconds=3600)
        client = line.exporter.source._client  # type: ignore[union-attr]
        await until(lambda: client.is_closed and line.exporter.source._client is not client)  # type: ignore[union-attr]
        await line.count(2)


async def test_a_producer_that_stays_refused_says_why(
    children: Processes, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    config, secret = tmp_path / "nats.conf", tmp_path / "password"
    config.write_text("authorization { user: u, password: first }\n")
    secret.write_text("first\n")
    url = launch.nats(children, tool("nats-server"), tmp_path / "nats", port=free_port(), config=config)
    settings = NatsSettings.from_environ({"NATS_URL": url, "NATS_USER": "u", "NATS_PASSWORD_FILE": str(secret)})
    async with Publisher(settings=settings, patience=5) as producer:
        await producer.ensure_stream()
        config.write_text("authorization { user: u, password: second }\n")
        children.signal("nats-server", signal.SIGHUP)
        await until(lambda: not producer.connected)
        with pytest.raises(
            SourceError, match=r"was not restored within 5 s: NATS at .* refuses the connection"
        ) as caught:
            await producer.publish(e.make(e.CardStarted, e.CardData(pipeline="main"), source="/test", subject="card-1"))

    assert "NATS_PASSWORD_FILE" in caught.value.hint


async def test_a_command_whose_connection_is_ended_says_so(
    children: Processes, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """While it waits for an answer, and before its next request: nats-py cancels the one and refuses the other."""
    config, secret = tmp_path / "nats.conf", tmp_path / "password"
    config.write_text("authorization { user: u, password: first }\n")
    secret.write_text("first\n")
    url = launch.nats(children, tool("nats-server"), tmp_path / "nats", port=free_port(), config=config)
    settings = NatsSettings.from_environ({"NATS_URL": url, "NATS_USER": "u", "NATS_PASSWORD_FILE": str(secret)})

    async def wait_for_an_answer() -> None:
        async with streams.connected(settings, name="test") as client:
            await client.subscribe("silent")
            waiting.set()
            await client.request("silent", timeout=5)

    async def go_on_later() -> None:
        async with streams.connected(settings, name="test") as client:
            await until(lambda: client.is_closed)
            await client.jetstream().stream_info("JELMORE")

    waiting = asyncio.Event()
    commands = [asyncio.create_task(command()) for command in (wait_for_an_answer, go_on_later)]
    await waiting.wait()
    config.write_text("authorization { user: u, password: second }\n")
    children.signal("nats-server", signal.SIGHUP)
    for command in commands:
        with pytest.raises(SourceError, match="has ended the connection"):
            await command

    secret.write_text("second\n")
    async with streams.connected(settings, name="test") as client:
        assert await streams.ensure_stream(client.jetstream())
