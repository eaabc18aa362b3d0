"""The text of e-mails: a notification for each change, a message for one or several of them."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from uuid import uuid4

from jelmon_responder.alerts import known_severity
from jelmon_responder.history.episode import Change, ChangeKind
from jelmon_responder.history.protocol import Email, Notification
from jelmon_responder.mail.budget import is_urgent
from jelmon_responder.mail.settings import MailSettings

MAX_LINE = 4000
MAX_SUBJECT = 200
MAX_WHOLE_TEXTS = 50
"""A digest lists every notification, and repeats the whole text of this many."""


def notifications(changes: Iterable[Change], *, severities: Collection[str], now: datetime) -> list[Notification]:
    """Return a notification for each change of an alert with one of the severities."""
    return [
        Notification(
            id=uuid4().hex, created_at=now, urgent=is_urgent(change), subject=_subject(change), body=_body(change)
        )
        for change in changes
        if known_severity(change.episode.severity) in severities
    ]


def compose(email: Email, settings: MailSettings, *, now: datetime) -> EmailMessage:
    """Return the message: a single notification as it is, several as a digest."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    if len(email) == 1:
        message["Subject"] = email[0].subject
        message.set_content(email[0].body)
        return message
    message["Subject"] = f"{len(email)} alert notifications, held back by the limit of {settings.max_per_hour} per hour"
    overview = "\n".join(f"{entry.created_at.astimezone(UTC):%H:%M:%S} UTC  {entry.subject}" for entry in email)
    texts = "\n\n".join(f"--- {entry.subject}\n{entry.body}" for entry in email[:MAX_WHOLE_TEXTS])
    message.set_content(f"{overview}\n\n{texts}")
    return message


def _subject(change: Change) -> str:
    episode = change.episode
    state = "FIRING" if change.kind is ChangeKind.FIRING else "RESOLVED"
    level = f" level {episode.escalation_level}" if episode.escalation_level else ""
    drill = " (test alert)" if episode.is_drill else ""
    where = " / ".join(filter(None, (episode.pipeline, episode.stage)))
    text = f"[{state}{level}] {episode.alertname or 'unnamed alert'}{f' in {where}' if where else ''}{drill}"
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_SUBJECT]


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
    return "\n".join(line[:MAX_LINE] for line in lines).strip()
