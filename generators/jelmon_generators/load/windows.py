"""``rules/windows.yaml`` to definitions, with the checks that keep a window from hiding too much."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jelmon.bundle.maintenance import FIRST_YEAR, LAST_YEAR
from jelmon.bundle.recurrence import Recurrence, RecurrenceError, local
from jelmon.config.strict_yaml import Fields
from jelmon_generators.checks import LONG_WINDOW, WINDOW
from jelmon_generators.model.definitions import Window
from jelmon_generators.model.windows import why_no_time_interval

ROUTES = ("critical", "warning", "info", "escalation")
_LONGEST_SECONDS = 7 * 86400.0
_LONGEST_FORCED_SECONDS = 366 * 86400.0


def read_windows(fields: Fields) -> dict[str, Window]:
    """Return every window of the file that is valid."""
    windows = {}
    problems = fields.place.source.problems
    for name, entry in fields.entries("windows"):
        before = len(problems)
        window = _window(name, entry)
        if window is not None and len(problems) == before:
            _check(window)
            windows[name] = window
    fields.done("windows.yaml")
    return windows


def _window(name: str, entry: Fields) -> Window | None:
    zone = _zone(entry)
    starts = _moment(entry, "starts")
    recurrence = _recurrence(entry)
    length = _length(entry, starts, zone)
    force = entry.flag("force", False)
    window = Window(
        name=name,
        description=entry.text("description"),
        owner=entry.text("owner"),
        matchers=tuple(sorted((label, value) for label, value, _ in entry.plain("matchers"))),
        route=entry.choice("route", ROUTES, None),
        first=starts.date(),
        at=starts.time(),
        zone=zone,
        duration_seconds=length,
        recurrence=recurrence,
        fields=entry,
    )
    if length > _LONGEST_SECONDS and not force:
        LONG_WINDOW.report(
            entry.at("duration" if entry.has("duration") else "ends"),
            "the window is longer than 7 days",
            hint="a forgotten window hides everything; write force: true if this is intended",
        )
    entry.done("a window")
    return window


def _zone(entry: Fields) -> ZoneInfo:
    name = entry.text("time_zone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        WINDOW.report(entry.at("time_zone"), f"unknown time zone {name!r}", hint="write a name such as Europe/Berlin")
        return ZoneInfo("UTC")


def _moment(entry: Fields, name: str) -> datetime:
    text = entry.text(name)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        if text:
            WINDOW.report(
                entry.at(name),
                f"{name}: {text!r} is not a local date and time",
                hint="write 2026-01-31 22:00 and set time_zone",
            )
        return datetime.combine(date(2000, 1, 1), time())
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        WINDOW.report(entry.at(name), f"{name}: the year {moment.year} is not from {FIRST_YEAR} to {LAST_YEAR}")
        return datetime.combine(date(2000, 1, 1), time())
    return moment


def _recurrence(entry: Fields) -> Recurrence | None:
    text = entry.text("rrule", None)
    if text is None:
        return None
    try:
        return Recurrence.parse(text)
    except RecurrenceError as error:
        WINDOW.report(
            entry.at("rrule"), f"rrule: {error}", hint="such as FREQ=WEEKLY;BYDAY=SU or FREQ=MONTHLY;BYDAY=3TU"
        )
        return None


def _length(entry: Fields, starts: datetime, zone: ZoneInfo) -> float:
    if entry.has("ends") == entry.has("duration"):
        entry.text("ends", None)
        entry.text("duration", None)
        WINDOW.report(entry.place, "a window needs either ends or duration")
        return 3600.0
    if entry.has("duration"):
        length = entry.duration("duration")
    else:
        ends = _moment(entry, "ends")
        begins, stops = (local(moment.date(), moment.time(), zone) for moment in (starts, ends))
        length = (stops - begins) / timedelta(seconds=1)
        if stops.utcoffset() != begins.utcoffset():  # a clock change lies between them
            length = (stops.astimezone(ZoneInfo("UTC")) - begins.astimezone(ZoneInfo("UTC"))) / timedelta(seconds=1)
    if length <= 0:
        WINDOW.report(entry.at("ends" if entry.has("ends") else "duration"), "the window ends before it starts")
        return 3600.0
    if length > _LONGEST_FORCED_SECONDS:
        WINDOW.report(
            entry.at("ends" if entry.has("ends") else "duration"), "the window is longer than 366 days", hint="split it"
        )
        return 3600.0
    return length


def _check(window: Window) -> None:
    place = window.fields.place
    if window.recurrence is not None and next(window.recurrence.dates(window.first), None) is None:
        WINDOW.report(
            window.fields.at("rrule"),
            "the window never opens",
            hint="no such day follows the start, or UNTIL is before it",
        )
    if bool(window.matchers) == bool(window.route):
        WINDOW.report(
            place, "a window needs either matchers or a route", hint="matchers: {pipeline: nightly}, or route: warning"
        )
    if window.route is not None and (reason := why_no_time_interval(window)):
        WINDOW.report(
            window.fields.at("route"),
            f"a window for a route becomes a time interval, but {reason}",
            hint="scope it with matchers instead",
        )
