"""Events over HTTP against a real NATS server: what is answered with 202 is stored, what is refused says why."""

import asyncio
import contextlib
import gzip
import io
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest

from jelmon import catalogue as c
from jelmon.config.settings import ListenAddress
from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port
from jelmon.events import MAX_EVENT_BYTES
from jelmon.nats.connection import NatsSettings
from jelmon.nats.streams import ensure_stream
from jelmon.nats.subjects import STREAM, partition_of
from jelmon.service.tasks import end
from jelmon.service.web import Server
from jelmon_exporter.series.cells import SeriesTable
from jelmon_exporter.sources.forwarding import Forwarding
from jelmon_exporter.sources.http import BATCH, JSON, MAX_BODY_BYTES, ONE, PATH, HttpSource

Until = Callable[..., Awaitable[None]]


class Endpoint:
    """The endpoint on a server of its own."""

    def __init__(self, url: str, source: Forwarding, table: SeriesTable, session: aiohttp.ClientSession) -> None:
        self.url, self.source, self.table, self.session = url, source, table, session

    async def post(self, body: Any, kind: str = ONE, **headers: str) -> tuple[int, dict[str, Any], Any]:
        """Send a body (encoded, unless it is bytes); status, answer and headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            sent["Content-Type"] = kind
        async with self.session.post(
            f"{self.url}{PATH}", data=io.BytesIO(data), headers=sent, skip_auto_headers=["Content-Type"]
        ) as response:
            return response.status, await response.json(), response.headers

    def counted(self) -> dict[str, Any]:
        """How many events had which fate."""
        found = {result: self.table.cell(c.HTTP_EVENTS, result).value for result in c.HTTP_EVENTS.closed["result"]}
        return {result: count for result, count in found.items() if count}


@contextlib.asynccontextmanager
async def served(nats_url: str, until: Until | None, *, patience: float = 5.0) -> AsyncIterator[Endpoint]:
    """The endpoint, connected unless ``until`` is None."""
    table = SeriesTable()
    source = Forwarding(NatsSettings(url=nats_url), table, patience=patience)
    server = Server("test", checks=dict)
    server.app.add_routes(HttpSource(source, table).routes())
    await server.start(ListenAddress("127.0.0.1", 0))
    task = asyncio.create_task(source.run())
    try:
        async with aiohttp.ClientSession() as session:
            if until is not None:
                await until(lambda: source.up)
            yield Endpoint(server.url, source, table, session)
    finally:
        await end(task)
        await server.stop()


@pytest.fixture
async def stream(own_nats_url: str) -> AsyncIterator[Any]:
    """The stream of events, empty, to look into."""
    client = await nats.connect(own_nats_url)
    await ensure_stream(client.jetstream())
    yield client.jetstream()
    await client.close()


@pytest.fixture
async def endpoint(own_nats_url: str, stream: Any, until: Until) -> AsyncIterator[Endpoint]:
    async with served(own_nats_url, until) as found:
        yield found


async def messages(stream: Any) -> list[tuple[str, Any]]:
    """Subject and content of what the stream holds, in order."""
    last = (await stream.stream_info(STREAM)).state.last_seq
    found = [await stream.get_msg(STREAM, number) for number in range(1, last + 1)]
    return [(message.subject, json.loads(message.data)) for message in found]


async def stored(stream: Any) -> list[dict[str, Any]]:
    """The events that the stream holds, in order."""
    found = [content for _, content in await messages(stream)]
    return [one for content in found for one in (content if isinstance(content, list) else [content])]


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A card's start."""
    return {
        "specversion": "1.0",
        "type": "jelmore.card.started",
        "id": f"e{number}",
        "source": "/test",
        "subject": "card-1",
        "time": "2026-01-01T00:00:00Z",
        "data": {"pipeline": "main"},
        **changes,
    }


# --- what is stored ---


