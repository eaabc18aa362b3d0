"""The publisher against real NATS servers."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from jelmon.client import Card, Published, Publisher, Summary, SyncPublisher, delivery
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.errors import ConfigError, EventError, SourceError
from jelmon.events import CardData, CardStarted, Event, Outcome, StageFinished, encode, identity, make, parse, split
from jelmon.nats.subjects import STREAM

Deletion = Callable[[Client], Awaitable[None]]
CARD = Card("c1", pipeline="p", source="/test")


async def _stored(client: Client) -> list[Event]:
    """All events of the stream, in order."""
    context = client.jetstream()
    info = await context.stream_info(STREAM)
    messages = [
        await context.get_msg(STREAM, sequence)
        for sequence in range(info.state.first_seq, info.state.last_seq + 1 if info.state.messages else 0)
    ]
    return [parse(part) for message in messages for part in split(message.data or b"")]


async def _count(client: Client) -> int:
    return (await client.jetstream().stream_info(STREAM)).state.messages


async def test_an_event_is_stored_under_its_id_and_subject(nats_url: str, connection: Client) -> None:
    """What arrives is the event; the id is the message id, the card's id the last token of the subject."""
    event = CARD.started()
    async with Publisher(nats_url) as publisher:
        result = await publisher.publish(event)
    message = await connection.jetstream().get_msg(STREAM, result.sequence)

    assert result == Published(sequence=1, duplicate=False)
    assert message.subject is not None
    assert re.fullmatch(r"jelmore\.events\.card\.\d+\.c1", message.subject)  # the stream adds the partition
    assert message.headers == {"Nats-Msg-Id": f"{event.source} {event.id}"}
    assert parse(message.data or b"") == event


async def test_the_same_event_again_is_no_second_event(nats_url: str, connection: Client) -> None:
    """A retry of the caller, even over another connection, stores nothing."""
    event = CARD.started()
    async with Publisher(nats_url) as publisher:
        await publisher.publish(event)
    async with Publisher(nats_url) as publisher:
        again = await publisher.publish(event)

    assert again == Published(sequence=1, duplicate=True)
    assert await _count(connection) == 1


async def test_many_events_keep_their_order_and_are_counted(nats_url: str, connection: Client) -> None:
    """More events than the window has room for are stored in order; those that were there are told apart.

    Here each event is a message of its own; tests/core/client/test_batching.py tests events that share one.
    """
    events = [Card(f"c{number}", pipeline="p").started() for number in range(300)]
    async with Publisher(nats_url, window=16, batch=1) as publisher:
        await publisher.publish_many(events[:100])
        summary = await publisher.publish_many(events)

    assert summary == Summary(stored=200, duplicates=100)
    assert await _stored(connection) == events


async def test_many_events_may_come_from_an_asynchronous_source(nats_url: str, connection: Client) -> None:
    """An async generator is drained as it yields."""

    async def source() -> AsyncIterator[Event]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield CARD.queued()

    async with Publisher(nats_url) as publisher:
        summary = await publisher.publish_many(source())

    assert summary == Summary(stored=3)


async def test_an_event_that_consumers_refuse_is_not_sent(nats_url: str, connection: Client) -> None:
    """The producer hears of it at once; what came before is stored, what came after is not."""
    bad = make(CardStarted, CardData(pipeline=""), source="/test", subject="c2")
    async with Publisher(nats_url) as publisher:
        with pytest.raises(EventError, match="pipeline"):
            await publisher.publish_many([CARD.queued(), bad, CARD.started()])

    assert await _count(connection) == 1


async def test_without_a_stream_the_error_says_who_creates_it(
    nats_url: str, connection: Client, delete_stream: Deletion
) -> None:
    """An absent stream is told apart from an absent server."""
    await delete_stream(connection)
    async with Publisher(nats_url, patience=0.3) as publisher:
        with pytest.raises(SourceError, match="no stream has the subject jelmore") as caught:
            await publisher.publish(CARD.started())

    assert "ensure_stream()" in caught.value.hint


async def test_a_failure_within_many_says_how_many_are_stored(
    nats_url: str, connection: Client, delete_stream: Deletion
) -> None:
    """The batch fails as a whole, and the message says that part of it is in the stream."""
    await delete_stream(connection)
    async with Publisher(nats_url, patience=0.3) as publisher:
        with pytest.raises(SourceError, match="0 events of the batch are stored"):
            await publisher.publish_many(CARD.started() for _ in range(5))


async def test_ensure_stream_says_whether_it_created_one(
    nats_url: str, connection: Client, delete_stream: Deletion
) -> None:
    """The first call creates, the second finds."""
    await delete_stream(connection)
    async with Publisher(nats_url) as publisher:
        created = [await publisher.ensure_stream(), await publisher.ensure_stream()]

    assert created == [True, False]


