"""Requested actions are published once on a real NATS server; actions that are not allowed are not published."""

import asyncio
import gc
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from jelmon.catalogue import Service
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.events import ActionRequested, Outcome, parse
from jelmon.nats import streams
from jelmon.nats.connection import NatsSettings
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon_responder.actions.publisher import MAX_AGE, UNKNOWN, ActionPublisher
from jelmon_responder.actions.requested import requested_actions
from jelmon_responder.alerts import Alert, Delivery
from jelmon_responder.app import Responder
from jelmon_responder.history.fold import fold_delivery
from jelmon_responder.history.protocol import Action, AlertHistory, Entry
from jelmon_responder.settings import ResponderSettings

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
Start = Callable[[ResponderSettings], Awaitable[Responder]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a responder waits; then the outcome would be unknown."""
    monkeypatch.setattr("jelmon_responder.actions.publisher.TIMEOUT_SECONDS", 60)


@pytest_asyncio.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a NATS server that has the stream of events."""
    client = await nats.connect(nats_url)
    await streams.ensure_stream(client.jetstream())
    yield client
    await client.close()


def asked(text: str, *, allowed: tuple[str, ...] = ("scale_up", "restart_pipeline"), **labels: str) -> list[Action]:
    """The actions of a new alert with this annotation."""
    alert = Alert(
        fingerprint="f1",
        starts_at=NOON,
        labels={"alertname": "PipelineStalled", "pipeline": "review"} | labels,
        annotations={"auto_actions": text},
    )
    changes = fold_delivery([], Delivery(receiver="r", alerts=(alert,)), now=NOON).changes
    return requested_actions(changes, allowed=allowed, can_publish=True, now=NOON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param("scale_up", {"scale_up": None}, id="one"),
        pytest.param(" scale_up ,restart_pipeline,,", {"scale_up": None, "restart_pipeline": None}, id="several"),
        pytest.param("scale_up,scale_up", {"scale_up": None}, id="each once"),
        pytest.param("rm -rf", {"rm -rf": Outcome.SKIPPED}, id="what is not allowed is written down and skipped"),
        pytest.param(",".join(map(str, range(99))), dict.fromkeys("0123456789", Outcome.SKIPPED), id="not too many"),
    ],
)
def test_actions_of_an_annotation(text: str, expected: dict[str, Outcome | None]) -> None:
    """Names are separated by commas."""
    assert expected == {action.action: action.outcome for action in asked(text)}


def test_a_test_alert_triggers_no_action() -> None:
    """A test alert requests nothing."""
    (action,) = asked("scale_up", drill="true")

    assert (action.outcome, action.detail) == (Outcome.SKIPPED, "test alert")


def test_the_id_of_an_action_is_derived_from_its_alert() -> None:
    """A second request for the same alert is recognized by the responder and by consumers."""
    assert asked("scale_up")[0].id == asked("scale_up")[0].id != asked("restart_pipeline")[0].id


async def test_an_action_is_published_once(
    history_url: str,
    nats_url: str,
    web_config: Path,
    client: Client,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Callable[..., bytes],
    wire: Callable[..., dict[str, Any]],
) -> None:
    """It is published on its subject and stored in the stream; repeated notifications publish nothing."""
    fingerprint = f"{time.time_ns():x}"
    subscription = await client.subscribe("jelmore.actions.>")
    await client.flush()
    responder = await start(
        ResponderSettings(history_url=history_url, nats=NatsSettings(url=nats_url), web_config=web_config)
    )
    for _ in range(3):
        alert = wire(fingerprint=fingerprint, annotations={"auto_actions": "scale_up, dance"})
        async with http.post(f"{responder.server.url}/api/v1/alerts/webhook", data=payload(alert)) as response:
            assert response.status == 200
    message = await subscription.next_msg(timeout=10)
    event = parse(message.data)
    assert isinstance(event, ActionRequested)
    assert (message.subject, event.data.action, event.data.pipeline, event.data.stage, event.data.requested_by) == (
        "jelmore.actions.scale_up",
        "scale_up",
        "review",
        "build",
        "PipelineStalled",
    )

    async def finished() -> bool:
        async with http.get(f"{responder.server.url}/metrics") as response:
            text = await response.text()
        return (
            'jelmore_responder_actions_total{action="scale_up",outcome="success"} 1.0' in text
            and 'jelmore_responder_actions_total{action="other",outcome="skipped"} 1.0' in text
        )

    await until(finished)
    stored = await client.jetstream().get_last_msg("JELMORE", f"jelmore.events.action.*.{event.subject}")
    assert (stored.data, subscription.pending_msgs) == (message.data, 0)


