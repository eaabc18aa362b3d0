"""Maintenance windows: whether one is open, and what they become in Alertmanager.

A window scoped by labels becomes one silence for each occurrence, created ahead of time. A window for a whole route
becomes a time interval in the configuration, which has no other scope and cannot express "third Tuesday".
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from jelmon.bundle.maintenance import Occurrence, occurrences
from jelmon_generators.model.definitions import Bundle, Window

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def covers(window: Window, moment: datetime, labels: Mapping[str, str]) -> Occurrence | None:
    """Return the occurrence that silences an alert with these labels at that moment, if there is one."""
    if not window.matches(labels) or labels.get("rule_id") in window.spares:
        return None
    return next(occurrences(window, moment, moment + timedelta(microseconds=1)), None)


def sparing(bundle: Bundle) -> dict[str, Window]:
    """Return the windows, each with the alerts that name only other windows."""
    return {
        name: replace(
            window,
            spares=tuple(
                alert.rule_id
                for alert in bundle.alerts.values()
                if alert.windows is not None and name not in {window_name for window_name, _ in alert.windows}
            ),
        )
        for name, window in bundle.windows.items()
    }


def mutes(window: Window, moment: datetime) -> bool:
    """Return whether a window for a route is open, as Alertmanager decides: by the wall clock, minute by minute.

    In the hour that a clock change repeats it is open twice, in the hour that it skips never; ``starts`` only gives the
    time of day.
    """
    local = moment.astimezone(window.zone)
    minute = local.hour * 60 + local.minute
    last = monthrange(local.year, local.month)[1]
    return any(
        part.start <= minute < part.end
        and (not part.weekdays or local.weekday() in part.weekdays)
        and (not part.month_days or local.day in part.month_days or local.day - last - 1 in part.month_days)
        for part in _parts(window)
    )


def muted_until(window: Window, moment: datetime) -> datetime | None:
    """Return when an open window for a route closes, in its own time zone; None: not within a week."""
    minute = moment.replace(second=0, microsecond=0).astimezone(UTC)
    for number in range(1, 7 * 1440):
        if not mutes(window, end := minute + timedelta(minutes=number)):
            return end.astimezone(window.zone)
    return None


def why_no_time_interval(window: Window) -> str | None:
    """Return why the window cannot be written as a time interval; None when it can."""
    recurrence = window.recurrence
    if recurrence is None:
        return "it opens only once"
    if recurrence.interval != 1 or recurrence.count is not None or recurrence.until is not None:
        return "a time interval has no INTERVAL, COUNT or UNTIL"
    if any(ordinal for ordinal, _ in recurrence.days):
        return "a time interval has no ordinals such as 3TU"
    if window.duration_seconds > 86400:
        return "it is longer than a day"
    if window.at.second or window.at.microsecond or window.duration_seconds % 60:
        return "its start or duration is not in whole minutes"
    start = window.at.hour * 60 + window.at.minute
    if _month_days(window) and start + window.duration_seconds / 60 > 1440:
        return "it crosses midnight on days of the month"
    return None


def time_interval(window: Window) -> dict[str, Any]:
    """Return the window as an entry of ``time_intervals``, split at midnight."""
    return {"name": window.name, "time_intervals": [_interval(window, part) for part in _parts(window)]}


class _Part(NamedTuple):
    """A span of minutes within a day, on certain days; without days, on every one."""

    start: int
    end: int
    weekdays: frozenset[int]
    month_days: frozenset[int]


def _parts(window: Window) -> list[_Part]:
    recurrence = window.recurrence
    assert recurrence is not None
    start = window.at.hour * 60 + window.at.minute
    end = start + round(window.duration_seconds / 60)
    weekdays = frozenset(weekday for _, weekday in recurrence.days)
    if recurrence.frequency == "WEEKLY" and not weekdays:
        weekdays = frozenset({window.first.weekday()})
    month_days = frozenset(_month_days(window))
    parts = [_Part(start, min(end, 1440), weekdays, month_days)]
    if end > 1440:
        parts.append(_Part(0, end - 1440, frozenset((weekday + 1) % 7 for weekday in weekdays), month_days))
    return parts


def _month_days(window: Window) -> tuple[int, ...]:
    recurrence = window.recurrence
    if recurrence is None or recurrence.frequency != "MONTHLY" or recurrence.month_days or recurrence.days:
        return recurrence.month_days if recurrence else ()
    return (window.first.day,)  # RFC 5545: without BYDAY and BYMONTHDAY, the day of the start


def _interval(window: Window, part: _Part) -> dict[str, Any]:
    plain: dict[str, Any] = {"times": [{"start_time": _clock(part.start), "end_time": _clock(part.end)}]}
    if part.weekdays:
        plain["weekdays"] = [_WEEKDAYS[weekday] for weekday in sorted(part.weekdays)]
    if part.month_days:
        plain["days_of_month"] = [str(day) for day in sorted(part.month_days)]
    plain["location"] = window.zone.key
    return plain


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
