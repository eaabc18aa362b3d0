"""Maintenance windows: whether one is open, and what they become in Alertmanager.

A window scoped by labels becomes one silence for each occurrence, created ahead of time. A window for a whole route
becomes a time interval in the configuration, which has no other scope and cannot express "third Tuesday".
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

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
    """Return whether a window for a route is open."""
    return next(occurrences(window, moment, moment + timedelta(microseconds=1)), None) is not None


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
    start = window.at.hour * 60 + window.at.minute
    if recurrence.month_days and start + window.duration_seconds / 60 > 1440:
        return "it crosses midnight on days of the month"
    return None


def time_interval(window: Window) -> dict[str, Any]:
    """Return the window as an entry of ``time_intervals``, split at midnight."""
    assert window.recurrence is not None
    start = window.at.hour * 60 + window.at.minute
    end = start + round(window.duration_seconds / 60)
    weekdays = [weekday for _, weekday in window.recurrence.days]
    if window.recurrence.frequency == "WEEKLY" and not weekdays:
        weekdays = [window.first.weekday()]
    parts = [_interval(window, start, min(end, 1440), weekdays)]
    if end > 1440:
        parts.append(_interval(window, 0, end - 1440, [(weekday + 1) % 7 for weekday in weekdays]))
    return {"name": window.name, "time_intervals": parts}


def _interval(window: Window, start: int, end: int, weekdays: list[int]) -> dict[str, Any]:
    plain: dict[str, Any] = {"times": [{"start_time": _clock(start), "end_time": _clock(end)}]}
    if weekdays:
        plain["weekdays"] = [_WEEKDAYS[weekday] for weekday in sorted(weekdays)]
    assert window.recurrence is not None
    if window.recurrence.month_days:
        plain["days_of_month"] = [str(day) for day in sorted(window.recurrence.month_days)]
    plain["location"] = window.zone.key
    return plain


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