async def test_a_pending_action_expires(history: AlertHistory, nats_url: str, client: Client) -> None:
    """An action that is too old when NATS is back is abandoned."""
    now = datetime.now(UTC)
    (fresh,), (old,) = asked("scale_up"), asked("restart_pipeline")
    fresh = replace(fresh, requested_at=now - timedelta(minutes=1), id=f"fresh-{time.time_ns()}")
    old = replace(old, requested_at=now - MAX_AGE - timedelta(seconds=1))
    delivery = Delivery(receiver="r", alerts=())
    await history.amend([], lambda rows: Entry(folded=fold_delivery(rows, delivery, now=now), actions=[fresh, old]))
    publisher = ActionPublisher(NatsSettings(url=nats_url), history, Instruments(Service.RESPONDER))
    task = asyncio.create_task(publisher.run())

    async def none_pending() -> bool:
        return not await history.actions(pending=True)

    await until(none_pending)
    await tasks.end(task)

    outcomes = {action.action: action.outcome for action in await history.actions(pending=False)}
    assert outcomes == {"scale_up": Outcome.SUCCESS, "restart_pipeline": Outcome.TIMEOUT}


@pytest_asyncio.fixture
async def bare(tool: Callable[[str], Path], tmp_path: Path) -> AsyncIterator[tuple[str, Client]]:
    """A NATS server of its own with JetStream but without the stream of events, and a client of it."""
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port())
        client = await nats.connect(url)
        yield url, client
        await client.close()


async def waiting(history: AlertHistory, *actions: Action) -> None:
    """Write actions into the log as their alerts do."""
    delivery = Delivery(receiver="r", alerts=())
    await history.amend([], lambda rows: Entry(folded=fold_delivery(rows, delivery, now=NOON), actions=actions))


def fresh(name: str, **more: Any) -> Action:
    """An action that an alert has just requested."""
    return replace(asked(name)[0], id=f"{name}-{time.time_ns()}", requested_at=datetime.now(UTC), **more)


