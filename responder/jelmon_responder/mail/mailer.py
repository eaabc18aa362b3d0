"""Send waiting notifications as e-mail, within the budget."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from email.errors import MessageError

from jelmon.catalogue import NOTIFICATIONS, NOTIFICATIONS_SUPPRESSED
from jelmon.errors import JelmonError, SourceError
from jelmon.service import tasks
from jelmon.service.backoff import Backoff
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_responder.history.protocol import AlertHistory, Email, EmailOutcome, Notification
from jelmon_responder.mail.budget import select_emails
from jelmon_responder.mail.compose import compose
from jelmon_responder.mail.retries import Retries
from jelmon_responder.mail.settings import MailSettings
from jelmon_responder.mail.smtp import MAX_REASON, Delivery, MailRefusedError

logger = logging.getLogger(__name__)

CHANNEL = "email"
POLL_SECONDS = 15.0
MAX_CLAIM = 3
"""E-mails claimed at once: a responder that is killed meanwhile delays them all by ten minutes."""
SEND_SECONDS = 60.0
"""The longest time for one e-mail; each step has a shorter timeout."""
STOP_SECONDS = 10.0
"""How long a responder that stops waits for the e-mail that is being sent."""
MAX_PAUSE_SECONDS = 300.0


class Mailer:
    """Sends waiting notifications when woken and every few seconds.

    It backs off while the server is unavailable. An e-mail that the server refuses holds up no other: one that it will
    never accept is set aside, another waits.
    """

    def __init__(self, settings: MailSettings, history: AlertHistory, instruments: Instruments) -> None:
        self._settings = settings
        self._history = history
        self._instruments = instruments
        self._wake = asyncio.Event()
        self._suppressed: set[str] = set()
        self._retries = Retries()
        self._backoff = Backoff(POLL_SECONDS, MAX_PAUSE_SECONDS)
        self._stopping = False
        self.check = Check(True, "nothing sent yet", needed=False)

    def wake(self) -> None:
        """Signal that a notification is waiting."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                while await self._send_waiting():
                    pass
                self._backoff.reset()
            except JelmonError as error:
                pause = self._backoff.next_pause()
                logger.warning("e-mail delayed", extra={"error": error.message, "pause_seconds": round(pause, 1)})
                await asyncio.sleep(pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            self._wake.clear()

    async def _send_waiting(self) -> bool:
        """Send some of what may be sent now; return whether there may be more."""
        now = datetime.now(UTC)
        claimed = await self._history.claim_emails(self._select, now=now)
        if not claimed:
            return False
        sending = asyncio.create_task(self._send_all(claimed, now))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:  # finish the e-mail that is being sent, else it would be sent twice
            self._stopping = True
            await tasks.finished(sending)
            raise
        return len(claimed) == MAX_CLAIM

    async def _send_all(self, claimed: dict[str, Email], now: datetime) -> None:
        unavailable: SourceError | None = None
        trouble = ""
        for email_id, email in claimed.items():
            if self._stopping or unavailable is not None:  # the others would wait for the same timeout
                await self._history.finish_email(email_id, "failed")
                continue
            outcome: EmailOutcome = "sent"
            reason = ""
            try:
                await self._send(email, now)
                self._retries.succeeded(email)
            except SourceError as error:
                unavailable, outcome = error, "failed"
                trouble = "the mail server does not respond or refuses every e-mail"
            except MailRefusedError as error:
                is_final = error.permanent or self._retries.failed(email, now=now)
                outcome, reason = ("refused", error.message) if is_final else ("failed", "")
                trouble = "the mail server refuses an e-mail"
                logger.error(
                    "e-mail set aside" if is_final else "e-mail refused for now",
                    extra={"email": email_id, "notifications": len(email), "reply": error.message},
                )
            await self._history.finish_email(email_id, outcome, reason=reason)
            self._instruments.inc(NOTIFICATIONS, channel=CHANNEL, outcome=outcome)
        if trouble:
            self.check = Check(False, trouble, needed=False)
        elif not self._stopping:
            self.check = Check(True, "last e-mail was accepted", needed=False)
        if unavailable is not None:
            raise unavailable

    async def _send(self, email: Email, now: datetime) -> None:
        """Send one e-mail within a deadline.

        Raises:
            SourceError: the mail server is unavailable.
            MailRefusedError: it refuses this e-mail, or the text cannot be sent as one.
        """
        delivery = Delivery(self._settings)
        try:
            message = compose(email, self._settings, now=now)
        except (ValueError, LookupError, MessageError) as error:  # UnicodeError is a ValueError
            raise MailRefusedError(f"cannot be written as an e-mail: {error}"[:MAX_REASON], permanent=True) from error
        sending = asyncio.create_task(asyncio.to_thread(delivery.send, message))
        clock = asyncio.get_running_loop().time
        deadline = clock() + SEND_SECONDS
        while not sending.done():
            await asyncio.wait([sending], timeout=1)
            if self._stopping:
                deadline = min(deadline, clock() + STOP_SECONDS)
            if clock() >= deadline:
                delivery.abort()  # it may be a server that answers a byte at a time
        refused = sending.result()
        if refused:
            logger.warning("recipients refused", extra={"recipients": refused})

    def _select(self, waiting: list[Notification], sent_at: list[datetime], now: datetime) -> list[Email]:
        waiting = self._retries.due(waiting, now=now)
        selected = select_emails(waiting, sent_at, max_per_hour=self._settings.max_per_hour, now=now)
        suppressed = {entry.id for entry in waiting} - {entry.id for email in selected for entry in email}
        for _ in suppressed - self._suppressed:
            self._instruments.inc(NOTIFICATIONS_SUPPRESSED, channel=CHANNEL)
        self._suppressed = suppressed
        return selected[:MAX_CLAIM]
