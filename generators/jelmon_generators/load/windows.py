"""``rules/windows.yaml`` to definitions, with the checks that keep a window from hiding what it should not."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jelmon.bundle.recurrence import Recurrence, RecurrenceError, local
from jelmon.config.strict_yaml import Fields
from jelmon_generators.model.definitions import Bundle, Window
from jelmon_generators.model.windows import why_no_time_interval

ROUTES = ("critical", "warning", "info", "escalation")
_LONGEST_SECONDS = 7 * 86400.0


def read_windows(bundle: Bundle, fields: Fields) -> None:
    """Every window of the file."""
    for name, entry in fields.entries("windows"):
        faults = len(bundle.problems)
        window = _window(name, entry)
        if window is not None and len(bundle.problems) == faults:
            _check(window)
            bundle.windows[name] = window
    fields.done("windows.yaml")


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
        entry.at("duration" if entry.has("duration") else "ends").refuse(
            "the window is longer than 7 days",
            hint="a forgotten window hides everything; write force: true if it is meant",
        )
    entry.done("a window")
    return window


def _zone(entry: Fields) -> ZoneInfo:
    name = entry.text("time_zone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        entry.at("time_zone").refuse(f"unknown time zone {name!r}", hint="write a name such as Europe/Berlin")
        return ZoneInfo("UTC")


def _moment(entry: Fields, name: str) -> datetime:
    text = entry.text(name)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        if text:
            entry.at(name).refuse(
                f"{name}: {text!r} is no local date and time", hint="write 2026-01-31 22:00 and set time_zone"
            )
        return datetime.combine(date(2000, 1, 1), time())
    return moment


def _recurrence(entry: Fields) -> Recurrence | None:
    text = entry.text("rrule", None)
    if text is None:
        return None
    try:
        return Recurrence.parse(text)
    except RecurrenceError as error:
        entry.at("rrule").refuse(f"rrule: {error}", hint="for example FREQ=WEEKLY;BYDAY=SU or FREQ=MONTHLY;BYDAY=3TU")
        return None


def _length(entry: Fields, starts: datetime, zone: ZoneInfo) -> float:
    if entry.has("ends") == entry.has("duration"):
        entry.text("ends", None)
        entry.text("duration", None)
        entry.place.refuse("a window has either ends or duration")
        return 3600.0
    if entry.has("duration"):
        length = entry.duration("duration")
    else:
        ends = _moment(entry, "ends")
        begins, stops = (local(one.date(), one.time(), zone) for one in (starts, ends))
        length = (stops - begins) / timedelta(seconds=1)
        if stops.utcoffset() != begins.utcoffset():  # a clock change lies between them
            length = (stops.astimezone(ZoneInfo("UTC")) - begins.astimezone(ZoneInfo("UTC"))) / timedelta(seconds=1)
    if length <= 0:
        entry.at("ends" if entry.has("ends") else "duration").refuse("the window ends before it starts")
        return 3600.0
    return length


def _check(window: Window) -> None:
    place = window.fields.place
    if window.recurrence is not None and next(window.recurrence.dates(window.first), None) is None:
        window.fields.at("rrule").refuse(
            "it never happens", hint="no such day comes after the start, or UNTIL is before it"
        )
    if bool(window.matchers) == bool(window.route):
        place.refuse(
            "a window is for some labels or for a route", hint="matchers: {pipeline: nightly}, or route: warning"
        )
    if window.route is not None and (reason := why_no_time_interval(window)):
        window.fields.at("route").refuse(
            f"a window over a route becomes a time interval, and {reason}", hint="scope it with matchers instead"
        )
