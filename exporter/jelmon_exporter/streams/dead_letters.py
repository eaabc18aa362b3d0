"""The stream of dead letters, which holds events that could not be read: park, list, replay or drop them."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from jelmon.errors import EventError, SourceError
from jelmon.nats.streams import stream_error
from jelmon.nats.subjects import DEAD_LETTER_STREAM, STREAM

REASON = "Jelmon-Reason"
MESSAGE = "Jelmon-Message"
SEQUENCE = "Jelmon-Sequence"
SUBJECT = "Jelmon-Subject"
_TROUBLE = (nats.js.errors.APIError, nats.errors.Error, TimeoutError)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One parked event. ``number`` is its sequence in the stream of dead letters, ``sequence`` that of its message."""

    number: int
    reason: str
    message: str
    sequence: str
    subject: str
    payload: bytes
    time: datetime | None


async def park(
    context: JetStreamContext,
    dead_letter_subject: str,
    payload: bytes,
    *,
    error: EventError,
    sequence: int,
    index: int | None,
    subject: str,
) -> None:
    """Publish an event that cannot be read, with its origin in headers. The message id makes a repetition harmless.

    Raises:
        nats.errors.Error, nats.js.errors.Error, TimeoutError: it is not stored.
    """
    origin = f"{sequence}" if index is None else f"{sequence}-{index}"
    headers = {
        "Nats-Msg-Id": f"{STREAM}-{origin}",
        REASON: error.reason.value,
        MESSAGE: " ".join(error.message.split())[:512].encode("ascii", "replace").decode(),
        SEQUENCE: str(sequence),
        SUBJECT: subject,
    }
    await context.publish(dead_letter_subject, payload, headers=headers)


async def dead_letters(context: JetStreamContext, numbers: Collection[int] = ()) -> AsyncIterator[DeadLetter]:
    """Yield the parked events with these numbers, or all, oldest first.

    Raises:
        SourceError: the stream does not answer, or has no such number.
    """
    try:
        state = (await context.stream_info(DEAD_LETTER_STREAM)).state
    except nats.js.errors.NotFoundError:
        return
    except _TROUBLE as error:
        raise stream_error(error, DEAD_LETTER_STREAM) from error
    # a stream that never had a message begins at 0
    wanted = sorted(numbers) if numbers else range(max(1, state.first_seq), state.last_seq + 1)
    for number in wanted:
        try:
            message = await context.get_msg(DEAD_LETTER_STREAM, number)
        except nats.js.errors.NotFoundError as error:
            if numbers:
                raise SourceError(
                    f"there is no dead letter {number}", hint="`jelmon dlq list` shows what there is"
                ) from error
            continue
        except _TROUBLE as error:
            raise stream_error(error, DEAD_LETTER_STREAM) from error
        headers = message.headers or {}
        yield DeadLetter(
            number=number,
            reason=headers.get(REASON, ""),
            message=headers.get(MESSAGE, ""),
            sequence=headers.get(SEQUENCE, ""),
            subject=headers.get(SUBJECT, ""),
            payload=message.data or b"",
            time=message.time,
        )


async def replay(context: JetStreamContext, letter: DeadLetter) -> None:
    """Publish a parked event again, and drop it once it is stored. If it still cannot be read, it is parked again.

    Raises:
        SourceError: it is not stored, or its original subject is unknown.
    """
    if not letter.subject:
        raise SourceError(
            f"dead letter {letter.number} has no original subject",
            hint="publish the event again from its producer, then `jelmon dlq drop` this one",
        )
    try:
        # an id of its own: it makes a repeated command harmless, and differs from that of the message refused before
        await context.publish(
            letter.subject,
            letter.payload,
            headers={"Nats-Msg-Id": f"{DEAD_LETTER_STREAM}-{letter.number}"},
        )
    except _TROUBLE as error:
        raise stream_error(error) from error
    await drop(context, letter)


async def drop(context: JetStreamContext, letter: DeadLetter) -> None:
    """Remove a parked event permanently.

    Raises:
        SourceError: the stream does not answer.
    """
    try:
        await context.delete_msg(DEAD_LETTER_STREAM, letter.number)
    except _TROUBLE as error:
        raise stream_error(error, DEAD_LETTER_STREAM) from error