async def test_no_server_is_told_with_a_hint_and_without_the_password() -> None:
    """The address is in the message, what stands before the @ is not."""
    port = free_port()
    with pytest.raises(SourceError) as caught:
        await Publisher(f"nats://me:secret@127.0.0.1:{port}", connect_patience=0.3).connect()

    assert f"NATS at nats://127.0.0.1:{port} does not answer" in str(caught.value)
    assert "nats-server --jetstream" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_an_unconnected_publisher_says_how_it_is_used() -> None:
    """Forgetting the with block is a common slip."""
    with pytest.raises(SourceError, match="not connected"):
        await Publisher("nats://127.0.0.1:4222").publish(CARD.started())
    with pytest.raises(ConfigError, match="is not the URL of a NATS server"):
        await Publisher("http://127.0.0.1:4222").connect()


async def test_a_lost_answer_is_followed_by_a_repetition_under_the_same_id(
    nats_url: str,
    connection: Client,
    monkeypatch: pytest.MonkeyPatch,
    delete_stream: Deletion,
) -> None:
    """A server that stays silent at first gets the same message again, and one answer is enough."""
    monkeypatch.setattr(delivery, "ACKNOWLEDGE_SECONDS", 0.05)
    await delete_stream(connection)
    seen: list[tuple[str, bytes]] = []

    async def answer(message: Msg) -> None:
        seen.append(((message.headers or {})["Nats-Msg-Id"], message.data))
        if len(seen) == 3:
            await message.respond(b'{"stream":"JELMORE","seq":7}')

    await connection.subscribe("jelmore.events.>", cb=answer)
    await connection.flush()
    event = CARD.started()
    async with Publisher(nats_url) as publisher:
        result = await publisher.publish(event)

    assert result == Published(sequence=7)
    assert seen == [(identity(event), encode(event))] * 3


async def test_an_answer_that_never_comes_ends_with_patience(
    nats_url: str, connection: Client, delete_stream: Deletion
) -> None:
    """A server that takes messages and acknowledges none is an error, not a hang."""
    await delete_stream(connection)

    async def silence(message: Msg) -> None:
        pass

    await connection.subscribe("jelmore.events.>", cb=silence)
    await connection.flush()
    async with Publisher(nats_url, patience=0.2) as publisher:
        with pytest.raises(SourceError, match=r"did not acknowledge .* within 0\.2 s"):
            await publisher.publish(CARD.started())


async def test_a_refusal_by_the_stream_is_told(nats_url: str, connection: Client) -> None:
    """A limit of the stream is an error at once; repeating cannot help."""
    context = connection.jetstream()
    config = (await context.stream_info(STREAM)).config
    config.max_msg_size = 10
    await context.update_stream(config)
    async with Publisher(nats_url) as publisher:
        with pytest.raises(SourceError, match="stream refused the event"):
            await publisher.publish(CARD.started())


async def test_closing_tells_those_who_wait(nats_url: str, connection: Client, delete_stream: Deletion) -> None:
    """A publish that is under way when the publisher closes fails; it does not hang."""
    await delete_stream(connection)
    publisher = Publisher(nats_url)
    await publisher.connect()
    waiting = asyncio.create_task(publisher.publish(CARD.started()))
    await asyncio.sleep(0)
    await publisher.close()

    with pytest.raises(SourceError, match="closed before"):
        await waiting


async def test_a_server_that_dies_midway_costs_no_event_and_doubles_none(
    tmp_path: Path, tool: Callable[[str], Path]
) -> None:
    """Events published across a kill and a restart of the server are in the stream exactly once."""
    port, program, folder = free_port(), tool("nats-server"), tmp_path / "data"
    events = [Card(f"c{number}", pipeline="p").started() for number in range(3000)]
    killed = threading.Event()
    with Processes(tmp_path / "logs") as first, Processes(tmp_path / "logs") as second:
        url = launch.nats(first, program, folder, port=port)

        def source() -> Iterator[Event]:
            for number, event in enumerate(events):
                if number == 1000:
                    first.stop()
                    killed.set()
                yield event

        async with Publisher(url, window=200) as publisher:
            await publisher.ensure_stream()
            publishing = asyncio.create_task(publisher.publish_many(source()))
            while not killed.is_set():
                await asyncio.sleep(0.01)
            await asyncio.to_thread(launch.nats, second, program, folder, port=port)
            summary = await publishing
        client = await nats.connect(url)
        stored = await _stored(client)
        await client.close()

    assert summary.acknowledged == 3000
    assert sorted(event.id for event in stored) == sorted(event.id for event in events)