@pytest.mark.parametrize("kind", [ONE, JSON, f"{ONE}; charset=UTF-8"])
async def test_one_event_is_answered_when_it_is_stored(endpoint: Endpoint, stream: Any, kind: str) -> None:
    status, body, _ = await endpoint.post(event(), kind)

    assert (status, body) == (
        202,
        {"accepted": 1, "results": [{"index": 0, "id": "e1", "status": "stored", "sequence": 1}]},
    )
    assert await stored(stream) == [event()]


@pytest.mark.parametrize("kind", [BATCH, JSON])
async def test_a_batch_is_stored_in_order(endpoint: Endpoint, stream: Any, kind: str) -> None:
    batch = [event(number) for number in range(100)]
    status, body, _ = await endpoint.post(batch, kind)

    assert (status, body["accepted"]) == (202, 100)
    assert [result["sequence"] for result in body["results"]] == [1] * 100
    assert await stored(stream) == batch


async def test_a_batch_is_stored_as_one_message_for_each_partition(endpoint: Endpoint, stream: Any) -> None:
    """As the exporter counts each partition by itself; the answer says where each event is."""
    batch = [event(number, subject=f"card-{number % 10}") for number in range(100)]
    status, body, _ = await endpoint.post(batch, BATCH)
    found = await messages(stream)
    place = {one["id"]: number for number, (_, content) in enumerate(found, start=1) for one in content}

    assert (status, body["accepted"]) == (202, 100)
    assert len(found) == len({partition_of(f"card-{number}") for number in range(10)})
    assert [{partition_of(one["subject"]) for one in content} for _, content in found] == [
        {int(subject.split(".")[3])} for subject, _ in found
    ]
    assert {result["id"]: result["sequence"] for result in body["results"]} == place
    assert len(place) == 100


async def test_attributes_may_stand_in_headers(endpoint: Endpoint, stream: Any) -> None:
    status, body, _ = await endpoint.post(
        {"pipeline": "main"},
        JSON,
        ce_specversion="1.0",
        ce_type="jelmore.card.started",
        ce_id="e1",
        ce_source="/test",
        ce_subject="caf%C3%A9%20%E2%82%AC",
        ce_time="2026-01-01T00:00:00Z",
    )

    assert (status, body["accepted"]) == (202, 1)
    assert await stored(stream) == [event(subject="café €")]


async def test_what_is_sent_again_is_stored_once(endpoint: Endpoint, stream: Any) -> None:
    await endpoint.post([event(1), event(2)], BATCH)
    status, body, _ = await endpoint.post([event(1), event(2)], BATCH)

    assert status == 202
    assert [(result["status"], result["sequence"]) for result in body["results"]] == [("duplicate", 1)] * 2
    assert [one["id"] for one in await stored(stream)] == ["e1", "e2"]
    assert endpoint.counted() == {"stored": 2, "duplicate": 2}


async def test_what_a_newer_producer_says_is_kept(endpoint: Endpoint, stream: Any) -> None:
    newer = event(priority=3, data={"pipeline": "main", "colour": "red"})
    await endpoint.post(newer)

    assert await stored(stream) == [newer]


async def test_a_body_may_be_compressed(endpoint: Endpoint, stream: Any) -> None:
    status, _, _ = await endpoint.post(gzip.compress(json.dumps(event()).encode()), Content_Encoding="gzip")

    assert status == 202
    assert await stored(stream) == [event()]


async def test_a_quoted_value_is_unquoted(endpoint: Endpoint, stream: Any) -> None:
    headers = binary() | {"ce_id": '"e\\"1\\\\ 25%25"'}
    status, body, _ = await endpoint.post({"pipeline": "main"}, JSON, **headers)

    assert (status, body["results"][0]["id"]) == (202, 'e"1\\ 25%')


