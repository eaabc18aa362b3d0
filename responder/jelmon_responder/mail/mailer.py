"""Send waiting notifications as e-mail, within the budget."""

import asyncio
import contextlib
import logging
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Literal

from jelmon.catalogue import NOTIFICATIONS, NOTIFICATIONS_SUPPRESSED
from jelmon.errors import JelmonError, SourceError
from jelmon.service import tasks
from jelmon.service.backoff import Backoff
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_responder.history.protocol import AlertHistory, Email, Notification
from jelmon_responder.mail.budget import select_emails
from jelmon_responder.mail.compose import compose
from jelmon_responder.mail.settings import MailSettings

logger = logging.getLogger(__name__)

CHANNEL = "email"
POLL_SECONDS = 15.0
TIMEOUT_SECONDS = 20.0
MAX_PAUSE_SECONDS = 300.0


class Mailer:
    """Sends waiting notifications when woken and every few seconds; backs off after failures."""

    def __init__(self, settings: MailSettings, history: AlertHistory, instruments: Instruments) -> None:
        self._settings = settings
        self._history = history
        self._instruments = instruments
        self._wake = asyncio.Event()
        self._suppressed: set[str] = set()
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
                await self._send_waiting()
                self._backoff.reset()
            except JelmonError as error:
                pause = self._backoff.next_pause()
                logger.warning("e-mail delayed", extra={"error": error.message, "pause_seconds": round(pause, 1)})
                await asyncio.sleep(pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            self._wake.clear()

    async def _send_waiting(self) -> None:
        now = datetime.now(UTC)
        claimed = await self._history.claim_emails(self._select, now=now)
        if not claimed:
            return
        sending = asyncio.create_task(self._send_all(claimed, now))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:  # finish the e-mail that is being sent, else it would be sent twice
            self._stopping = True
            await tasks.finished(sending)
            raise

    async def _send_all(self, claimed: dict[str, Email], now: datetime) -> None:
        failure: SourceError | None = None
        for email_id, email in claimed.items():
            if self._stopping or failure is not None:  # after one failure the others would wait for the same timeout
                await self._history.finish_email(email_id, "failed")
                continue
            try:
                await asyncio.to_thread(_send, compose(email, self._settings, now=now), self._settings)
            except SourceError as error:
                failure = error
            outcome: Literal["sent", "failed"] = "sent" if failure is None else "failed"
            await self._history.finish_email(email_id, outcome)
            self._instruments.inc(NOTIFICATIONS, channel=CHANNEL, outcome=outcome)
        if failure is not None:
            self.check = Check(False, "the mail server refuses e-mail or does not respond", needed=False)
            raise failure
        self.check = Check(True, "last e-mail was accepted", needed=False)

    def _select(self, waiting: list[Notification], sent_at: list[datetime], now: datetime) -> list[Email]:
        selected = select_emails(waiting, sent_at, max_per_hour=self._settings.max_per_hour, now=now)
        suppressed = {entry.id for entry in waiting} - {entry.id for email in selected for entry in email}
        for _ in suppressed - self._suppressed:
            self._instruments.inc(NOTIFICATIONS_SUPPRESSED, channel=CHANNEL)
        self._suppressed = suppressed
        return selected


def _send(message: EmailMessage, settings: MailSettings) -> None:
    host, _, port = settings.server.rpartition(":")
    context = ssl.create_default_context()
    try:
        if settings.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=TIMEOUT_SECONDS, context=context)
        else:
            connection = smtplib.SMTP(host, int(port), timeout=TIMEOUT_SECONDS)
        with connection:
            if settings.security == "starttls":
                connection.starttls(context=context)
            if settings.user:
                connection.login(settings.user, settings.password or "")
            refused = connection.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise SourceError(
            f"cannot send e-mail through {settings.server}: {str(error) or type(error).__name__}",
            hint="check --email.server, --email.security, --email.user and RESPONDER_SMTP_PASSWORD_FILE",
        ) from error
    if refused:
        logger.warning("recipients refused", extra={"recipients": sorted(refused)})
