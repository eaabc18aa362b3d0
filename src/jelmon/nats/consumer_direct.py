"""An optional accelerator: messages go straight from the socket to their consumer, without queue, task or headers.

nats-py spends 5 to 10 us on each message that it queues for a callback; a loop over the received bytes spends 1.5. TLS,
authentication, reconnecting and everything else remain nats-py's. The accelerator depends on internals of nats-py, so
`incompatibility` checks the version (`SUPPORTED`) and those internals. With any other nats-py, `new_client` returns the
ordinary client, and `jelmon.nats.consumer` reads through an ordinary subscription: slower, with the same result.
"""

import inspect
import logging
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import nats.aio.client
from nats.aio.client import Client
from nats.protocol import parser
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

logger = logging.getLogger(__name__)

SUPPORTED = ((2, 10), (2, 16))
"""Oldest and newest minor version of nats-py that the accelerator was tested with."""

Deliver = Callable[[bytes, bytes, bytes, bytes], None]
"""Receives subject, reply subject, payload and raw headers of a message. Must not raise and must not block."""


class DirectParser(Parser):  # type: ignore[misc, unused-ignore] # nats-py is typed in part
    """nats-py's parser, with a shortcut for messages of direct subscriptions."""

    def __init__(self, client: "DirectClient") -> None:
        super().__init__(client)
        self._direct = client.direct

    async def parse(self, data: bytes = b"") -> None:
        if self.state == AWAITING_CONTROL_LINE and self._direct:
            data = bytes(self.buf) + data if self.buf else data
            done = self._deliver(data)
            self.buf = bytearray(data[done:])
            if not self.buf or self._is_partial(self.buf):
                return
            data = b""
        await super().parse(data)

    def _deliver(self, data: bytes) -> int:
        """Deliver the complete direct messages at the start of the data; return their length in bytes."""
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

    def _is_partial(self, data: bytearray) -> bool:
        """Return whether the data is the beginning of a direct message whose rest has not arrived."""
        line_end = data.find(b"\r\n")
        words = bytes(data[: line_end if line_end >= 0 else None]).split()
        if words[:1] not in ([b"MSG"], [b"HMSG"]):
            return False
        return line_end < 0 or words[2] in self._direct


class DirectClient(Client):  # type: ignore[misc, unused-ignore]
    """A NATS client with direct and ordinary subscriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.direct: dict[bytes, Deliver] = {}
        self._ps = DirectParser(self)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Receive a message from nats-py's parser, if that was in the middle of one."""
        deliver = self.direct.get(b"%d" % sid)
        if deliver is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type, unused-ignore]
        else:
            deliver(bytes(subject), bytes(reply), data, headers or b"")

    async def subscribe_directly(self, subject: str, deliver: Deliver) -> Any:
        """Subscribe; return nats-py's subscription."""

        async def unused(_: Any) -> None:
            pass

        subscription = await self.subscribe(subject, cb=unused)
        self.direct[b"%d" % subscription._id] = deliver
        return subscription

    def unsubscribe_directly(self, subscription: Any) -> None:
        """Stop direct delivery; the subscription itself remains."""
        self.direct.pop(b"%d" % subscription._id, None)


def incompatibility() -> str:
    """Return why the accelerator cannot be used with this nats-py; empty if it can."""
    try:
        installed = version("nats-py")
    except PackageNotFoundError:
        return "the version of nats-py is unknown"
    minor = tuple(int(part) for part in installed.split(".")[:2] if part.isdigit())
    oldest, newest = SUPPORTED
    if not oldest <= minor <= newest:
        return f"nats-py {installed} is not one of {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    expected: list[tuple[Any, str, list[str]]] = [
        (Parser, "parse", ["self", "data"]),
        (Client, "_process_msg", ["self", "sid", "subject", "reply", "data", "headers"]),
    ]
    for owner, name, parameters in expected:
        method = getattr(owner, name, None)
        if method is None or list(inspect.signature(method).parameters) != parameters:
            return f"{owner.__name__}.{name} differs from that of nats-py 2.16"
    source = inspect.getsource(nats.aio.client)
    if "self._ps.parse(" not in source or not hasattr(parser, "AWAITING_MSG_PAYLOAD"):
        return "the client does not use its parser as nats-py 2.16 does"
    if not isinstance(getattr(Client(), "_ps", None), Parser):
        return "the client has no parser of its own"
    return ""


def new_client() -> Client:
    """Return a client with direct subscriptions if this nats-py supports them, else an ordinary one."""
    trouble = incompatibility()
    if trouble:
        logger.info("messages are read through ordinary subscriptions", extra={"reason": trouble})
        return Client()
    return DirectClient()
