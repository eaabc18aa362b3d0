"""How many mails an hour people can bear: which of the waiting notices go out now, alone or together.

A notice that is not urgent goes out only while fewer than the allowed number of letters left in the hour before. When
they no longer fit one by one, all that wait go into one letter, the digest. Urgent notices always go, and count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jelmon_responder.history.episodes import Change, What, known_severity

WINDOW = timedelta(hours=1)
URGENT_LEVEL = 2
MAX_NOTICES = 1000
"""How many notices one digest takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell people, kept until it is told."""

    id: str
    created_at: datetime
    urgent: bool
    subject: str
    body: str


Letter = tuple[Notice, ...]
"""Notices that go out together."""


def is_urgent(change: Change) -> bool:
    """Critical alerts and high levels of escalation do not wait for room; ends always do."""
    episode = change.episode
    return change.what is What.FIRING and (
        known_severity(episode.severity) == "critical" or episode.escalation_level >= URGENT_LEVEL
    )


def letters(waiting: Iterable[Notice], left: Sequence[datetime], *, max_per_hour: int, now: datetime) -> list[Letter]:
    """The letters to send now. ``waiting``: oldest first; ``left``: when letters of the last hour left."""
    waiting = list(waiting)
    urgent = [(notice,) for notice in waiting if notice.urgent]
    patient = [notice for notice in waiting if not notice.urgent]
    room = max_per_hour - len(urgent) - sum(1 for moment in left if moment > now - WINDOW)
    if not patient or room <= 0:
        return [*urgent]
    if len(patient) < room:  # the last place is kept for a digest
        return [*urgent, *((notice,) for notice in patient)]
    return [*urgent, tuple(patient[:MAX_NOTICES])]
