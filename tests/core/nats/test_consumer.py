"""The pull consumer over both kinds of client, and what the accelerator relies on in nats-py."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.nats import consumer_direct
from jelmon.nats.consumer import BATCH_BYTES, ConsumerError, PullConsumer, slices
from jelmon.nats.consumer_direct import DirectClient, incompatibility, new_client

REPLY = b"$JS.ACK.JELMORE.jelmon-3.%d.%d.%d.1767225600000000000.%d"


def test_this_nats_py_can_be_used_directly() -> None:
    """If this fails after an upgrade of nats-py, services still work, more slowly: adapt consumer_direct.py."""
    assert incompatibility() == ""
    assert isinstance(new_client(), DirectClient)


def test_another_nats_py_is_used_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def parse(self: object, data: bytes, more: int) -> None:
        """Another signature."""

    monkeypatch.setattr("nats.protocol.parser.Parser.parse", parse)

    assert incompatibility() == "Parser.parse differs from that of nats-py 2.16"
    assert type(new_client()) is Client


@pytest.mark.parametrize("version", ["2.9.1", "2.17.0", "3.0.0", "x"])
def test_an_untested_version_of_nats_py_is_used_the_ordinary_way(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(consumer_direct, "version", lambda _: version)

    assert incompatibility() == f"nats-py {version} is not one of 2.10 to 2.16"
    assert type(new_client()) is Client


def wire(number: int) -> list[tuple[bytes, tuple[bytes, bytes, bytes] | None]]:
    """Messages as the server sends them, and what is delivered directly: subject, reply, payload."""
    payload = b"payload %d with \r\nMSG inside" % number
    headers = b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n" % number
    status = b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 0\r\n\r\n"
    reply = REPLY % (1, number, number, 5)
    size, both = len(payload), len(headers) + len(payload)
    return [
        (b"MSG a.b 7 %s %d\r\n%s\r\n" % (reply, size, payload), (b"a.b", reply, payload)),
        (b"PING\r\n", None),
        (b"HMSG a.c 7 %s %d %d\r\n%s%s\r\n" % (reply, len(headers), both, headers, payload), (b"a.c", reply, payload)),
        (b"MSG other 8 5\r\nhello\r\n", None),
        (b"HMSG inbox 7 %d %d\r\n%s\r\n" % (len(status), len(status), status), (b"inbox", b"", b"")),
        (b"MSG empty 7 0\r\n\r\n", (b"empty", b"", b"")),
        (b"+OK\r\n", None),
    ]


class Listening(DirectClient):
    """Keeps what is delivered; knows subscription 7 directly and 8 the ordinary way."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[tuple[bytes, bytes, bytes]] = []
        self.others: list[bytes] = []
        self.pings = 0
        self.direct[b"7"] = lambda subject, reply, payload, _: self.delivered.append((subject, reply, payload))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if sid == 7:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            self.others.append(data)

    async def _process_ping(self) -> None:
        self.pings += 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 100, 1000, 100_000])
async def test_no_cut_of_the_bytes_changes_what_is_delivered(size: int) -> None:
    messages = [message for number in range(3) for message in wire(number)]
    data = b"".join(part for part, _ in messages)
    client = Listening()
    for start in range(0, len(data), size):
        await client._ps.parse(data[start : start + size])

    assert client.delivered == [expected for _, expected in messages if expected is not None]
    assert client.others == [b"hello"] * 3
    assert client.pings == 3


def flow(sequence: int = 0) -> PullConsumer:
    """A pull without a server; tests deliver to it."""
    return PullConsumer(DirectClient(), "JELMORE", "jelmon-3", batch=100, sequence=sequence)


def deliver(pull: PullConsumer, *messages: tuple[int, int, int]) -> None:
    """Deliver messages: number of deliveries, stream sequence, consumer sequence."""
    for deliveries, sequence, delivered in messages:
        pull._deliver(b"s", REPLY % (deliveries, sequence, delivered, 0), b"%d" % sequence, b"")


async def payloads(pull: PullConsumer) -> Any:
    batch = await pull.next_batch(100, seconds=0.0, patience=0.0)
    return None if batch is None else [int(payload) for payload, _, _ in batch.messages]


async def test_messages_come_in_order() -> None:
    pull = flow()
    deliver(pull, (1, 10, 1), (1, 26, 2), (1, 300, 3))

    assert await payloads(pull) == [10, 26, 300]
    assert await payloads(pull) is None


