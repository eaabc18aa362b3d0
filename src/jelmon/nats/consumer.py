"""Reads one JetStream consumer by pull requests: messages in order, in batches, with gaps detected.

nats-py's ``fetch`` spends most of its time in a timed wait for each message. Here messages are appended to a list, and
their reply subjects are read once per batch. With a client from `consumer_direct` they also skip nats-py's queue.
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
"""How long the server keeps a request open."""
SILENCE_MARGIN_SECONDS = 5.0
"""How much longer than a request's life the server may be silent."""
MAX_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 1024 * 1024
"""Approximate size of a batch: a message may hold a hundred events, and a commit delays everything else."""
SLICE_BYTES = 64 * 1024
"""Size of a slice: about two milliseconds of counting, during which the event loop does nothing else."""
_payload = itemgetter(0)
_FULFILLED = (b"Batch Completed", b"Message Size Exceeds MaxBytes")
"""Regular ends of a request; the first is sent by NATS 2.12 and newer when a request limits bytes."""


class ConsumerError(SourceError):
    """Messages were missed, or the server does not answer: the consumer must be recreated."""


class Batch(NamedTuple):
    """Messages in order, and the origin of the last one."""

    messages: list[Message]
    last: Origin


def slices(messages: list[Message]) -> Iterator[list[Message]]:
    """Yield the messages in order, in parts of about `SLICE_BYTES`."""
    ends = _ends(messages)
    begin = before = 0
    while begin < len(messages):
        end = bisect_right(ends, before + SLICE_BYTES) + 1
        yield messages[begin:end]
        begin, before = end, ends[min(end, len(ends)) - 1]


def _ends(messages: list[Message]) -> list[int]:
    """Return the cumulative payload size, in bytes, up to the end of each message."""
    return list(accumulate(map(len, map(_payload, messages))))