# --- blocks that tell their own outcome ---


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        pytest.param(None, Outcome.SUCCESS, "", id="a block that ends well is a success"),
        pytest.param(TimeoutError(), Outcome.TIMEOUT, "TimeoutError", id="a timeout is a timeout"),
        pytest.param(AssertionError(), Outcome.FAILURE, "AssertionError", id="an assertion is a failure of the work"),
        pytest.param(OSError(), Outcome.ERROR, "OSError", id="anything else is an error of the system"),
        pytest.param(asyncio.CancelledError(), Outcome.CANCELLED, "CancelledError", id="cancelled is cancelled"),
        pytest.param(KeyboardInterrupt(), Outcome.CANCELLED, "KeyboardInterrupt", id="so is Ctrl-C"),
    ],
)
def test_a_stage_block_tells_start_and_end(
    nats_url: str, stream: None, error: BaseException | None, outcome: Outcome, reason: str
) -> None:
    """The outcome follows from the exception, and the exception goes on."""
    caught: BaseException | None = None
    with SyncPublisher(nats_url) as publisher:
        try:
            with publisher.stage(CARD, "tests", worker="w1", attempt=2) as run:
                run.next_stage = "gates"
                if error is not None:
                    raise error
        except BaseException as found:
            caught = found
    started, finished = asyncio.run(_events(nats_url))

    assert caught is error
    assert started.data == CARD.stage_started("tests", worker="w1", attempt=2).data
    assert isinstance(finished, StageFinished)
    assert (finished.data.outcome, finished.data.reason) == (outcome, reason)
    assert (finished.data.worker, finished.data.attempt, finished.data.next_stage) == ("w1", 2, "gates")
    assert started.time <= finished.time


async def _events(url: str) -> list[Event]:
    client = await nats.connect(url)
    try:
        return await _stored(client)
    finally:
        await client.close()


@pytest.fixture
def stream(nats_url: str, delete_stream: Deletion) -> Iterator[None]:
    """An empty event stream, for tests without a loop of their own."""
    asyncio.run(_fresh(nats_url, delete_stream))
    yield
    asyncio.run(_fresh(nats_url, delete_stream))


async def _fresh(url: str, delete_stream: Deletion) -> None:
    client = await nats.connect(url)
    await delete_stream(client)
    await client.close()
    async with Publisher(url) as publisher:
        await publisher.ensure_stream()


async def test_blocks_nest_and_the_block_may_say_its_outcome(nats_url: str, connection: Client) -> None:
    """What the block says about itself comes before what exceptions say."""
    async with Publisher(nats_url) as publisher, publisher.card(CARD) as card:
        async with publisher.stage(CARD, "review") as stage:
            stage.outcome, stage.reason, stage.last = Outcome.SKIPPED, "nothing to review", True
        card.outcome = Outcome.CANCELLED
    told = [(type(event).__name__, getattr(event.data, "outcome", None)) for event in await _stored(connection)]

    assert told == [
        ("CardStarted", None),
        ("StageStarted", None),
        ("StageFinished", Outcome.SKIPPED),
        ("CardFinished", Outcome.CANCELLED),
    ]


async def test_an_exception_of_the_work_is_not_hidden_by_one_of_ours(
    nats_url: str,
    connection: Client,
    caplog: pytest.LogCaptureFixture,
    delete_stream: Deletion,
) -> None:
    """If the last event of a block cannot be sent, the block's own exception still goes on."""
    async with Publisher(nats_url, patience=0.3) as publisher:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 (the block is what is tested)
            async with publisher.card(CARD):
                await delete_stream(connection)
                raise ZeroDivisionError

    assert "event lost" in caplog.messages


# --- without asyncio ---


def test_the_synchronous_publisher_does_the_same_and_leaves_no_thread(nats_url: str, stream: None) -> None:
    """Single events, many from a generator that runs in the caller's thread, and a clean end."""
    threads: set[int] = set()

    def source() -> Iterator[Event]:
        for number in range(50):
            threads.add(threading.get_ident())
            yield Card(f"c{number}", pipeline="p").started()

    with SyncPublisher(nats_url) as publisher:
        created = publisher.ensure_stream()
        single = publisher.publish(CARD.queued())
        many = publisher.publish_many(source())

    assert (created, single, many) == (False, Published(1), Summary(50))
    assert threads == {threading.get_ident()}
    assert "jelmon-publisher" not in {thread.name for thread in threading.enumerate()}


def test_the_synchronous_publisher_passes_errors_on_and_cleans_up() -> None:
    """No server: the error comes out of the with statement, and the thread is gone."""
    with (
        pytest.raises(SourceError, match="does not answer"),
        SyncPublisher(f"nats://127.0.0.1:{free_port()}", connect_patience=0.2),
    ):
        pass
    with pytest.raises(SourceError, match="not connected"):
        SyncPublisher().publish(CARD.queued())

    assert "jelmon-publisher" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("odd", ["a\n", " a", "a ", "ä ", "a\tb", "a\rb"])
def test_an_id_that_a_header_would_change_is_replaced_by_its_hash(odd: str) -> None:
    """NATS trims header values: two different ids must not become one."""
    value = delivery.header_value(odd)

    assert value.startswith("sha256:")
    assert value != delivery.header_value(" ".join(odd.split()))
    assert delivery.header_value("card-1 / 2") == "card-1 / 2"