def binary() -> dict[str, str]:
    """The headers of a card's start in binary mode."""
    return {
        "ce_specversion": "1.0",
        "ce_type": "jelmore.card.started",
        "ce_id": "e1",
        "ce_source": "/test",
        "ce_subject": "card-1",
        "ce_time": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"ce_id": "b%ff3"}, "ce-id is not UTF-8 after percent-decoding"),
        ({"ce_id": "50%"}, "ce-id has a % without two hexadecimal digits"),
        ({"ce_id": '"half'}, "ce-id has an unbalanced quote"),
        ({"ce_id": "caf\u00e9"}, "ce-id has characters that are not printable ASCII"),
        ({"ce_a_b": "x"}, "ce-a-b is not an attribute"),
        ({"ce_data": "x"}, "ce-data is not an attribute"),
    ],
)
async def test_attributes_that_are_not_encoded_as_they_should_be_are_refused(
    endpoint: Endpoint, stream: Any, headers: dict[str, str], error: str
) -> None:
    status, body, _ = await endpoint.post({"pipeline": "main"}, JSON, **(binary() | headers))

    assert (status, body["error"]) == (400, error)
    assert await stored(stream) == []


async def test_raw_bytes_and_repeated_attributes_in_headers_are_refused(endpoint: Endpoint, stream: Any) -> None:
    """As no client library sends them."""
    answers = []
    for line in (b"ce-id: \xff", b"ce-id: e1\r\nCE-ID: e2"):
        head = b"POST %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n" % PATH.encode()
        reader, writer = await asyncio.open_connection(*endpoint.url.removeprefix("http://").split(":"))
        writer.write(head + line + b"\r\nContent-Length: 2\r\n\r\n{}")
        answers.append(await asyncio.wait_for(reader.read(), 20))
        writer.close()

    assert [answer.split()[1] for answer in answers] == [b"400", b"400"]
    assert b"ce-id has characters that are not printable ASCII" in answers[0]
    assert b"ce-id is given twice" in answers[1]


@pytest.mark.parametrize("body", [b'{"pipeline":"p"},"id":"zz"', b'{"pipeline":"p"}}', b'{"pipeline":', b"\xff"])
async def test_a_body_that_is_not_one_value_overrides_nothing(endpoint: Endpoint, stream: Any, body: bytes) -> None:
    status, answer, _ = await endpoint.post(body, JSON, **binary())

    assert status == 400
    assert answer["error"].startswith("the body is not JSON: ")
    assert await stored(stream) == []


# --- what is refused ---


def without(name: str) -> dict[str, Any]:
    found = event()
    del found[name]
    return found


REFUSED: dict[str, tuple[Any, str, str, str, str]] = {
    "no field of the data": (
        event(data={}),
        "invalid",
        "data.pipeline",
        "jelmore.card.started: Object missing required field `pipeline` - at `$.data`",
        "see docs/events.md for the fields of this type",
    ),
    "no attribute": (
        without("subject"),
        "invalid",
        "subject",
        "jelmore.card.started: Object missing required field `subject`",
        "see docs/events.md for the fields of this type",
    ),
    "a wrong value": (
        event(type="jelmore.card.finished", data={"pipeline": "main", "outcome": "fine"}),
        "invalid",
        "data.outcome",
        "jelmore.card.finished: Invalid enum value 'fine' - at `$.data.outcome`",
        "see docs/events.md for the fields of this type",
    ),
    "a time without zone": (
        event(time="2026-01-01T00:00:00"),
        "invalid",
        "time",
        "jelmore.card.started: ",
        "see docs/events.md",
    ),
    "an unknown type": (
        event(type="jelmore.card.startet"),
        "unknown_type",
        "type",
        "unknown event type 'jelmore.card.startet'",
        "did you mean 'jelmore.card.started'?",
    ),
    "no JSON": (b"{", "malformed", "", "the event is not JSON: ", "send one CloudEvents 1.0 JSON object"),
    "no UTF-8": (
        json.dumps(event()).encode().replace(b"card-1", b"\xff"),
        "malformed",
        "",
        "the event is not JSON: ",
        "send one CloudEvents 1.0 JSON object",
    ),
    "no object": (b"3", "invalid", "", "not a CloudEvent: ", "send one CloudEvents 1.0 JSON object"),
    "nothing": (b"", "malformed", "", "the event is not JSON: ", "send one CloudEvents 1.0 JSON object"),
    "too deep": (b'{"a":' * 5000, "malformed", "", "the event is not JSON: ", "send one CloudEvents 1.0 JSON object"),
}


