"""Mail to people: notices wait in the history, and leave as letters when the budget has room."""

import asyncio
import contextlib
import logging
import smtplib
import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal, get_args
from uuid import uuid4

from jelmon.catalogue import ALERT_SEVERITIES, NOTIFICATIONS, NOTIFICATIONS_SUPPRESSED
from jelmon.errors import ConfigError, JelmonError, SourceError
from jelmon.service import tasks
from jelmon.service.registry import Instruments
from jelmon.service.web import Check
from jelmon_responder.history.episodes import Change, What, known_severity
from jelmon_responder.history.history import AlertHistory
from jelmon_responder.mail.budget import Letter, Notice, is_urgent, letters

logger = logging.getLogger(__name__)

CHANNEL = "email"
LOOK_SECONDS = 15.0
TIMEOUT_SECONDS = 20.0
MAX_PAUSE_SECONDS = 300.0
MAX_TEXT = 4000
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Where mail goes, through which server, and how much of it."""

    server: str  # host:port
    sender: str
    recipients: tuple[str, ...]
    security: Security = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    severities: tuple[str, ...] = ("critical", "warning")
    max_per_hour: int = 10

    def __post_init__(self) -> None:
        host, _, port = self.server.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"--email.server: {self.server!r} is no address", hint="write smtp.example.org:587")
        if self.security not in get_args(Security):
            raise ConfigError(f"--email.security: {self.security!r}", hint=f"one of {', '.join(get_args(Security))}")
        for name, address in [("from", self.sender), *(("to", address) for address in self.recipients)]:
            if "@" not in address or not address.isprintable() or " " in address:
                raise ConfigError(f"--email.{name}: {address!r} is no mail address", hint="write team@example.org")
        if not self.recipients:
            raise ConfigError("--email.to names nobody", hint="write team@example.org, several with commas")
        if not 1 <= self.max_per_hour <= 10_000:
            raise ConfigError("--email.max-per-hour must be a number from 1 to 10000")
        if unknown := [severity for severity in self.severities if severity not in ALERT_SEVERITIES]:
            raise ConfigError(f"--email.severities: {unknown[0]!r}", hint=f"one of {', '.join(ALERT_SEVERITIES)}")
        if self.user and self.security == "none":
            raise ConfigError(
                "--email.user with --email.security none would send the password in plain text",
                hint="use starttls or tls",
            )


def notices(changes: Iterable[Change], *, severities: Collection[str], now: datetime) -> list[Notice]:
    """What people should read about these changes."""
    return [
        Notice(id=uuid4().hex, created_at=now, urgent=is_urgent(change), subject=_subject(change), body=_body(change))
        for change in changes
        if known_severity(change.episode.severity) in severities
    ]


def _subject(change: Change) -> str:
    episode = change.episode
    state = "FIRING" if change.what is What.FIRING else "over"
    level = f" level {episode.escalation_level}" if episode.escalation_level else ""
    drill = " (drill)" if episode.is_drill else ""
    where = " / ".join(filter(None, (episode.pipeline, episode.stage)))
    text = f"[{state}{level}] {episode.alertname or 'alert without a name'}{f' in {where}' if where else ''}{drill}"
    return "".join(character if character.isprintable() else " " for character in text)[:200]


def _body(change: Change) -> str:
    episode = change.episode
    lines = [
        episode.annotations.get("summary", ""),
        episode.annotations.get("description", ""),
        "",
        f"severity: {known_severity(episode.severity)}",
        f"started:  {episode.starts_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"ended:    {episode.ends_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({episode.closed_by})"
        if episode.ends_at
        else "",
        f"runbook:  {episode.annotations['runbook_url']}" if "runbook_url" in episode.annotations else "",
    ]
    return "\n".join(line[:MAX_TEXT] for line in lines if line or line == "").strip()


def compose(letter: Letter, settings: MailSettings, *, now: datetime) -> EmailMessage:
    """The mail: one notice as it is, several as a digest."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    if len(letter) == 1:
        message["Subject"] = letter[0].subject
        message.set_content(letter[0].body)
        return message
    message["Subject"] = f"{len(letter)} alert notices, kept back by the limit of {settings.max_per_hour} mails an hour"
    overview = "\n".join(f"{notice.created_at.astimezone(UTC):%H:%M:%S} UTC  {notice.subject}" for notice in letter)
    message.set_content(f"{overview}\n\n" + "\n\n".join(f"--- {n.subject}\n{n.body}" for n in letter[:50]))
    return message


class Mailer:
    """Sends what waits, when woken and every few seconds; after a failure it pauses, longer each time."""

    def __init__(self, settings: MailSettings, history: AlertHistory, instruments: Instruments) -> None:
        self._settings = settings
        self._history = history
        self._instruments = instruments
        self._wake = asyncio.Event()
        self._kept_back: set[str] = set()
        self._pause = 0.0
        self._stopping = False
        self.check = Check(True, "nothing sent yet", needed=False)

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                await self._round()
                self._pause = 0.0
            except JelmonError as error:
                self._pause = min(MAX_PAUSE_SECONDS, max(LOOK_SECONDS, 2 * self._pause))
                logger.warning("mail waits", extra={"error": error.message, "pause_seconds": self._pause})
                await asyncio.sleep(self._pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
            self._wake.clear()

    async def _round(self) -> None:
        now = datetime.now(UTC)
        claimed = await self._history.claim_letters(self._choose, now=now)
        if not claimed:
            return
        sending = asyncio.create_task(self._send_all(claimed, now))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:  # what is on its way is finished, else it would go out again later
            self._stopping = True
            await tasks.finished(sending)
            raise

    async def _send_all(self, claimed: dict[str, Letter], now: datetime) -> None:
        trouble: SourceError | None = None
        for name, letter in claimed.items():
            if self._stopping or trouble is not None:  # after one failure the others would wait for the same time-out
                await self._history.settle_letter(name, "failed")
                continue
            try:
                await asyncio.to_thread(_send, compose(letter, self._settings, now=now), self._settings)
            except SourceError as error:
                trouble = error
            outcome: Literal["sent", "failed"] = "sent" if trouble is None else "failed"
            await self._history.settle_letter(name, outcome)
            self._instruments.inc(NOTIFICATIONS, channel=CHANNEL, outcome=outcome)
        if trouble is not None:
            self.check = Check(False, "the mail server does not take mail", needed=False)
            raise trouble
        self.check = Check(True, "last mail was taken", needed=False)

    def _choose(self, waiting: list[Notice], left: list[datetime], now: datetime) -> list[Letter]:
        chosen = letters(waiting, left, max_per_hour=self._settings.max_per_hour, now=now)
        going = {notice.id for letter in chosen for notice in letter}
        kept_back = {notice.id for notice in waiting} - going
        for _ in kept_back - self._kept_back:
            self._instruments.inc(NOTIFICATIONS_SUPPRESSED, channel=CHANNEL)
        self._kept_back = kept_back
        return chosen


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
            f"the mail server {settings.server} does not take mail: {str(error) or type(error).__name__}",
            hint="check --email.server, --email.security, --email.user and RESPONDER_SMTP_PASSWORD_FILE",
        ) from error
    if refused:
        logger.warning("recipients refused", extra={"recipients": sorted(refused)})
