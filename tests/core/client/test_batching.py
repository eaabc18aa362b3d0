"""Events that go out together, against real NATS servers: when, which, and what becomes of each."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from jelmon.client import Card, Published, Publisher, Summary, SyncPublisher, delivery
from jelmon.demo import servers
from jelmon.demo.processes import Processes, listens
from jelmon.errors import ConfigError, EventError, SourceError
from jelmon.events import (
    MAX_BATCH_EVENTS,
    CardData,
    CardStarted,
    Envelope,
    PipelineDeclared,
    PipelineDeclaredData,
    encode,
    identity,
    make,
    parse,
    split,
)
from jelmon.nats.subjects import STREAM, partition_of, token

Deletion = Callable[[Client], Awaitable[None]]


async def _messages(client: Client) -> list[RawStreamMsg]:
    """All messages of the stream, in order."""
    context = client.jetstream()
    last = (await context.stream_info(STREAM)).state.last_seq
    return [await context.get_msg(STREAM, sequence) for sequence in range(1, last + 1)]


def _ids(payload: bytes | None) -> list[str]:
    return [parse(part).id for part in split(payload or b"")]


def _starts(count: int, *, cards: int = 10**9) -> list[Envelope]:
    return [Card(f"card-{number % cards}", pipeline="p").started() for number in range(count)]


async def test_events_that_wait_go_together_one_partition_in_a_message(nats_url: str, connection: Client) -> None:
    """Each message has up to 100 events of one partition, goes to that partition, and keeps their order."""
    events = _starts(3000, cards=700)
    async with Publisher(nats_url) as publisher:
        summary = await publisher.publish_many(events)
    messages = await _messages(connection)
    lanes: dict[int, list[str]] = defaultdict(list)
    for event in events:
        lanes[partition_of(token(str(getattr(event, "subject", ""))))].append(event.id)
    stored: dict[int, list[str]] = defaultdict(list)
    for message in messages:
        ids = _ids(message.data)
        partition = int(str(message.subject).split(".")[3])
        stored[partition] += ids

        assert len(ids) <= MAX_BATCH_EVENTS
        assert (message.subject or "").startswith("jelmore.events.batch." if len(ids) > 1 else "jelmore.events.card.")

    assert summary == Summary(stored=3000)
    assert stored == lanes
    assert len(messages) < 300


async def test_an_event_that_need_not_wait_goes_alone_under_its_own_id(nats_url: str, connection: Client) -> None:
    """One after the other, and also at the same moment when they are of different partitions: nothing is held back."""
    events = _starts(5)
    async with Publisher(nats_url) as publisher:
        for event in events:
            await publisher.publish(event)
    messages = await _messages(connection)

    assert [(message.data, (message.headers or {})["Nats-Msg-Id"]) for message in messages] == [
        (encode(event), identity(event)) for event in events
    ]


class Silent:
    """In place of the stream: sees messages and answers when it is told to."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []

    async def take(self, message: Msg) -> None:
        self.messages.append(message)

    @property
    def seen(self) -> list[list[str]]:
        return [_ids(message.data) for message in self.messages]

    async def answer(self, number: int) -> None:
        await self.messages[number].respond(b'{"stream":"JELMORE","seq":%d}' % (number + 1))


@pytest.fixture
async def silent(connection: Client, delete_stream: Deletion) -> Silent:
    await delete_stream(connection)
    found = Silent()
    await connection.subscribe("jelmore.events.>", cb=found.take)
    await connection.flush()
    return found


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_server_that_is_behind_gets_fewer_and_fuller_messages(nats_url: str, silent: Silent) -> None:
    """What comes while four messages of a partition are unanswered waits, and goes as one when an answer comes.

    Each event learns its own fate.
    """
    events = _starts(9, cards=1)
    async with Publisher(nats_url) as publisher:
        results = []
        for number, event in enumerate(events):
            results.append(asyncio.create_task(publisher.publish(event)))
            if number < 4:
                await _until(lambda: len(silent.seen) == len(results))
            else:
                await asyncio.sleep(0.02)  # long enough to go out, if it did not wait
        await silent.answer(0)
        await _until(lambda: len(silent.seen) == 5)
        for number in range(1, 5):
            await silent.answer(number)
        published = [await result for result in results]

    assert silent.seen == [[event.id] for event in events[:4]] + [[event.id for event in events[4:]]]
    assert published == [Published(1), Published(2), Published(3), Published(4), *[Published(5)] * 5]