class PullConsumer:
    """The messages of one consumer, from just after the stream sequence ``sequence``."""

    def __init__(self, client: Client, stream: str, consumer: str, *, batch: int, sequence: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._sequence = sequence
        self._delivered = 0
        self._inbox = client.new_inbox()
        self._requested = 0  # messages requested and not received yet
        self._number = 0
        self._ready: list[Message] = []
        self._size = 0  # bytes in them
        self._wake_at = 1
        self._woken = asyncio.Event()
        self._may_request = asyncio.Event()
        self._heard = time.monotonic()
        self._trouble = ""
        self._subscription: Subscription | None = None
        self._requests: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Subscribe and send the first requests."""
        subject = f"{self._inbox}.*"
        if isinstance(self._client, DirectClient):
            self._subscription = await self._client.subscribe_directly(subject, self._deliver)
        else:
            self._subscription = await self._client.subscribe(
                subject, cb=self._arrived, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
        self._may_request.set()
        self._requests = asyncio.create_task(self._request())

    async def close(self) -> None:
        """Stop requesting, and unsubscribe."""
        if self._requests is not None:
            await tasks.end(self._requests)
        if self._subscription is not None:
            if isinstance(self._client, DirectClient):
                self._client.unsubscribe_directly(self._subscription)
            if not self._client.is_closed:
                await self._subscription.unsubscribe()

    def unread_before(self, sequence: int) -> int:
        """Return how many messages before a stream sequence have arrived and are not read yet."""
        return sum(origin(reply).sequence < sequence for _, _, reply in self._ready)

    def wake(self) -> None:
        """Let `next_batch` return at once with the messages that are here."""
        self._woken.set()

    def interrupt(self, trouble: str) -> None:
        """Let `next_batch` raise a `ConsumerError` with this message, unless it has one already."""
        self._trouble = self._trouble or trouble
        self._woken.set()

    async def next_batch(self, most: int, *, seconds: float, patience: float) -> Batch | None:
        """Return up to ``most`` messages, gathered for ``seconds`` after the first; None if ``patience`` ends first.

        Raises:
            ConsumerError: messages were missed, or the server is silent.
        """
        if not self._ready:
            await self._wait(1, patience)
        if self._ready:
            await self._wait(most, seconds)
        if self._ready:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > EXPIRES_SECONDS + SILENCE_MARGIN_SECONDS:
            self.interrupt("the server is silent")
        if self._trouble:
            raise ConsumerError(self._trouble)
        messages = self._pop(most)
        self._may_request.set()
        return self._checked(messages) if messages else None

    def _pop(self, most: int) -> list[Message]:
        """Remove and return up to ``most`` messages, limited to `BATCH_BYTES` except for the last one."""
        ends = _ends(self._ready[:most])
        number = min(most, bisect_right(ends, BATCH_BYTES) + 1)
        messages, self._ready = self._ready[:number], self._ready[number:]
        if messages:
            self._size -= ends[len(messages) - 1]
        return messages

    def _checked(self, messages: list[Message]) -> Batch | None:
        """Return the batch without redeliveries, after checking that no message of the consumer is missing."""
        first, last = origin(messages[0][2]), origin(messages[-1][2])
        if first.delivered != self._delivered + 1 or last.delivered != self._delivered + len(messages):
            self.interrupt(f"messages of the consumer after number {self._delivered} did not arrive")
            raise ConsumerError(self._trouble)
        self._delivered = last.delivered
        if any(reply_tokens(reply)[4] != b"1" for _, _, reply in self._suspects(messages)):
            return self._without_redeliveries(messages)
        self._sequence = last.sequence
        return Batch(messages, last)

    def _suspects(self, messages: list[Message]) -> list[Message]:
        """Return the messages whose reply subject does not begin like that of a first delivery."""
        head, _, _ = messages[0][2].rpartition(b".")
        first_time = b".".join(head.split(b".")[:-3]) + b"."  # up to the number of deliveries
        return [messages[0], *(message for message in messages if not message[2].startswith(first_time))]

    def _without_redeliveries(self, messages: list[Message]) -> Batch | None:
        """Drop messages that were read already, and redelivered because they were acknowledged late."""
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
                await asyncio.wait_for(self._woken.wait(), min(seconds, EXPIRES_SECONDS + SILENCE_MARGIN_SECONDS))

    async def _request(self) -> None:
        """Keep requests for two batches open at the server, unless received messages are not read."""
        while True:
            await self._may_request.wait()
            self._may_request.clear()
            while self._requested <= self._batch and len(self._ready) <= 2 * self._batch:
                self._number += 1
                self._requested += self._batch
                request = {"batch": self._batch, "max_bytes": MAX_BYTES, "expires": int(EXPIRES_SECONDS * 1e9)}
                try:
                    await self._client.publish(
                        self._subject, json.dumps(request).encode(), f"{self._inbox}.{self._number}"
                    )
                except Exception as error:  # of any kind: nobody awaits this task, `next_batch` reports the error
                    self.interrupt(str(error) or type(error).__name__)
                    return

    async def _arrived(self, message: Msg) -> None:
        headers = message.headers or {}
        status = f"NATS/1.0 {headers.get('Status', '')} {headers.get('Description', '')}\r\n".encode()
        status += f"Nats-Pending-Messages: {headers.get('Nats-Pending-Messages', 0)}\r\n".encode()
        self._deliver(message.subject.encode(), message.reply.encode(), message.data, status)

    def _deliver(self, subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
        if not reply:
            self._handle_status(headers)
            return
        ready = self._ready
        ready.append((payload, subject, reply))
        self._size += len(payload)
        self._requested -= 1
        if len(ready) == self._wake_at or self._size > BATCH_BYTES:
            self._woken.set()
        if self._requested == self._batch:
            self._may_request.set()

    def _handle_status(self, headers: bytes) -> None:
        self._heard = time.monotonic()
        line, _, more = headers.partition(b"\r\n")
        status, _, text = line.removeprefix(b"NATS/1.0 ").strip().partition(b" ")
        if status in (b"404", b"408") or (status == b"409" and text in _FULFILLED):
            _, _, pending = more.partition(b"Nats-Pending-Messages: ")
            left = pending.partition(b"\r\n")[0]
            self._requested -= int(left) if left.isdigit() else 0
            self._may_request.set()
        elif status != b"100":
            self.interrupt(f"the server ended a request: {status.decode()} {text.decode('utf-8', 'replace')}")
