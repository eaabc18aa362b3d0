"""Pull requests of our own on one JetStream consumer: messages in, in order, in batches, with gaps noticed.

nats-py's ``fetch`` spends most of its time in a timed wait for each message. Here messages only pile up in a list; what
their reply subjects tell is read once for each batch.
"""

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from jelmon.errors import SourceError
from jelmon.nats.consumer_direct import DirectClient
from jelmon.nats.consumer_messages import Message, Origin, origin, reply_tokens
from jelmon.service import tasks

EXPIRES_SECONDS = 5.0
DEAF_SECONDS = 5.0
"""How much longer than a request lives the server may be silent."""
MAX_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 1024 * 1024
"""About how much is committed at once: a message may hold a hundred events, and a commit holds up everything else."""
SLICE_BYTES = 64 * 1024
"""How much is counted at a stretch: two milliseconds' work, during which nothing else is done."""
_payload = itemgetter(0)
_FULFILLED = (b"Batch Completed", b"Message Size Exceeds MaxBytes")
"""Ends of a request that are no trouble; the first is sent since NATS 2.12 when a request limits bytes."""


class FlowError(SourceError):
    """Messages were missed, or the server has fallen silent: the consumer must be made anew."""


class Batch(NamedTuple):
    """Messages in order, and where the last of them came from."""

    messages: list[Message]
    last: Origin


def slices(messages: list[Message]) -> Iterator[list[Message]]:
    """The messages in order, in parts of about `SLICE_BYTES`: one message may hold a hundred events."""
    ends = _ends(messages)
    begin = before = 0
    while begin < len(messages):
        end = bisect_right(ends, before + SLICE_BYTES) + 1
        yield messages[begin:end]
        begin, before = end, ends[min(end, len(ends)) - 1]


def _ends(messages: list[Message]) -> list[int]:
    """How many bytes of payload there are up to the end of each message."""
    return list(accumulate(map(len, map(_payload, messages))))


