"""Pull requests of our own on one JetStream consumer: messages in, in order, in batches, with gaps noticed.

nats-py's ``fetch`` spends most of its time in a timed wait for each message; here a callback fills a list.
"""

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from jelmon.errors import SourceError

EXPIRES_SECONDS = 5.0
DEAF_SECONDS = 5.0
"""How much longer than a request lives the server may be silent."""
IN_FLIGHT = 2
_FULFILLED = ("Batch Completed", "Message Size Exceeds MaxBytes")
"""Ends of a request that are no trouble; the first is sent since NATS 2.12 when a request limits bytes."""
MAX_BYTES = 8 * 1024 * 1024


class FlowError(SourceError):
    """Messages were missed, or the server has fallen silent: the consumer must be made anew."""


class Message(NamedTuple):
    """A message of the stream, and what its reply subject tells."""

    sequence: int  # in the stream
    arrived: float  # in the stream, seconds
    pending: int  # how many of the partition's messages come after it
    subject: str
    payload: bytes
    reply: str  # where to acknowledge it


class Pull:
    """An endless flow of messages from one consumer, from just after ``sequence``."""

    def __init__(self, client: Client, stream: str, consumer: str, *, batch: int, sequence: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._sequence = sequence
        self._delivered = 0
        self._inbox = client.new_inbox()
        self._requests: deque[list[int]] = deque()  # number of the request, messages still to come
        self._number = 0
        self._ready: list[Message] = []
        self._wake_at = 1
        self._woken = asyncio.Event()
        self._heard = time.monotonic()
        self._trouble: str | None = None
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Start the flow."""
        self._subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._arrived, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._ask()

    async def close(self) -> None:
        """Stop the flow."""
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    def wake(self) -> None:
        """Let `next_batch` return at once with what there is."""
        self._woken.set()

    async def next_batch(self, most: int, *, seconds: float, patience: float) -> list[Message]:
        """Up to ``most`` messages, gathered for ``seconds`` after the first; none if ``patience`` ends before it.

        Raises:
            FlowError: messages were missed or the server is silent.
        """
        if not self._ready:
            await self._wait(1, patience)
        if self._ready and len(self._ready) < most:
            await self._wait(most, seconds)
        if self._trouble is None and time.monotonic() - self._heard > EXPIRES_SECONDS + DEAF_SECONDS:
            self._trouble = "the server is silent"
        if self._trouble is not None:
            raise FlowError(self._trouble)
        batch, self._ready = self._ready[:most], self._ready[most:]
        await self._ask()
        return batch

    async def _wait(self, number: int, seconds: float) -> None:
        self._wake_at = number
        self._woken.clear()
        if len(self._ready) < number and self._trouble is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), min(seconds, EXPIRES_SECONDS + DEAF_SECONDS))

    async def _ask(self) -> None:
        while len(self._requests) < IN_FLIGHT and len(self._ready) <= 2 * self._batch:
            self._number += 1
            self._requests.append([self._number, self._batch])
            request = {"batch": self._batch, "max_bytes": MAX_BYTES, "expires": int(EXPIRES_SECONDS * 1e9)}
            await self._client.publish(self._subject, json.dumps(request).encode(), f"{self._inbox}.{self._number}")

    async def _arrived(self, message: Msg) -> None:
        self._heard = time.monotonic()
        if not message.reply:
            await self._status(message)
            return
        tokens = message.reply.split(".")
        if len(tokens) > 9:  # with domain and account
            tokens = tokens[2:]
        sequence, delivered = int(tokens[5]), int(tokens[6])
        if delivered != self._delivered + 1:
            self._interrupt(f"the consumer's messages {self._delivered + 1} to {delivered - 1} did not arrive")
            return
        self._delivered = delivered
        if self._requests:
            self._requests[0][1] -= 1
            if self._requests[0][1] <= 0:
                self._requests.popleft()
        if sequence > self._sequence:  # else a redelivery, as we were slow to acknowledge
            self._sequence = sequence
            self._ready.append(
                Message(sequence, int(tokens[7]) / 1e9, int(tokens[8]), message.subject, message.data, message.reply)
            )
            if len(self._ready) >= self._wake_at:
                self._woken.set()
        if len(self._requests) < IN_FLIGHT:
            await self._ask()

    async def _status(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status", "")
        text = (message.headers or {}).get("Description", "")
        number = int(message.subject.rsplit(".", 1)[1])
        self._requests = deque(request for request in self._requests if request[0] != number)
        if status in ("404", "408") or (status == "409" and text in _FULFILLED):
            await self._ask()
        elif status != "100":
            self._interrupt(f"the server ended a request: {status} {text}")

    def _interrupt(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        self._woken.set()
