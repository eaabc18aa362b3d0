"""The stream of events that could not be read: look at them, send them again, or drop them."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from jelmon.errors import SourceError
from jelmon.nats.streams import stream_error
from jelmon.nats.subjects import DEAD_LETTER_STREAM

REASON = "Jelmon-Reason"
MESSAGE = "Jelmon-Message"
SEQUENCE = "Jelmon-Sequence"
SUBJECT = "Jelmon-Subject"
_TROUBLE = (nats.js.errors.APIError, nats.errors.Error, TimeoutError)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One parked event. ``number`` is its place in the stream of dead letters, ``sequence`` where it came from."""

    number: int
    reason: str
    message: str
    sequence: str
    subject: str
    payload: bytes
    time: datetime | None


async def dead_letters(context: JetStreamContext, numbers: Collection[int] = ()) -> AsyncIterator[DeadLetter]:
    """The parked events with these numbers, or all, oldest first.

    Raises:
        SourceError: the stream does not answer, or has no such number.
    """
    try:
        state = (await context.stream_info(DEAD_LETTER_STREAM)).state
    except nats.js.errors.NotFoundError:
        return
    except _TROUBLE as error:
        raise stream_error(error, DEAD_LETTER_STREAM) from error
    number = min(numbers, default=state.first_seq)
    wanted = sorted(numbers) if numbers else range(number, state.last_seq + 1)
    for number in wanted:
        try:
            found = await context.get_msg(DEAD_LETTER_STREAM, number)
        except nats.js.errors.NotFoundError as error:
            if numbers:
                raise SourceError(
                    f"there is no dead letter {number}", hint="`jelmon dlq list` shows what there is"
                ) from error
            continue
        except _TROUBLE as error:
            raise stream_error(error, DEAD_LETTER_STREAM) from error
        headers = found.headers or {}
        yield DeadLetter(
            number=number,
            reason=headers.get(REASON, ""),
            message=headers.get(MESSAGE, ""),
            sequence=headers.get(SEQUENCE, ""),
            subject=headers.get(SUBJECT, ""),
            payload=found.data or b"",
            time=found.time,
        )


async def replay(context: JetStreamContext, letter: DeadLetter) -> None:
    """Send a parked event again, and drop it once it is stored. What still cannot be read is parked again.

    Raises:
        SourceError: it is not stored, or does not say where it came from.
    """
    if not letter.subject:
        raise SourceError(
            f"dead letter {letter.number} does not say on which subject it came",
            hint="send the event again from its producer, then `jelmon dlq drop`",
        )
    try:
        # the id makes a repetition of this command harmless, but is another than that of the message refused before
        await context.publish(
            letter.subject,
            letter.payload,
            headers={"Nats-Msg-Id": f"{DEAD_LETTER_STREAM}-{letter.number}"},
        )
    except _TROUBLE as error:
        raise stream_error(error) from error
    await drop(context, letter)


async def drop(context: JetStreamContext, letter: DeadLetter) -> None:
    """Remove a parked event for good.

    Raises:
        SourceError: the stream does not answer.
    """
    try:
        await context.delete_msg(DEAD_LETTER_STREAM, letter.number)
    except _TROUBLE as error:
        raise stream_error(error, DEAD_LETTER_STREAM) from error
