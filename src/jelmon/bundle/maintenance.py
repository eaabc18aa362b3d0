"""Maintenance windows: which labels they cover, and when.

Times are wall-clock times in a time zone, so that 03:00 stays 03:00 across daylight saving changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from jelmon.bundle.recurrence import Recurrence, local

FIRST_YEAR, LAST_YEAR = 1970, 9000
"""A window starts in these years: nearer the ends of the calendar, its occurrences would leave it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maintenance:
    """A window, once or recurring, in which targets with these labels are under maintenance.

    A window without labels covers nothing.
    """

    name: str
    matchers: tuple[tuple[str, str], ...]
    first: date
    at: time
    zone: ZoneInfo
    duration_seconds: float
    recurrence: Recurrence | None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the window covers something with these labels."""
        return bool(self.matchers) and all(labels.get(name, "") == value for name, value in self.matchers)


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """One occurrence of a window."""

    starts: datetime
    ends: datetime
    window: str


def occurrences(window: Maintenance, after: datetime, before: datetime | None = None) -> Iterator[Occurrence]:
    """Yield the occurrences that end after ``after`` and start before ``before``, in order, in UTC."""
    length = timedelta(seconds=window.duration_seconds)
    since = (after - length).date() - timedelta(days=2)  # one day for the time zone, one as a margin
    days = window.recurrence.dates(window.first, since) if window.recurrence else iter([window.first])
    for day in days:
        starts = local(day, window.at, window.zone).astimezone(UTC)
        if before is not None and starts >= before:
            return
        if starts + length > after:
            yield Occurrence(starts, starts + length, window.name)