async def test_a_gap_in_the_consumer_s_numbers_is_noticed() -> None:
    """A client that drops messages must never be covered up by a later acknowledgement."""
    pull = flow()
    deliver(pull, (1, 10, 1), (1, 26, 3))
    with pytest.raises(ConsumerError, match="did not arrive"):
        await payloads(pull)


async def test_redeliveries_are_left_out() -> None:
    pull = flow()
    deliver(pull, (1, 10, 1), (1, 26, 2))

    assert await payloads(pull) == [10, 26]

    deliver(pull, (2, 10, 3), (2, 26, 4), (1, 30, 5), (2, 26, 6), (1, 31, 7))

    assert await payloads(pull) == [30, 31]

    deliver(pull, (3, 10, 8), (3, 26, 9))

    assert await payloads(pull) is None


async def test_what_the_server_ends_with_an_error_is_told() -> None:
    pull = flow()
    pull._deliver(b"inbox", b"", b"", b"NATS/1.0 409 Consumer Deleted\r\n\r\n")
    with pytest.raises(ConsumerError, match="409 Consumer Deleted"):
        await payloads(pull)


@pytest.fixture
def own_nats_url(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[str]:
    """A NATS server for one test."""
    with Processes(tmp_path / "logs") as processes:
        yield launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=free_port())


@pytest.mark.parametrize("client", [Client, DirectClient])
async def test_both_ways_deliver_the_same(own_nats_url: str, client: type[Client]) -> None:
    """All of a stream, with headers, through either client."""
    publisher = await nats.connect(own_nats_url)
    context = publisher.jetstream()
    await context.add_stream(name="ALL", subjects=["all.>"])
    for number in range(500):
        await publisher.publish(f"all.{number}", b"%d" % number, headers={"Nats-Msg-Id": str(number)})
    await publisher.flush()
    await context.add_consumer("ALL", durable_name="c", ack_policy="all", max_ack_pending=-1)
    consumer = client()
    await consumer.connect(own_nats_url)
    pull = PullConsumer(consumer, "ALL", "c", batch=64, sequence=0)
    await pull.open()
    seen: list[int] = []
    async with asyncio.timeout(30):
        while len(seen) < 500:
            batch = await pull.next_batch(64, seconds=0.01, patience=1.0)
            if batch is not None:
                seen += [int(payload) for payload, _, _ in batch.messages]
    await pull.close()
    await consumer.close()
    await publisher.close()

    assert seen == list(range(500))


async def test_a_batch_has_no_more_messages_than_are_requested() -> None:
    pull = flow()
    deliver(pull, *((1, number, number) for number in range(1, 6)))
    first, second = [await pull.next_batch(3, seconds=0.0, patience=0.0) for _ in range(2)]

    assert first is not None
    assert second is not None
    assert (len(first.messages), len(second.messages), pull._size) == (3, 2, 0)


async def test_a_batch_has_no_more_bytes_than_are_committed_at_once() -> None:
    pull, size = flow(), BATCH_BYTES // 2
    for number in range(1, 6):
        pull._deliver(b"s", REPLY % (1, number, number, 0), b"x" * size, b"")
    batches = []
    while (batch := await pull.next_batch(100, seconds=0.0, patience=0.0)) is not None:
        batches.append(len(batch.messages))

    assert batches == [3, 2]
    assert pull._size == 0


async def test_a_batch_that_is_large_enough_is_not_waited_for() -> None:
    pull = flow()
    waiting = asyncio.create_task(pull.next_batch(100, seconds=300.0, patience=300.0))
    await asyncio.sleep(0)
    for number in (1, 2):
        pull._deliver(b"s", REPLY % (1, number, number, 0), b"x" * BATCH_BYTES, b"")
        await asyncio.sleep(0)
    batch = await asyncio.wait_for(waiting, 30)

    assert batch is not None
    assert len(batch.messages) in (1, 2)


def test_a_batch_is_counted_in_slices_of_its_bytes() -> None:
    small, large = [(b"x" * 300, b"s", b"%d" % number) for number in range(1000)], (b"x" * 100_000, b"s", b"large")
    messages = [*small, large, large, *small[:3]]
    found = list(slices(messages))

    assert [message for part in found for message in part] == messages
    assert [len(part) for part in found] == [219, 219, 219, 219, 125, 1, 3]
    assert list(slices([])) == []
