"""Recurrence rules of maintenance windows: a subset of RFC 5545's RRULE, as dates in local time.

Supported: FREQ=DAILY, WEEKLY or MONTHLY; INTERVAL, COUNT, UNTIL (a date), BYDAY (``SU``; with FREQ=MONTHLY also ``3TU``
or ``-1FR``), BYMONTHDAY (also from the end, ``-1``). BYDAY with BYMONTHDAY means days that satisfy both. The expansion
is python-dateutil's; this module refuses what it does not support.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, rrule, weekday

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES: dict[str, Literal[1, 2, 3]] = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY}
_YEARS = 100  # a rule without a date by then is taken to have none
_BYDAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")


class RecurrenceError(ValueError):
    """The text is not a supported recurrence rule."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence rule. ``days`` are pairs of the ordinal within the month (or 0) and the weekday, Monday = 0."""

    frequency: str
    interval: int = 1
    days: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    count: int | None = None
    until: date | None = None

    @classmethod
    def parse(cls, text: str) -> "Recurrence":
        """Parse a rule such as ``FREQ=WEEKLY;BYDAY=SU``.

        Raises:
            RecurrenceError: it is invalid or not supported; the message says why.
        """
        parts: dict[str, str] = {}
        for part in text.removeprefix("RRULE:").split(";"):
            name, equals, value = part.partition("=")
            if not equals:
                raise RecurrenceError(f"{part!r} is not NAME=VALUE")
            if name in parts:
                raise RecurrenceError(f"{name} is given twice")
            parts[name] = value
        frequency = parts.pop("FREQ", "")
        if frequency not in ("DAILY", "WEEKLY", "MONTHLY"):
            raise RecurrenceError(f"FREQ={frequency} is not supported (one of DAILY, WEEKLY, MONTHLY)")
        days = tuple(_day(word) for word in _words(parts.pop("BYDAY", "")))
        if frequency != "MONTHLY" and any(ordinal for ordinal, _ in days):
            raise RecurrenceError("BYDAY with an ordinal, such as 3TU, requires FREQ=MONTHLY")
        month_days = tuple(_number("BYMONTHDAY", word, -31, 31) for word in _words(parts.pop("BYMONTHDAY", "")))
        if frequency != "MONTHLY" and month_days:
            raise RecurrenceError("BYMONTHDAY requires FREQ=MONTHLY")
        interval = _number("INTERVAL", parts.pop("INTERVAL", "1"), 1, 1000)
        count = _number("COUNT", parts.pop("COUNT"), 1, 10_000) if "COUNT" in parts else None
        until = _date(parts.pop("UNTIL")) if "UNTIL" in parts else None
        if parts:
            raise RecurrenceError(f"{', '.join(sorted(parts))} is not supported")
        return cls(frequency, interval, days, month_days, count, until)

    def __str__(self) -> str:
        """Return the text that `parse` accepts."""
        parts = [f"FREQ={self.frequency}"]
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.days:
            parts.append("BYDAY=" + ",".join(f"{ordinal or ''}{WEEKDAYS[number]}" for ordinal, number in self.days))
        if self.month_days:
            parts.append("BYMONTHDAY=" + ",".join(map(str, self.month_days)))
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        if self.until is not None:
            parts.append(f"UNTIL={self.until:%Y%m%d}")
        return ";".join(parts)

    def dates(self, first: date, since: date | None = None) -> Iterator[date]:
        """Yield the dates in order, from ``first``, for at most a hundred years.

        With ``since``, dates long before it may be omitted, which is fast for a recurrence that began years ago.
        """
        begin = first
        if since is not None and since > first and self.count is None:
            begin = self._period_start(first, since)
        last = date(min(first.year + _YEARS - 1, 9999), 12, 31)
        rule = rrule(
            _FREQUENCIES[self.frequency],
            dtstart=datetime.combine(begin, time()),
            interval=self.interval,
            byweekday=self._weekdays(first),
            bymonthday=self.month_days or (first.day if self.frequency == "MONTHLY" and not self.days else None),
            until=datetime.combine(last if self.until is None else min(last, self.until), time()),
        )
        dates = (moment.date() for moment in rule)
        return islice((day for day in dates if day >= first), self.count)

    def _weekdays(self, first: date) -> list[weekday] | None:
        if self.frequency == "WEEKLY" and not self.days:
            return [weekday(first.weekday())]
        return [weekday(number, ordinal or None) for ordinal, number in self.days] or None

    def _period_start(self, first: date, near: date) -> date:
        """Return the start of the period (day, week or month) that contains ``near``, counted from ``first``."""
        match self.frequency:
            case "DAILY":
                return first + timedelta(days=(near - first).days // self.interval * self.interval)
            case "WEEKLY":
                monday = first - timedelta(days=first.weekday())
                return monday + timedelta(weeks=(near - monday).days // (7 * self.interval) * self.interval)
            case _:
                months = (near.year - first.year) * 12 + near.month - first.month
                month = first.year * 12 + first.month - 1 + months // self.interval * self.interval
                return date(month // 12, month % 12 + 1, 1)


def local(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return a wall-clock time. In the hour that daylight saving time skips, it is the moment after the gap."""
    moment = datetime.combine(day, at, zone)
    return moment.astimezone(ZoneInfo("UTC")).astimezone(zone)


def _words(text: str) -> list[str]:
    return text.split(",") if text else []


def _day(word: str) -> tuple[int, int]:
    match = _BYDAY.fullmatch(word)
    if match is None:
        raise RecurrenceError(f"BYDAY={word} is not a weekday (MO, TU, WE, TH, FR, SA, SU)")
    return int(match.group(1) or 0), WEEKDAYS.index(match.group(2))


def _number(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise RecurrenceError(f"{name}={text} is not a number") from error
    if not low <= value <= high or value == 0:
        raise RecurrenceError(f"{name}={text} is not between {low} and {high}" + (", or is 0" if low < 0 else ""))
    return value


def _date(text: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError as error:
        raise RecurrenceError(f"UNTIL={text} is not a date such as 20261231") from error
