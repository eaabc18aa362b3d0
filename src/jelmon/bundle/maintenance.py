"""When maintenance is, and for which labels: what windows have in common for whoever compiles, silences or measures.

Times are wall-clock times of a zone, so that 03:00 stays 03:00 over a change to summer time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from jelmon.bundle.recurrence import Recurrence, local


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maintenance:
    """A span, or a recurring one, in which things with these labels are worked on. No labels: it is about nothing."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    first: date
    at: time
    zone: ZoneInfo
    duration_seconds: float
    recurrence: Recurrence | None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is worked on."""
        return bool(self.matchers) and all(labels.get(name, "") == value for name, value in self.matchers)


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """One span of a window."""

    starts: datetime
    ends: datetime
    window: str


def occurrences(window: Maintenance, after: datetime, before: datetime | None = None) -> Iterator[Occurrence]:
    """Those that end after ``after`` and start before ``before``, in order, in UTC."""
    length = timedelta(seconds=window.duration_seconds)
    since = (after - length).date() - timedelta(days=2)  # a day for the time zone, one to be sure
    days = window.recurrence.dates(window.first, since) if window.recurrence else iter([window.first])
    for day in days:
        starts = local(day, window.at, window.zone).astimezone(UTC)
        if before is not None and starts >= before:
            return
        if starts + length > after:
            yield Occurrence(starts, starts + length, window.name)


def overlap_seconds(
    windows: Iterable[Maintenance], labels: Mapping[str, str], starts: datetime, ends: datetime
) -> float:
    """How much of a span was maintenance of something with these labels; where windows overlap, time counts once."""
    spans = sorted(
        (max(one.starts, starts), min(one.ends, ends))
        for window in windows
        if window.matches(labels)
        for one in occurrences(window, starts, ends)
    )
    total, reached = timedelta(0), starts
    for begin, end in spans:
        total += max(timedelta(0), end - max(begin, reached))
        reached = max(reached, end)
    return total / timedelta(seconds=1)