@pytest.mark.parametrize(("body", "reason", "field", "message", "hint"), REFUSED.values(), ids=REFUSED)
async def test_an_event_that_is_refused_says_which_field_and_what_to_do(
    endpoint: Endpoint, stream: Any, body: Any, reason: str, field: str, message: str, hint: str
) -> None:
    status, answer, _ = await endpoint.post(body)

    assert (status, answer["accepted"]) == (400, 0)
    (result,) = answer["results"]
    assert (result["index"], result["status"], result["reason"], result["field"]) == (0, "refused", reason, field)
    assert answer["error"].startswith(message)
    assert answer["hint"].startswith(hint)
    assert await stored(stream) == []
    assert endpoint.counted() == {"refused": 1}


async def test_the_rest_of_a_batch_is_stored(endpoint: Endpoint, stream: Any) -> None:
    status, body, _ = await endpoint.post([event(1), event(2, data={}), event(3, type="x"), event(4)], BATCH)

    assert status == 400
    assert (body["error"], body["accepted"]) == ("2 of 4 events were refused", 2)
    assert body["hint"] == "correct those with status 'refused' and send them again; the others are stored"
    assert [(one["index"], one["id"], one["status"], one.get("field")) for one in body["results"]] == [
        (0, "e1", "stored", None),
        (1, "e2", "refused", "data.pipeline"),
        (2, "e3", "refused", "type"),
        (3, "e4", "stored", None),
    ]
    assert [one["id"] for one in await stored(stream)] == ["e1", "e4"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (event(padding="x" * MAX_EVENT_BYTES), 413, "exceeds 65536 bytes"),
        ([event(number) for number in range(101)], 413, "the batch has 101 events; 1 to 100 are allowed"),
        (b"[" + b" " * MAX_BODY_BYTES, 413, f"the body is larger than {MAX_BODY_BYTES} bytes"),
        (b" " * (9 * 1024 * 1024), 413, f"the body is larger than {MAX_BODY_BYTES} bytes"),
        ([], 400, "the batch has 0 events; 1 to 100 are allowed"),
        (b"[{}", 400, "batch is not JSON: "),
    ],
    ids=[
        "a large event",
        "a large batch",
        "a long body",
        "a body above the server's limit",
        "no event",
        "half a batch",
    ],
)
async def test_sizes_have_limits(endpoint: Endpoint, stream: Any, body: Any, status: int, error: str) -> None:
    found, answer, _ = await endpoint.post(body, JSON)

    assert (found, answer["accepted"]) == (status, 0)
    assert error in answer["error"]
    assert answer["hint"]
    assert await stored(stream) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("", "there is no Content-Type"),
        ("text/plain", "Content-Type 'text/plain' is not supported"),
        (f"{JSON}; charset=latin-1", "charset latin-1 is not supported"),
    ],
)
async def test_other_content_is_not_read(endpoint: Endpoint, kind: str, error: str) -> None:
    status, answer, headers = await endpoint.post(event(), kind)

    assert (status, answer["error"]) == (415, error)
    assert headers["Accept-Post"] == f"{ONE}, {BATCH}, {JSON}"


async def test_content_that_is_not_what_its_type_says(endpoint: Endpoint) -> None:
    one = await endpoint.post([event()], ONE)
    batch = await endpoint.post(event(), BATCH)

    assert (one[0], one[1]["error"], one[1]["hint"]) == (
        400,
        f"a batch was sent as {ONE}",
        f"send it with Content-Type: {BATCH}",
    )
    assert (batch[0], batch[1]["error"]) == (400, f"the body sent as {BATCH} is not a JSON array")


async def test_headers_cannot_smuggle_data(endpoint: Endpoint) -> None:
    status, answer, _ = await endpoint.post({"pipeline": "main"}, JSON, ce_data="x", ce_id="1")

    assert (status, answer["error"]) == (400, "ce-data is not an attribute")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_that_is_not_compressed_as_it_says_is_refused(endpoint: Endpoint, coding: str) -> None:
    status, answer, _ = await endpoint.post(json.dumps(event()).encode(), Content_Encoding=coding)

    assert (status, answer["accepted"]) == (400, 0)
    assert answer["error"].startswith(f"the body is not valid {coding}: ")


