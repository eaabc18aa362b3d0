"""Acknowledged delivery: many messages in flight, each resent under the same id until it is stored.

This module handles bytes and subjects, not events. JetStream's ``publish`` in nats-py waits for each answer in turn;
here one inbox receives all answers and one sweep handles all timeouts.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from jelmon.errors import SourceError
from jelmon.nats.connection import START_HINT
from jelmon.service import tasks

ACKNOWLEDGE_SECONDS = 2.0
"""Wait for an answer before the first resend; doubled each time."""
SWEEP_SECONDS = 0.05
_BACKOFF_SECONDS = 0.1
_NO_STREAM_SECONDS = 2.0  # about as long as the election of a stream leader
_TOO_LARGE = 10054  # JetStream's code for a message above max_msg_size of the stream
AGAIN = "resending all events is safe: stored events are not stored twice"


class RefusedError(SourceError):
    """The server or the stream refuses this message; resending it cannot help."""


class TooLargeError(RefusedError):
    """The event is larger than the server or the stream takes."""


class Published(msgspec.Struct, frozen=True):
    """Where an event is stored; events of one batch share the sequence. ``duplicate``: it was already stored.

    Only the exporter detects all duplicates: an event that is resent in another batch is reported as stored, but
    counted once.
    """

    sequence: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """How many events were ``stored``, and how many were ``duplicates``; see `Published`."""

    stored: int = 0
    duplicates: int = 0

    @property
    def acknowledged(self) -> int:
        return self.stored + self.duplicates


class _ServerError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    """JetStream's PubAck, or its error."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _ServerError | None = None


_decode = msgspec.json.Decoder(_Answer).decode
Done = Callable[[Published | SourceError], None]


class _Flight:
    """One message in flight."""

    __slots__ = ("deadline", "done", "due", "headers", "no_stream_since", "payload", "subject", "wait")

    def __init__(self, subject: str, payload: bytes, message_id: str, now: float, deadline: float, done: Done) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = {"Nats-Msg-Id": header_value(message_id)}
        self.done = done
        self.deadline = deadline
        self.wait = ACKNOWLEDGE_SECONDS
        self.due = now + self.wait
        self.no_stream_since: float | None = None


def header_value(message_id: str) -> str:
    """Return the id as a header value. NATS trims header values, so an id that would change is replaced by its hash."""
    if message_id.isascii() and message_id.isprintable() and message_id.strip() == message_id:
        return message_id
    return f"sha256:{hashlib.sha256(message_id.encode()).hexdigest()}"


