"""The hourly e-mail budget: which waiting notifications are sent now, individually or as a digest.

Notifications that are not urgent are sent only while fewer e-mails than the limit were sent in the last hour. When
they no longer fit individually, all of them are sent as one e-mail, the digest. Urgent ones are always sent, and count.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from jelmon_responder.alerts import known_severity
from jelmon_responder.history.episode import Change, ChangeKind
from jelmon_responder.history.protocol import EMAIL_WINDOW, Email, Notification

URGENT_LEVEL = 2
MAX_DIGEST = 1000
"""Maximum number of notifications in one digest."""


def is_urgent(change: Change) -> bool:
    """Return whether the change bypasses the budget: a firing alert that is critical or escalated; never an end."""
    episode = change.episode
    return change.kind is ChangeKind.FIRING and (
        known_severity(episode.severity) == "critical" or episode.escalation_level >= URGENT_LEVEL
    )


def select_emails(
    waiting: Iterable[Notification], sent_at: Sequence[datetime], *, max_per_hour: int, now: datetime
) -> list[Email]:
    """Return the e-mails to send now.

    ``waiting``: notifications, oldest first. ``sent_at``: when the e-mails of the last hour were sent.
    """
    waiting = list(waiting)
    urgent: list[Email] = [(notification,) for notification in waiting if notification.urgent]
    ordinary = [notification for notification in waiting if not notification.urgent]
    remaining = max_per_hour - len(urgent) - sum(1 for moment in sent_at if moment > now - EMAIL_WINDOW)
    if not ordinary or remaining <= 0:
        return urgent
    if len(ordinary) < remaining:  # the last e-mail of the budget is reserved for a digest
        return [*urgent, *((notification,) for notification in ordinary)]
    return [*urgent, tuple(ordinary[:MAX_DIGEST])]
