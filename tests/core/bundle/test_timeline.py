"""How much of an alert was maintenance: against a slow reading, and for input that would take minutes to expand."""

import time as clock
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jelmon.bundle.maintenance import Maintenance, occurrences
from jelmon.bundle.recurrence import Recurrence
from jelmon.bundle.timeline import Timeline


def window(
    rrule: str | None = None,
    *,
    first: date = date(2026, 1, 4),
    at: time = time(3),
    hours: float = 2.0,
    zone: str = "UTC",
    name: str = "w",
    **matchers: str,
) -> Maintenance:
    """A window; of the pipeline "nightly" unless said otherwise."""
    return Maintenance(
        name=name,
        matchers=tuple(sorted((matchers or {"pipeline": "nightly"}).items())),
        first=first,
        at=at,
        zone=ZoneInfo(zone),
        duration_seconds=hours * 3600,
        recurrence=Recurrence.parse(rrule) if rrule else None,
    )


@pytest.mark.parametrize(
    ("windows", "starts", "ends", "minutes"),
    [
        ([window()], "02:00", "04:00", 60),
        ([window()], "05:00", "06:00", 0),
        ([window()], "03:30", "04:00", 30),
        ([window(), window(at=time(4))], "02:00", "07:00", 180),
        ([window(), window()], "00:00", "23:00", 120),
        ([window(hours=3), window(at=time(4), hours=1)], "00:00", "23:00", 180),
        ([window(pipeline="other")], "03:00", "04:00", 0),
        ([window(pipeline="nightly", stage="tests")], "03:00", "04:00", 0),
        ([window(pipeline="nightly", alertname="A")], "03:00", "04:00", 60),
        ([], "03:00", "04:00", 0),
    ],
    ids=[
        "the alert began before",
        "the alert began afterwards",
        "the alert lies inside",
        "windows that overlap count once",
        "the same window twice counts once",
        "one window inside another",
        "another pipeline",
        "only a stage that the alert is not about",
        "every label of the alert counts",
        "no windows",
    ],
)
def test_how_much_of_an_alert_was_maintenance(
    windows: list[Maintenance], starts: str, ends: str, minutes: float
) -> None:
    """An alert of the pipeline on the day of the window."""
    labels = {"alertname": "A", "pipeline": "nightly"}
    begin, end = (datetime.fromisoformat(f"2026-01-04T{text}:00+00:00") for text in (starts, ends))

    assert Timeline(windows).overlap_seconds(labels, begin, end) == minutes * 60


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=5),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_overlap_is_the_number_of_minutes_in_any_window(spans: list[tuple[int, int]], begin: int, length: int) -> None:
    """Minute by minute."""
    day = datetime(2026, 1, 4, tzinfo=UTC)
    windows = [window(at=time(0, start), hours=minutes / 60) for start, minutes in spans]
    expected = sum(
        any(start <= minute < start + minutes for start, minutes in spans) for minute in range(begin, begin + length)
    )
    starts = day + timedelta(minutes=begin)

    found = Timeline(windows).overlap_seconds({"pipeline": "nightly"}, starts, starts + timedelta(minutes=length))
    assert round(found, 3) == expected * 60


def slow_overlap(windows: Iterable[Maintenance], labels: Mapping[str, str], starts: datetime, ends: datetime) -> float:
    """The definition: add up, occurrence by occurrence, what has not been counted yet."""
    total, reached = timedelta(0), starts
    for begin, end in sorted(
        (max(occurrence.starts, starts), min(occurrence.ends, ends))
        for window in windows
        if window.matches(labels)
        for occurrence in occurrences(window, starts, ends)
    ):
        total += max(timedelta(0), end - max(begin, reached))
        reached = max(reached, end)
    return total / timedelta(seconds=1)


RULES = ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,TH", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=DAILY;COUNT=9", None]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(RULES), st.times(), st.floats(0.01, 60), st.sampled_from(["UTC", "Europe/Berlin"])),
        min_size=1,
        max_size=3,
    ),
    st.lists(
        st.tuples(
            st.datetimes(datetime(2001, 1, 1), datetime(2031, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=90))
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_many_spans_of_one_timeline(
    windows: list[tuple[str | None, time, float, str]], spans: list[tuple[datetime, timedelta]]
) -> None:
    """Each answer equals the definition, in whatever order the spans come."""
    expanded = [
        window(rule, first=date(2010, 5, 4), at=at, hours=hours, zone=zone) for rule, at, hours, zone in windows
    ]
    timeline, labels = Timeline(expanded), {"pipeline": "nightly"}

    for begin, length in spans:
        starts = begin.replace(tzinfo=UTC)
        expected = slow_overlap(expanded, labels, starts, starts + length)
        assert round(timeline.overlap_seconds(labels, starts, starts + length), 3) == round(expected, 3)


def test_a_century_of_daily_windows_is_expanded_once() -> None:
    """A thousand alerts over 98 years take less than ten of the expansions that each of them took before."""
    daily = [window("FREQ=DAILY", first=date(2001, 1, 1)), window("FREQ=DAILY", first=date(2001, 1, 1), at=time(4))]
    labels, starts = {"pipeline": "nightly"}, datetime(2001, 1, 1, tzinfo=UTC)
    ends = datetime(2099, 1, 1, tzinfo=UTC)
    before = clock.process_time()
    expected = slow_overlap(daily, labels, starts, ends)
    once = clock.process_time() - before
    timeline = Timeline(daily)
    before = clock.process_time()
    found = {timeline.overlap_seconds(labels, starts, ends + timedelta(seconds=number)) for number in range(1000)}

    assert found == {expected}
    assert clock.process_time() - before < 10 * once


@pytest.mark.parametrize("edge", [datetime.min, datetime.max], ids=["the first moment", "the last moment"])
def test_spans_at_the_edge_of_the_calendar(edge: datetime) -> None:
    """No time leaves the calendar."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    starts, ends = sorted((now, edge.replace(tzinfo=UTC)))

    assert Timeline([window("FREQ=DAILY")]).overlap_seconds({"pipeline": "nightly"}, starts, ends) >= 0