@pytest.mark.parametrize("limit", ["server", "stream"])
async def test_an_event_that_nats_never_takes_is_too_large(
    own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path, until: Until, limit: str
) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("max_payload: 4096\n" if limit == "server" else "")
    url = launch.nats(own_processes, tool("nats-server"), tmp_path / "nats", config=config)
    client = await nats.connect(url)
    await ensure_stream(client.jetstream())
    if limit == "stream":
        found = (await client.jetstream().stream_info(STREAM)).config
        await client.jetstream().update_stream(found, max_msg_size=4096)
    await client.close()
    async with served(url, until) as endpoint:
        alone = await endpoint.post(event(padding="x" * 8192))
        batch = await endpoint.post([event(1), event(2, padding="x" * 8192), event(3)], BATCH)

    assert (alone[0], alone[1]["results"][0]["reason"]) == (413, "oversized")
    assert "4096 bytes" in alone[1]["error"] or "maximum" in alone[1]["error"]
    assert batch[0] == 400
    assert [one["status"] for one in batch[1]["results"]] == ["stored", "refused", "stored"]


async def test_clients_that_are_slow_to_send_do_not_keep_others_waiting(endpoint: Endpoint, stream: Any) -> None:
    host, port = endpoint.url.removeprefix("http://").split(":")
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\nContent-Length: 1000\r\n\r\n[".encode()
    slow = [await asyncio.open_connection(host, port) for _ in range(40)]
    for _, writer in slow:
        writer.write(head)
        await writer.drain()
    async with asyncio.timeout(10):  # they had 30 s
        status, _, _ = await endpoint.post(event())
    for _, writer in slow:
        writer.close()

    assert status == 202


# --- when NATS is away ---


async def test_without_nats_the_answer_is_come_again() -> None:
    async with served(f"nats://127.0.0.1:{free_port()}", None) as endpoint:
        status, answer, headers = await endpoint.post([event(1), event(2)], BATCH)

        assert (status, headers["Retry-After"]) == (503, "5")
        assert (answer["error"], answer["accepted"]) == ("the exporter has no connection to NATS", 0)
        assert endpoint.counted() == {"failed": 2}
        assert endpoint.table.cell(c.SOURCE_UP, "http").value == 0


async def test_a_lost_connection_is_told_and_comes_back(
    own_processes: Processes, tool: Callable[[str], Path], tmp_path: Path, until: Until
) -> None:
    port = free_port()
    url = launch.nats(own_processes, tool("nats-server"), tmp_path / "nats", port=port)
    client = await nats.connect(url)
    await ensure_stream(client.jetstream())
    await client.close()
    async with served(url, until, patience=0.3) as endpoint:
        own_processes.signal("nats-server", signal.SIGKILL)
        await until(lambda: not endpoint.source.up)
        away = await endpoint.post([event(1), event(2, data={}), event(3)], BATCH)
        launch.nats(own_processes, tool("nats-server"), tmp_path / "nats", port=port)
        await until(lambda: endpoint.source.up)
        back = await endpoint.post([event(1), event(3)], BATCH)

    assert (away[0], away[2]["Retry-After"], away[1]["accepted"]) == (503, "5", 0)
    assert [one["status"] for one in away[1]["results"]] == ["failed", "refused", "failed"]
    assert away[1]["hint"] == "send the whole request again: nothing is stored twice"
    assert (back[0], back[1]["accepted"]) == (202, 2)


async def test_without_a_stream_nothing_is_accepted(own_nats_url: str, until: Until) -> None:
    async with served(own_nats_url, until, patience=0.3) as endpoint:
        status, answer, _ = await endpoint.post(event())

    assert (status, answer["accepted"]) == (503, 0)
    assert answer["error"].startswith("no stream has the subject jelmore.events.card.")