async def test_nothing_is_requested_that_the_stream_does_not_take(
    history: AlertHistory, bare: tuple[str, Client], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While JetStream refuses the events, no request goes out, whatever the number of attempts; then each goes once."""
    monkeypatch.setattr("jelmon_responder.actions.publisher.RETRY_SECONDS", 0.5)
    url, client = bare
    requests = await client.subscribe("jelmore.actions.>")
    await client.flush()
    await waiting(history, fresh("restart_pipeline"), fresh("scale_up"))
    publisher = ActionPublisher(NatsSettings(url=url), history, Instruments(Service.RESPONDER))
    task = asyncio.create_task(publisher.run())
    attempts = "actions delayed; those are not requested yet"

    async def tried_often() -> bool:
        return sum(record.message == attempts for record in caplog.records) >= 5

    await until(tried_often)
    assert requests.pending_msgs == 0
    await streams.ensure_stream(client.jetstream())
    messages = [await requests.next_msg(timeout=20) for _ in range(2)]

    async def none_pending() -> bool:
        return not await history.actions(pending=True)

    await until(none_pending)
    await tasks.end(task)
    assert sorted(message.subject for message in messages) == [
        "jelmore.actions.restart_pipeline",
        "jelmore.actions.scale_up",
    ]
    assert requests.pending_msgs == 0
    assert {action.outcome for action in await history.actions(pending=False)} == {Outcome.SUCCESS}


async def test_an_unconfirmed_request_is_not_repeated(
    history: AlertHistory, bare: tuple[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A responder that died while publishing leaves an unknown outcome, and its successor does not guess."""
    monkeypatch.setattr("jelmon_responder.actions.publisher.UNKNOWN_AFTER", timedelta(0))
    url, client = bare
    await streams.ensure_stream(client.jetstream())
    requests = await client.subscribe("jelmore.actions.>")
    await client.flush()
    action = fresh("restart_pipeline")
    await waiting(history, action)
    assert await history.attempt_action(action.id, now=datetime.now(UTC))
    assert not await history.attempt_action(action.id, now=datetime.now(UTC))
    publisher = ActionPublisher(NatsSettings(url=url), history, Instruments(Service.RESPONDER))
    task = asyncio.create_task(publisher.run())

    async def none_pending() -> bool:
        return not await history.actions(pending=True)

    await until(none_pending)
    await tasks.end(task)
    (finished,) = await history.actions(pending=False)
    assert (finished.outcome, finished.detail) == (Outcome.ERROR, UNKNOWN)
    assert requests.pending_msgs == 0


async def test_responders_that_share_a_history_request_an_action_once(
    history: AlertHistory, bare: tuple[str, Client]
) -> None:
    """Whoever writes the attempt down first requests it."""
    url, client = bare
    await streams.ensure_stream(client.jetstream())
    requests = await client.subscribe("jelmore.actions.>")
    await client.flush()
    await waiting(history, *(fresh("scale_up") for _ in range(20)))
    publishers = [ActionPublisher(NatsSettings(url=url), history, Instruments(Service.RESPONDER)) for _ in range(3)]
    running = [asyncio.create_task(publisher.run()) for publisher in publishers]

    async def none_pending() -> bool:
        return not await history.actions(pending=True)

    await until(none_pending)
    await tasks.end(*running)
    await client.flush()
    assert requests.pending_msgs == 20
    assert [action.outcome for action in await history.actions(pending=False)] == [Outcome.SUCCESS] * 20


async def test_an_action_that_no_event_can_express_holds_up_no_other(
    history: AlertHistory, bare: tuple[str, Client]
) -> None:
    """A pipeline with a line break in its name is a failure with a reason; the next action goes on."""
    url, client = bare
    await streams.ensure_stream(client.jetstream())
    await waiting(history, fresh("scale_up", pipeline="a\nb"), fresh("restart_pipeline"))
    publisher = ActionPublisher(NatsSettings(url=url), history, Instruments(Service.RESPONDER))
    task = asyncio.create_task(publisher.run())

    async def none_pending() -> bool:
        return not await history.actions(pending=True)

    await until(none_pending)
    await tasks.end(task)
    outcomes = {action.action: (action.outcome, action.detail) for action in await history.actions(pending=False)}
    assert outcomes["restart_pipeline"] == (Outcome.SUCCESS, "published")
    assert outcomes["scale_up"][0] is Outcome.FAILURE
    assert "Control character" in outcomes["scale_up"][1]


async def test_a_request_that_nats_confirms_too_late(
    history: AlertHistory, tool: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """NATS hangs between the event and the request; the outcome is unknown, and the next action is requested.

    It answers just as the responder closes the connection, when nats-py's reader still runs.
    """
    monkeypatch.setattr("jelmon_responder.actions.publisher.TIMEOUT_SECONDS", 1)
    attempt_action, hung = history.attempt_action, asyncio.Event()
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port())
        client = await nats.connect(url)
        await streams.ensure_stream(client.jetstream())

        async def attempt(action_id: str, *, now: datetime) -> bool:
            is_first = await attempt_action(action_id, now=now)
            if not hung.is_set():
                processes.signal("nats-server", signal.SIGSTOP)
                hung.set()
            return is_first

        close = Client.close

        async def close_late(self: Client) -> None:
            processes.signal("nats-server", signal.SIGCONT)

            async def answered() -> bool:
                return not self._pongs

            await until(answered)
            await close(self)

        monkeypatch.setattr(history, "attempt_action", attempt)
        monkeypatch.setattr(Client, "close", close_late)
        first, second = fresh("restart_pipeline"), fresh("scale_up")
        await waiting(history, first)
        publisher = ActionPublisher(NatsSettings(url=url), history, Instruments(Service.RESPONDER))
        task = asyncio.create_task(publisher.run())

        async def none_pending() -> bool:
            return not await history.actions(pending=True)

        await asyncio.wait_for(hung.wait(), 30)
        await until(none_pending)
        await waiting(history, second)
        await until(none_pending)
        await tasks.end(task)
        await client.close()

    outcomes = {action.action: (action.outcome, action.detail) for action in await history.actions(pending=False)}
    assert outcomes == {
        "restart_pipeline": (Outcome.ERROR, UNKNOWN),
        "scale_up": (Outcome.SUCCESS, "published"),
    }
    assert [record.message for record in caplog.records if record.name.startswith("nats")] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nats-py leaves refused sockets open
async def test_a_changed_password_is_noticed_and_its_return_too(
    history: AlertHistory, tool: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails while NATS refuses the responder; once it is accepted again, actions are requested."""
    monkeypatch.setattr("jelmon_responder.actions.publisher.RETRY_SECONDS", 0.5)
    config = tmp_path / "nats.conf"

    def on_server(password: str) -> None:
        config.write_text(f"authorization {{ user: u, password: {password} }}\n", encoding="utf-8")

    on_server("first")
    with Processes(tmp_path / "logs") as processes:
        url = launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port(), config=config)
        settings = NatsSettings(url=url, user="u", password="first")
        admin = await nats.connect(url, user="u", password="first")
        await streams.ensure_stream(admin.jetstream())
        await admin.close()
        publisher = ActionPublisher(settings, history, Instruments(Service.RESPONDER))
        task = asyncio.create_task(publisher.run())

        async def is_connected() -> bool:
            return publisher.check.ok

        async def is_refused() -> bool:
            return not publisher.check.ok

        async def none_pending() -> bool:
            return not await history.actions(pending=True)

        await until(is_connected)
        on_server("second")
        processes.signal("nats-server", signal.SIGHUP)
        await until(is_refused)
        await waiting(history, fresh("scale_up"))
        await asyncio.sleep(2)  # several refused attempts, after which nats-py gives up
        assert not await none_pending()
        on_server("first")
        processes.signal("nats-server", signal.SIGHUP)
        await until(none_pending)
        assert not task.done()
        await tasks.end(task)
    gc.collect()

    assert [action.outcome for action in await history.actions(pending=False)] == [Outcome.SUCCESS]


async def test_without_nats_the_webhook_is_accepted(
    tmp_path: Path,
    web_config: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Callable[..., bytes],
    wire: Callable[..., dict[str, Any]],
) -> None:
    """Readiness does not depend on NATS; /health reports it."""
    settings = ResponderSettings(
        history_url=f"sqlite://{tmp_path}/h.db", nats=NatsSettings(url="nats://127.0.0.1:9"), web_config=web_config
    )
    responder = await start(settings)
    alert = wire(annotations={"auto_actions": "scale_up"})
    async with http.post(f"{responder.server.url}/api/v1/alerts/webhook", data=payload(alert)) as response:
        assert response.status == 200
    async with http.get(f"{responder.server.url}/-/ready") as response:
        assert response.status == 200
    async with http.get(f"{responder.server.url}/health") as response:
        body = await response.json()

    assert (response.status, body["status"], body["dependencies"]["nats"]["status"]) == (200, "degraded", "failed")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.05)