class Delivery:
    """Messages in flight over one connection, each until its deadline."""

    def __init__(self, *, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Set up the delivery. ``patience`` (seconds) is quoted in error messages; deadlines come with each message."""
        self._patience = patience
        self._clock = clock
        self._flights: dict[str, _Flight] = {}
        self._number = 0
        self._connected = asyncio.Event()
        self._client: Client | None = None
        self._inbox = ""
        self._sweeper: asyncio.Task[None] | None = None
        self.trouble: SourceError | None = None
        """Why the connection cannot be restored, if that is known."""

    @property
    def connected(self) -> bool:
        """Whether the client is connected."""
        return self._connected.is_set()

    @property
    def max_payload(self) -> int:
        """The maximum size of a message in bytes, with headers."""
        assert self._client is not None
        return self._client.max_payload

    async def open(self, client: Client) -> None:
        """Start using a connection, or another one instead: receive answers, and resend what is unacknowledged.

        Raises:
            nats.errors.Error, OSError: the connection was lost already.
        """
        self._client = client
        self._inbox = f"{client.new_inbox()}."
        await client.subscribe(f"{self._inbox}*", cb=self._answered, pending_msgs_limit=-1, pending_bytes_limit=-1)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        await self.on_reconnected()

    async def close(self) -> None:
        """Stop resending; messages in flight fail."""
        if self._sweeper is not None:
            await tasks.end(self._sweeper)
        self._fail_all(SourceError("the publisher was closed before the event was acknowledged", hint=AGAIN))

    async def on_disconnected(self) -> None:
        """Hold new messages until the connection is restored."""
        self._connected.clear()

    async def on_reconnected(self) -> None:
        """Resend everything unacknowledged, in order: the server does not store it twice."""
        self._connected.set()
        self.trouble = None
        for token, flight in list(self._flights.items()):
            await self._transmit(token, flight)

    async def send(self, subject: str, payload: bytes, message_id: str, done: Done, *, deadline: float) -> None:
        """Send one message; ``done`` is called later with the result or the error."""
        self._number += 1
        token = str(self._number)
        flight = self._flights[token] = _Flight(subject, payload, message_id, self._clock(), deadline, done)
        if self._connected.is_set():  # else on reconnection
            await self._transmit(token, flight)

    async def wait_for_connection(self, patience: float) -> None:
        """Wait until the connection is restored.

        Raises:
            SourceError: not restored within ``patience`` seconds.
        """
        try:
            async with asyncio.timeout(patience):
                await self._connected.wait()
        except TimeoutError as error:
            raise self._lost(f"the connection to NATS is lost and was not restored within {patience:g} s") from error

    def _lost(self, message: str) -> SourceError:
        if self.trouble is None:
            return SourceError(message, hint=START_HINT)
        return SourceError(f"{message}: {self.trouble.message}", hint=self.trouble.hint)

    async def _transmit(self, token: str, flight: _Flight) -> None:
        assert self._client is not None
        try:
            await self._client.publish(flight.subject, flight.payload, self._inbox + token, flight.headers)
        except nats.errors.MaxPayloadError:
            self._land(
                token,
                TooLargeError(
                    f"the NATS server takes messages of {self._client.max_payload} bytes at most, the event has "
                    f"{len(flight.payload)}",
                    hint="raise max_payload in the configuration of the server",
                ),
            )
        except (nats.errors.Error, OSError):
            pass  # the sweep resends until the deadline

    async def _answered(self, message: Msg) -> None:
        token = message.subject[len(self._inbox) :]
        flight = self._flights.get(token)
        if flight is None:  # the answer to a resend
            return
        if not message.data:  # 503: no stream has the subject
            self._no_stream(token, flight)
            return
        try:
            answer = _decode(message.data)
        except msgspec.MsgspecError as error:
            self._land(token, SourceError(f"NATS sent an invalid acknowledgement: {error}"))
            return
        if answer.error is None:
            self._land(token, Published(answer.seq, answer.duplicate))
        elif answer.error.code >= 500:  # no leader, or temporarily full
            flight.due = self._clock() + _BACKOFF_SECONDS
        else:
            kind = TooLargeError if answer.error.err_code == _TOO_LARGE else RefusedError
            self._land(
                token,
                kind(
                    f"stream refused the event: {answer.error.description} (JetStream error {answer.error.err_code})",
                    hint="see `nats stream info` for the limits of the stream",
                ),
            )

    def _no_stream(self, token: str, flight: _Flight) -> None:
        now = self._clock()
        if flight.no_stream_since is None:
            flight.no_stream_since = now
            flight.wait = _BACKOFF_SECONDS
        if now - flight.no_stream_since > min(_NO_STREAM_SECONDS, self._patience):
            self._land(token, _no_stream_error(flight))
            return
        flight.due = now + flight.wait
        flight.wait *= 2

    def _land(self, token: str, result: Published | SourceError) -> None:
        flight = self._flights.pop(token, None)
        if flight is not None:
            flight.done(result)

    def _fail_all(self, error: SourceError) -> None:
        for token in list(self._flights):
            self._land(token, error)

    async def _sweep(self) -> None:
        """Resend overdue messages and give up those past their deadline."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._clock()
            for token, flight in list(self._flights.items()):
                if now >= flight.deadline:
                    self._land(token, self._gave_up(flight))
                elif now >= flight.due and self._connected.is_set():
                    flight.wait *= 2
                    flight.due = now + flight.wait
                    await self._transmit(token, flight)

    def _gave_up(self, flight: _Flight) -> SourceError:
        if not self._connected.is_set():
            return self._lost(f"the connection to NATS is lost and was not restored within {self._patience:g} s")
        if flight.no_stream_since is not None:
            return _no_stream_error(flight)
        return SourceError(
            f"JetStream did not acknowledge an event for {flight.subject} within {self._patience:g} s",
            hint="check that the server is not out of disk space and that this user may publish to jelmore.events.>",
        )


def _no_stream_error(flight: _Flight) -> SourceError:
    return SourceError(
        f"no stream has the subject {flight.subject}",
        hint="start `jelmon exporter`, which creates the stream, or call ensure_stream() first (--create-stream)",
    )
