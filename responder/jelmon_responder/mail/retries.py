"""When a notification that the mail server refused for now (a 4xx reply) is sent again, and when it is given up."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from jelmon_responder.history.protocol import Email, Notification

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=30)
GIVE_UP_AFTER = timedelta(days=1)


class Retries:
    """Pauses of refused notifications, which double from attempt to attempt. A restart forgets them."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[timedelta, datetime]] = {}

    def due(self, waiting: Iterable[Notification], *, now: datetime) -> list[Notification]:
        """Return the notifications that may be sent now, and forget those that no longer wait."""
        waiting = list(waiting)
        self._pauses = {entry.id: self._pauses[entry.id] for entry in waiting if entry.id in self._pauses}
        # a clock that was set back does not prolong a pause
        return [
            entry
            for entry in waiting
            if entry.id not in self._pauses or not now < self._pauses[entry.id][1] <= now + LONGEST_PAUSE
        ]

    def failed(self, email: Email, *, now: datetime) -> bool:
        """Note a refusal; return whether it has lasted so long that the e-mail is given up."""
        for entry in email:
            pause, _ = self._pauses.get(entry.id, (FIRST_PAUSE / 2, now))
            pause = min(pause * 2, LONGEST_PAUSE)
            self._pauses[entry.id] = (pause, now + pause)
        return all(now - entry.created_at > GIVE_UP_AFTER for entry in email)

    def succeeded(self, email: Email) -> None:
        """Forget the notifications of an e-mail that was accepted."""
        for entry in email:
            self._pauses.pop(entry.id, None)
