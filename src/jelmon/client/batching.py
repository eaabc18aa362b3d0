"""Batching of outgoing events: an event is sent at once when nothing is in flight, else together with those that wait.

A message with several events (a CloudEvents batch) has events of one partition only, as partitions are counted
separately. Events wait in one lane per partition and leave when the lane may send: nothing waits for a full batch.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from jelmon.client.delivery import AGAIN, Delivery, Done, Published, RefusedError
from jelmon.errors import SourceError
from jelmon.events import MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from jelmon.nats.subjects import batch_subject, partition_of
from jelmon.service import tasks

_AHEAD = 4
"""Unacknowledged messages per lane before its events wait: just enough to keep the server busy."""
_TOGETHER_SECONDS = 1.0
"""Events with deadlines further apart are not batched, as a message is given up as a whole."""
_HEADER_BYTES = 1024
"""What the server counts of a message in addition to its payload: the message id and the header names."""

_encode_ids = msgspec.json.Encoder().encode


class Outgoing(NamedTuple):
    """One encoded event. ``alone``: never batched."""

    subject: str
    payload: bytes
    identity: str
    done: Done
    deadline: float
    alone: bool


class _Lane:
    """The events of one partition."""

    __slots__ = ("unanswered", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Outgoing] = deque()
        self.unanswered = 0

    def next_batch(self, most: int, most_bytes: int) -> list[Outgoing]:
        """Return the next events to send in one message, in order."""
        waiting = self.waiting
        taken = [waiting.popleft()]
        if taken[0].alone:
            return taken
        size, latest = len(taken[0].payload) + 2, taken[0].deadline + _TOGETHER_SECONDS
        while waiting and len(taken) < most and not waiting[0].alone:
            size += len(waiting[0].payload) + 1
            if size > most_bytes or waiting[0].deadline > latest:
                break
            taken.append(waiting.popleft())
        return taken


class Batching:
    """Sends events over a `Delivery`: at most ``window`` in flight, at most ``most`` per message."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        window: int,
        most: int,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delivery = delivery
        self._window = window
        self._most = most
        self._patience = patience
        self._clock = clock
        self._lanes: dict[int, _Lane] = {}
        self._outstanding = 0
        self._has_capacity = asyncio.Event()
        self._has_capacity.set()
        self._wake = asyncio.Event()
        self._shipper: asyncio.Task[None] | None = None
        self._closed = False

    def open(self) -> None:
        """Start sending."""
        self._shipper = asyncio.create_task(self._run(), name="publisher")

    async def close(self) -> None:
        """Stop sending and close the delivery; events that still wait fail."""
        self._closed = True
        if self._shipper is not None:
            await tasks.end(self._shipper)
        await self._delivery.close()
        error = SourceError("the publisher was closed before the event was acknowledged", hint=AGAIN)
        for lane in self._lanes.values():
            while lane.waiting:
                self._complete([lane.waiting.popleft()], error)

    async def send(self, subject: str, payload: bytes, identity: str, done: Done, *, alone: bool = False) -> None:
        """Queue one event when the window allows; ``done`` is called later with the result or the error.

        Raises:
            SourceError: the connection is lost and not restored in time.
        """
        while not self._has_capacity.is_set():
            await self._has_capacity.wait()
        if not self._delivery.connected:
            await self._delivery.wait_for_connection(self._patience)
        if self._closed:
            raise SourceError("the publisher was closed before the event was sent", hint=AGAIN)
        partition = partition_of(subject.rpartition(".")[2]) if self._most > 1 else 0
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane()
        lane.waiting.append(Outgoing(subject, payload, identity, done, self._clock() + self._patience, alone))
        self._outstanding += 1
        if self._outstanding >= self._window:
            self._has_capacity.clear()
        self._wake.set()
        if len(lane.waiting) >= MAX_BATCH_EVENTS:  # lets a full message leave when the caller never pauses
            await asyncio.sleep(0)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for lane in list(self._lanes.values()):
                while lane.waiting and (lane.unanswered < _AHEAD or len(lane.waiting) >= self._most):
                    await self._ship(lane)

    async def _ship(self, lane: _Lane) -> None:
        most_bytes = min(MAX_EVENT_BYTES, self._delivery.max_payload - _HEADER_BYTES)
        batch = lane.next_batch(self._most, most_bytes)
        lane.unanswered += 1
        subject, payload, message_id = batch[0][:3]
        if len(batch) > 1:
            subject = batch_subject(subject)
            payload = b"[%b]" % b",".join([outgoing.payload for outgoing in batch])
            message_id = _batch_id([outgoing.identity for outgoing in batch])
        landed = partial(self._landed, lane, batch)
        await self._delivery.send(subject, payload, message_id, landed, deadline=batch[-1].deadline)

    def _landed(self, lane: _Lane, batch: list[Outgoing], result: Published | SourceError) -> None:
        lane.unanswered -= 1
        if lane.waiting:
            self._wake.set()
        if isinstance(result, RefusedError) and len(batch) > 1:  # perhaps too large together: send each alone
            lane.waiting.extendleft(one._replace(alone=True) for one in reversed(batch))
            self._wake.set()
        else:
            self._complete(batch, result)

    def _complete(self, batch: list[Outgoing], result: Published | SourceError) -> None:
        self._outstanding -= len(batch)
        if (
            not self._has_capacity.is_set() and self._outstanding <= self._window // 2
        ):  # wake senders when half the window is free
            self._has_capacity.set()
        for outgoing in batch:
            outgoing.done(result)


def _batch_id(identities: list[str]) -> str:
    """Return the message id of a batch: the same events in the same order have the same id."""
    return f"batch:{hashlib.sha256(_encode_ids(identities)).hexdigest()}"
