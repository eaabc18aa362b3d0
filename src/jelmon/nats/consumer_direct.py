"""Messages straight from the socket to their consumer: no queue, no task and no header parsing in between.

nats-py spends 5 to 10 us on each message that it queues for a callback; a loop over the bytes that arrived spends 1.5.
TLS, authentication, reconnecting and everything else stay nats-py's. What this relies on inside nats-py is written down
in `trouble`, checked at start, and tested; with another nats-py the exporter takes the slower way by itself.
"""

import inspect
from collections.abc import Callable
from typing import Any

import nats.aio.client
from nats.aio.client import Client
from nats.protocol import parser
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

Deliver = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes subject, reply subject, payload and raw headers of a message. Must not raise and must not block."""


class DirectParser(Parser):  # type: ignore[misc, unused-ignore] # nats-py is typed in part
    """nats-py's parser, with a shorter way for messages of subscriptions that want them directly."""

    def __init__(self, client: "DirectClient") -> None:
        super().__init__(client)
        self._direct = client.direct

    async def parse(self, data: bytes = b"") -> None:
        if self.state == AWAITING_CONTROL_LINE and self._direct:
            data = bytes(self.buf) + data if self.buf else data
            done = self._deliver(data)
            self.buf = bytearray(data[done:])
            if not self.buf or self._cut(self.buf):
                return
            data = b""
        await super().parse(data)

    def _deliver(self, data: bytes) -> int:
        """Hand over complete messages for us at the beginning of the data; returns how many bytes they took."""
        direct, find, end, at = self._direct, data.find, len(data), 0
        while True:
            line_end = find(b"\r\n", at)
            if line_end < 0:
                return at
            words = data[at:line_end].split()
            # [H]MSG subject sid [reply] [size of headers, if H] size
            with_headers = words[:1] == [b"HMSG"]
            if not with_headers and words[:1] != [b"MSG"]:
                return at
            deliver = direct.get(words[2])
            start = line_end + 2
            stop = start + int(words[-1])
            if deliver is None or stop + 2 > end:
                return at
            payload = start + int(words[-2]) if with_headers else start
            reply = words[3] if len(words) == 5 + with_headers else b""
            deliver(words[1], reply, data[payload:stop], data[start:payload])
            at = stop + 2

    def _cut(self, data: bytearray) -> bool:
        """Whether the data is the beginning of a message for us, the rest of which is still to come."""
        line_end = data.find(b"\r\n")
        words = bytes(data[: line_end if line_end >= 0 else None]).split()
        if words[:1] not in ([b"MSG"], [b"HMSG"]):
            return False
        return line_end < 0 or words[2] in self._direct


class DirectClient(Client):  # type: ignore[misc, unused-ignore]
    """A NATS client some of whose subscriptions get their messages directly."""

    def __init__(self) -> None:
        super().__init__()
        self.direct: dict[bytes, Deliver] = {}
        self._ps = DirectParser(self)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Where nats-py's own parser puts a message, when it was at work in the middle of one."""
        deliver = self.direct.get(b"%d" % sid)
        if deliver is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type, unused-ignore]
        else:
            deliver(bytes(subject), bytes(reply), data, headers or b"")

    async def subscribe_directly(self, subject: str, deliver: Deliver) -> Any:
        """Subscribe; returns nats-py's subscription, to unsubscribe from."""

        async def unused(_: Any) -> None:
            pass

        subscription = await self.subscribe(subject, cb=unused)
        self.direct[b"%d" % subscription._id] = deliver
        return subscription


def trouble() -> str:
    """Why this nats-py cannot be used directly; empty if it can."""
    expected: list[tuple[Any, str, list[str]]] = [
        (Parser, "parse", ["self", "data"]),
        (Client, "_process_msg", ["self", "sid", "subject", "reply", "data", "headers"]),
    ]
    for owner, name, parameters in expected:
        found = getattr(owner, name, None)
        if found is None or list(inspect.signature(found).parameters) != parameters:
            return f"{owner.__name__}.{name} is not what it was in nats-py 2.16"
    source = inspect.getsource(nats.aio.client)
    if "self._ps.parse(" not in source or not hasattr(parser, "AWAITING_MSG_PAYLOAD"):
        return "the client does not use its parser as in nats-py 2.16"
    if not isinstance(getattr(Client(), "_ps", None), Parser):
        return "the client has no parser of its own"
    return ""


def new_client() -> Client:
    """The client for the exporter: a direct one where nats-py allows it."""
    return Client() if trouble() else DirectClient()