async def test_a_lost_answer_is_followed_by_the_same_message(
    nats_url: str, silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events under the same id, whatever else waits by then: the stream stores it once."""
    monkeypatch.setattr(delivery, "ACKNOWLEDGE_SECONDS", 0.05)
    events = _starts(5, cards=1)
    async with Publisher(nats_url) as publisher:
        publishing = asyncio.create_task(publisher.publish_many(events[:3]))
        await _until(lambda: len(silent.seen) == 1)
        others = asyncio.create_task(publisher.publish_many(events[3:]))
        await _until(lambda: silent.seen.count([event.id for event in events[:3]]) == 3)
        first = [message for message in silent.messages if len(_ids(message.data)) == 3]
        answered = 0
        while not (publishing.done() and others.done()):
            for number in range(answered, len(silent.messages)):
                await silent.answer(number)
                answered += 1
            await asyncio.sleep(0.01)
        summaries = [await publishing, await others]

    assert summaries == [Summary(stored=3), Summary(stored=2)]
    assert len({(message.data, (message.headers or {})["Nats-Msg-Id"]) for message in first}) == 1


async def test_no_more_events_are_unanswered_than_the_window_allows(nats_url: str, silent: Silent) -> None:
    """However they are packed."""
    events = _starts(60)
    async with Publisher(nats_url, window=20, patience=60) as publisher:
        publishing = asyncio.create_task(publisher.publish_many(events))
        await _until(lambda: sum(map(len, silent.seen)) == 20)
        await asyncio.sleep(0.1)
        before = sum(map(len, silent.seen))
        answered = 0
        while not publishing.done():
            for number in range(answered, len(silent.messages)):
                await silent.answer(number)
                answered += 1
            await asyncio.sleep(0.01)
        summary = await publishing

    assert before == 20
    assert summary.acknowledged == 60


async def test_every_event_has_its_patience_whoever_it_waits_for(nats_url: str, silent: Silent) -> None:
    """One that comes when others have waited for long is not given up with them."""
    waited: list[float] = []
    loop = asyncio.get_running_loop()

    async def publish(publisher: Publisher, event: Envelope) -> None:
        begin = loop.time()
        with pytest.raises(SourceError, match="did not acknowledge"):
            await publisher.publish(event)
        waited.append(loop.time() - begin)

    async with Publisher(nats_url, patience=0.6) as publisher, asyncio.TaskGroup() as tasks:
        for number, event in enumerate(_starts(8, cards=1)):
            tasks.create_task(publish(publisher, event))
            await asyncio.sleep(0.4 if number == 6 else 0)

    assert len(waited) == 8
    assert min(waited) >= 0.59


async def test_closing_tells_those_whose_event_did_not_go_out_yet(nats_url: str, silent: Silent) -> None:
    """Sent, waiting for their turn, or waiting for room: all are told."""
    publisher = Publisher(nats_url, window=30)
    await publisher.connect()
    waiting = [asyncio.create_task(publisher.publish(event)) for event in _starts(40, cards=1)]
    await _until(lambda: silent.seen)
    await publisher.close()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)

    assert [type(result) for result in results] == [SourceError] * 40


async def test_the_same_events_again_are_the_same_message(nats_url: str, connection: Client) -> None:
    """A repetition of all of them is recognised by the stream, if they are grouped as before."""
    events = _starts(50, cards=1)
    async with Publisher(nats_url) as publisher:
        first = await publisher.publish_many(events)
        again = await publisher.publish_many(events)

    assert (first, again) == (Summary(stored=50), Summary(duplicates=50))
    assert [_ids(message.data) for message in await _messages(connection)] == [[event.id for event in events]]


async def test_a_declaration_always_goes_alone(nats_url: str, connection: Client) -> None:
    """Its subject is how the last one of a pipeline is found."""
    declared = [make(PipelineDeclared, PipelineDeclaredData(pipeline="p", stages=()), source="/t") for _ in range(2)]
    cards = [Card("p", pipeline="p").started() for _ in range(4)]  # the same key, the same partition
    async with Publisher(nats_url) as publisher:
        await publisher.publish_many([*cards[:2], declared[0], declared[1], *cards[2:]])
    found = [(str(message.subject).split(".")[2], _ids(message.data)) for message in await _messages(connection)]

    assert found == [
        ("batch", [event.id for event in cards[:2]]),
        ("pipeline", [declared[0].id]),
        ("pipeline", [declared[1].id]),
        ("batch", [event.id for event in cards[2:]]),
    ]


async def test_a_stream_that_refuses_them_together_gets_each_by_itself(nats_url: str, connection: Client) -> None:
    """The fate of an event does not depend on its company: only the one that is too large is refused."""
    context = connection.jetstream()
    config = (await context.stream_info(STREAM)).config
    config.max_msg_size = 2000
    await context.update_stream(config)
    events = _starts(20, cards=1)
    large = make(CardStarted, CardData(pipeline="p"), source="/" + "s" * 200, subject="card-0", id="i" * 250)
    large_payload = encode(large)[:-1] + b',"padding":"%b"}' % (b"x" * 2000)
    async with Publisher(nats_url) as publisher:
        payloads = [encode(event) for event in events]
        fates = await publisher.publish_each([*payloads[:10], large_payload, *payloads[10:]])

    refused = fates.pop(10)
    assert isinstance(refused, SourceError)
    assert "stream refused the event" in refused.message
    assert [type(fate) for fate in fates] == [Published] * 20
    assert [_ids(message.data) for message in await _messages(connection)] == [[event.id] for event in events]


async def test_what_the_client_refuses_does_not_spoil_the_others(nats_url: str, connection: Client) -> None:
    """publish() raises for the bad one; its neighbours are stored."""
    good = _starts(4, cards=1)
    bad = make(CardStarted, CardData(pipeline=""), source="/t", subject="card-0")
    async with Publisher(nats_url) as publisher:
        results = await asyncio.gather(
            *(publisher.publish(event) for event in [*good[:2], bad, *good[2:]]), return_exceptions=True
        )

    assert [type(result) for result in results] == [Published, Published, EventError, Published, Published]
    assert [one for message in await _messages(connection) for one in _ids(message.data)] == [e.id for e in good]


async def test_a_server_with_small_messages_gets_small_batches(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """The server's max_payload is kept: no message is refused, so none has to be taken apart."""
    config = tmp_path / "nats.conf"
    config.write_text(f'max_payload: 4096\njetstream {{ store_dir: "{tmp_path}/data" }}\n', encoding="utf-8")
    program = tool("nats-server")
    events = _starts(200, cards=1)
    with Processes(tmp_path / "logs") as processes:
        port = processes.port(14222)
        arguments: list[str | Path] = [program, "--addr", "127.0.0.1", "--port", str(port), "--config", config]
        child = processes.start("nats-server", arguments, environ=servers.environment(program))
        processes.wait_until("nats-server", lambda: listens(port), seconds=30, child=child)
        async with Publisher(f"nats://127.0.0.1:{port}") as publisher:
            await publisher.ensure_stream()
            summary = await publisher.publish_many(events)
        client = await nats.connect(f"nats://127.0.0.1:{port}")
        messages = await _messages(client)
        await client.close()

    assert summary == Summary(stored=200)
    assert [one for message in messages for one in _ids(message.data)] == [event.id for event in events]
    assert len(messages) < 50
    assert max(len(message.data or b"") for message in messages) <= 3072


@pytest.mark.parametrize("batch", [0, MAX_BATCH_EVENTS + 1])
def test_a_batch_that_consumers_would_refuse_is_refused_at_once(batch: int) -> None:
    """And not when the first message has that many events."""
    with pytest.raises(ConfigError, match=f"batch: {batch} events per message is not allowed"):
        Publisher("nats://127.0.0.1:4222", batch=batch)


async def test_the_synchronous_publisher_packs_as_well(nats_url: str, connection: Client) -> None:
    """Many at once, and many threads that share one publisher: each call tells where its own event is stored."""
    many, single = _starts(300), _starts(300)

    def work() -> tuple[Summary, list[Published]]:
        with SyncPublisher(nats_url) as publisher, ThreadPoolExecutor(16) as threads:
            return publisher.publish_many(many), list(threads.map(publisher.publish, single))

    summary, results = await asyncio.to_thread(work)
    messages = await _messages(connection)
    stored = [_ids(message.data) for message in messages]

    assert summary == Summary(stored=300)
    assert sorted(one for ids in stored for one in ids) == sorted(event.id for event in [*many, *single])
    assert all(event.id in stored[result.sequence - 1] for event, result in zip(single, results, strict=True))
    assert sum(len(ids) > 1 for ids in stored) >= 16