class Pull:
    """An endless flow of messages from one consumer, from just after ``sequence``."""

    def __init__(self, client: Client, stream: str, consumer: str, *, batch: int, sequence: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._sequence = sequence
        self._delivered = 0
        self._inbox = client.new_inbox()
        self._wanted = 0  # messages asked for and not here yet
        self._number = 0
        self._ready: list[Message] = []
        self._size = 0  # bytes in them
        self._wake_at = 1
        self._woken = asyncio.Event()
        self._hungry = asyncio.Event()
        self._heard = time.monotonic()
        self._trouble = ""
        self._subscription: Subscription | None = None
        self._asking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the flow."""
        subject = f"{self._inbox}.*"
        if isinstance(self._client, DirectClient):
            self._subscription = await self._client.subscribe_directly(subject, self._deliver)
        else:
            self._subscription = await self._client.subscribe(
                subject, cb=self._arrived, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
        self._hungry.set()
        self._asking = asyncio.create_task(self._ask())

    async def close(self) -> None:
        """Stop the flow."""
        if self._asking is not None:
            await tasks.end(self._asking)
        if self._subscription is not None:
            if isinstance(self._client, DirectClient):
                self._client.direct.pop(b"%d" % self._subscription._id, None)
            if not self._client.is_closed:
                await self._subscription.unsubscribe()

    def held_before(self, sequence: int) -> int:
        """How many messages that came before a place in the stream are here and not taken yet."""
        return sum(origin(reply).sequence < sequence for _, _, reply in self._ready)

    def wake(self) -> None:
        """Let `next_batch` return at once with what there is."""
        self._woken.set()

    async def next_batch(self, most: int, *, seconds: float, patience: float) -> Batch | None:
        """Up to ``most`` messages, gathered for ``seconds`` after the first; None if ``patience`` ends before it.

        Raises:
            FlowError: messages were missed or the server is silent.
        """
        if not self._ready:
            await self._wait(1, patience)
        if self._ready:
            await self._wait(most, seconds)
        if self._ready:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > EXPIRES_SECONDS + DEAF_SECONDS:
            self._interrupt("the server is silent")
        if self._trouble:
            raise FlowError(self._trouble)
        messages = self._take(most)
        self._hungry.set()
        return self._checked(messages) if messages else None

    def _take(self, most: int) -> list[Message]:
        """Up to ``most`` messages, and no more than `BATCH_BYTES` but for the last."""
        ends = _ends(self._ready[:most])
        taken = min(most, bisect_right(ends, BATCH_BYTES) + 1)
        messages, self._ready = self._ready[:taken], self._ready[taken:]
        if messages:
            self._size -= ends[len(messages) - 1]
        return messages

    def _checked(self, messages: list[Message]) -> Batch | None:
        """The batch without redeliveries, after a look whether its messages are all that the consumer sent."""
        first, last = origin(messages[0][2]), origin(messages[-1][2])
        if first.delivered != self._delivered + 1 or last.delivered != self._delivered + len(messages):
            self._interrupt(f"messages of the consumer after number {self._delivered} did not arrive")
            raise FlowError(self._trouble)
        self._delivered = last.delivered
        if any(reply_tokens(reply)[4] != b"1" for _, _, reply in self._suspects(messages)):
            return self._without_redeliveries(messages)
        self._sequence = last.sequence
        return Batch(messages, last)

    def _suspects(self, messages: list[Message]) -> list[Message]:
        """Those whose reply subject does not begin as that of a message delivered for the first time."""
        head, _, _ = messages[0][2].rpartition(b".")
        first_time = b".".join(head.split(b".")[:-3]) + b"."  # up to the number of deliveries
        return [messages[0], *(message for message in messages if not message[2].startswith(first_time))]

    def _without_redeliveries(self, messages: list[Message]) -> Batch | None:
        """Leave out what we have had already, when we were so slow to acknowledge that it was sent again."""
        kept = []
        for message in messages:
            sequence = origin(message[2]).sequence
            if sequence > self._sequence:
                self._sequence = sequence
                kept.append(message)
        return Batch(kept, origin(kept[-1][2])) if kept else None

    async def _wait(self, number: int, seconds: float) -> None:
        self._wake_at = number
        self._woken.clear()
        if len(self._ready) < number and self._size <= BATCH_BYTES and not self._trouble:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), min(seconds, EXPIRES_SECONDS + DEAF_SECONDS))

    async def _ask(self) -> None:
        """Keep requests for two batches with the server, unless what came is not taken."""
        while True:
            await self._hungry.wait()
            self._hungry.clear()
            while self._wanted <= self._batch and len(self._ready) <= 2 * self._batch:
                self._number += 1
                self._wanted += self._batch
                request = {"batch": self._batch, "max_bytes": MAX_BYTES, "expires": int(EXPIRES_SECONDS * 1e9)}
                try:
                    await self._client.publish(
                        self._subject, json.dumps(request).encode(), f"{self._inbox}.{self._number}"
                    )
                except Exception as error:  # of any kind: this task has nobody else to tell
                    self._interrupt(str(error) or type(error).__name__)
                    return

    async def _arrived(self, message: Msg) -> None:
        headers = message.headers or {}
        status = f"NATS/1.0 {headers.get('Status', '')} {headers.get('Description', '')}\r\n".encode()
        status += f"Nats-Pending-Messages: {headers.get('Nats-Pending-Messages', 0)}\r\n".encode()
        self._deliver(message.subject.encode(), message.reply.encode(), message.data, status)

    def _deliver(self, subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
        if not reply:
            self._status(headers)
            return
        ready = self._ready
        ready.append((payload, subject, reply))
        self._size += len(payload)
        self._wanted -= 1
        if len(ready) == self._wake_at or self._size > BATCH_BYTES:
            self._woken.set()
        if self._wanted == self._batch:
            self._hungry.set()

    def _status(self, headers: bytes) -> None:
        self._heard = time.monotonic()
        line, _, more = headers.partition(b"\r\n")
        status, _, text = line.removeprefix(b"NATS/1.0 ").strip().partition(b" ")
        if status in (b"404", b"408") or (status == b"409" and text in _FULFILLED):
            _, _, pending = more.partition(b"Nats-Pending-Messages: ")
            left = pending.partition(b"\r\n")[0]
            self._wanted -= int(left) if left.isdigit() else 0
            self._hungry.set()
        elif status != b"100":
            self._interrupt(f"the server ended a request: {status.decode()} {text.decode('utf-8', 'replace')}")

    def _interrupt(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        self._woken.set()
