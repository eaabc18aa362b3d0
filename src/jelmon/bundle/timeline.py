"""How much of a span was maintenance, for many spans: occurrences are expanded once, a lookup is a binary search."""

import bisect
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jelmon.bundle.maintenance import Maintenance, occurrences

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing before this time counts as maintenance: no alert that anybody measures started earlier."""

_REMEMBERED = 64  # combinations of windows; a bundle has a few, labels that somebody invents may form many
_AHEAD = timedelta(days=366)  # expand this much more than was asked for, so that time passing seldom expands again
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class _Spans:
    """Disjoint spans up to ``until``, in order: starts, ends, and the length of all spans before each one."""

    until: datetime
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)

    def covered(self, moment: int) -> int:
        """Return how many microseconds before ``moment`` the spans cover."""
        index = bisect.bisect_right(self.starts, moment) - 1
        return 0 if index < 0 else self.before[index] + min(moment, self.ends[index]) - self.starts[index]


class Timeline:
    """When a set of windows is open. It may be used from several threads."""

    def __init__(self, windows: Iterable[Maintenance] = ()) -> None:
        self._windows = tuple(windows)
        self._spans: OrderedDict[tuple[int, ...], _Spans] = OrderedDict()
        self._lock = threading.Lock()

    def overlap_seconds(self, labels: Mapping[str, str], starts: datetime, ends: datetime) -> float:
        """Return how many seconds of a span were maintenance for these labels; overlapping windows count once."""
        matching = tuple(number for number, window in enumerate(self._windows) if window.matches(labels))
        if not matching or ends <= starts:
            return 0.0
        with self._lock:
            spans = self._spans_of(matching, ends)
        return (spans.covered(_microseconds(ends)) - spans.covered(_microseconds(starts))) / 1e6

    def _spans_of(self, matching: tuple[int, ...], ends: datetime) -> _Spans:
        spans = self._spans.get(matching)
        if spans is None or spans.until < ends:
            spans = self._spans[matching] = _merged((self._windows[number] for number in matching), _later(ends))
        self._spans.move_to_end(matching)
        if len(self._spans) > _REMEMBERED:
            self._spans.popitem(last=False)
        return spans


def _merged(windows: Iterable[Maintenance], until: datetime) -> _Spans:
    spans = _Spans(until)
    total = 0
    for start, end in sorted(
        (_microseconds(occurrence.starts), _microseconds(occurrence.ends))
        for window in windows
        for occurrence in occurrences(window, EARLIEST, until)
    ):
        if spans.ends and start <= spans.ends[-1]:
            total += max(0, end - spans.ends[-1])
            spans.ends[-1] = max(end, spans.ends[-1])
            continue
        spans.starts.append(start)
        spans.ends.append(end)
        spans.before.append(total)
        total += end - start
    return spans


def _later(moment: datetime) -> datetime:
    try:
        return moment + _AHEAD
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _microseconds(moment: datetime) -> int:
    return (moment - EARLIEST) // _MICROSECOND
