"""Recurring times: the part of RFC 5545's RRULE that maintenance needs, in local time, so that 03:00 stays 03:00.

Supported: FREQ=DAILY, WEEKLY or MONTHLY; INTERVAL, COUNT, UNTIL (a date), BYDAY (``SU``, in months also ``3TU`` or
``-1FR``), BYMONTHDAY (also from the end, ``-1``).
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_YEARS = 100  # what has not happened by then never happens
_BYDAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")


class RecurrenceError(ValueError):
    """The text is no recurrence that we know."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something happens again and again. ``days`` are (ordinal within the month or 0, weekday from Monday = 0)."""

    frequency: str
    interval: int = 1
    days: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    count: int | None = None
    until: date | None = None

    @classmethod
    def parse(cls, text: str) -> "Recurrence":
        """Read ``FREQ=WEEKLY;BYDAY=SU``.

        Raises:
            RecurrenceError: with what is wrong.
        """
        parts: dict[str, str] = {}
        for part in text.removeprefix("RRULE:").split(";"):
            name, equals, value = part.partition("=")
            if not equals or name in parts:
                raise RecurrenceError(f"{part!r} is not NAME=VALUE, or is said twice")
            parts[name] = value
        frequency = parts.pop("FREQ", "")
        if frequency not in ("DAILY", "WEEKLY", "MONTHLY"):
            raise RecurrenceError(f"FREQ={frequency} is not DAILY, WEEKLY or MONTHLY")
        days = tuple(_day(word) for word in _words(parts.pop("BYDAY", "")))
        if frequency != "MONTHLY" and any(ordinal for ordinal, _ in days):
            raise RecurrenceError("an ordinal such as 3TU needs FREQ=MONTHLY")
        month_days = tuple(_number("BYMONTHDAY", word, -31, 31) for word in _words(parts.pop("BYMONTHDAY", "")))
        if frequency != "MONTHLY" and month_days:
            raise RecurrenceError("BYMONTHDAY needs FREQ=MONTHLY")
        interval = _number("INTERVAL", parts.pop("INTERVAL", "1"), 1, 1000)
        count = _number("COUNT", parts.pop("COUNT"), 1, 10_000) if "COUNT" in parts else None
        until = _date(parts.pop("UNTIL")) if "UNTIL" in parts else None
        if parts:
            raise RecurrenceError(f"{', '.join(sorted(parts))} is not supported")
        return cls(frequency, interval, days, month_days, count, until)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        parts = [f"FREQ={self.frequency}"]
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.days:
            parts.append("BYDAY=" + ",".join(f"{ordinal or ''}{WEEKDAYS[weekday]}" for ordinal, weekday in self.days))
        if self.month_days:
            parts.append("BYMONTHDAY=" + ",".join(map(str, self.month_days)))
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        if self.until is not None:
            parts.append(f"UNTIL={self.until:%Y%m%d}")
        return ";".join(parts)

    def dates(self, first: date, since: date | None = None) -> Iterator[date]:
        """The days on which it happens, from ``first`` on, in order: until its end, or for a hundred years.

        With ``since`` those long before it may be left out, which makes it quick for what began years ago.
        """
        found = 0
        near = first if since is None or self.count is not None else max(first, since)
        for day in self._candidates(first, near, first.year + _YEARS):
            if (self.until is not None and day > self.until) or found == self.count:
                return
            if day >= first:
                found += 1
                yield day

    def _candidates(self, first: date, near: date, last_year: int) -> Iterator[date]:
        """Days that may be meant, from the period on that ``near`` is in."""
        match self.frequency:
            case "DAILY":
                day = first + timedelta(days=(near - first).days // self.interval * self.interval)
                while day.year < last_year:
                    if not self.days or day.weekday() in {weekday for _, weekday in self.days}:
                        yield day
                    day += timedelta(days=self.interval)
            case "WEEKLY":
                weekdays = sorted(weekday for _, weekday in self.days) or [first.weekday()]
                monday = first - timedelta(days=first.weekday())
                monday += timedelta(weeks=(near - monday).days // (7 * self.interval) * self.interval)
                while monday.year < last_year:
                    yield from (monday + timedelta(days=weekday) for weekday in weekdays)
                    monday += timedelta(weeks=self.interval)
            case _:
                months = (near.year - first.year) * 12 + near.month - first.month
                month = first.year * 12 + first.month - 1 + months // self.interval * self.interval
                while month < last_year * 12:
                    yield from self._in_month(month // 12, month % 12 + 1, first)
                    month += self.interval

    def _in_month(self, year: int, month: int, first: date) -> list[date]:
        length = calendar.monthrange(year, month)[1]
        days: set[int] = set()
        for ordinal, weekday in self.days:
            same = [day for day in range(1, length + 1) if date(year, month, day).weekday() == weekday]
            if not ordinal:
                days.update(same)
            elif abs(ordinal) <= len(same):
                days.add(same[ordinal - 1 if ordinal > 0 else ordinal])
        for day in self.month_days or (() if self.days else (first.day,)):
            actual = day if day > 0 else length + 1 + day
            if 1 <= actual <= length:
                days.add(actual)
        return [date(year, month, day) for day in sorted(days)]


def local(day: date, at: time, zone: ZoneInfo) -> datetime:
    """That wall-clock time. In the hour that a change to summer time skips, the moment after the gap."""
    moment = datetime.combine(day, at, zone)
    return moment.astimezone(ZoneInfo("UTC")).astimezone(zone)


def _words(text: str) -> list[str]:
    return text.split(",") if text else []


def _day(word: str) -> tuple[int, int]:
    match = _BYDAY.fullmatch(word)
    if match is None:
        raise RecurrenceError(f"BYDAY={word} is no weekday")
    return int(match.group(1) or 0), WEEKDAYS.index(match.group(2))


def _number(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise RecurrenceError(f"{name}={text} is no number") from error
    if not low <= value <= high or value == 0:
        raise RecurrenceError(f"{name}={text} must be from {low} to {high}, and not 0")
    return value


def _date(text: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError as error:
        raise RecurrenceError(f"UNTIL={text} is no date such as 20261231") from error
