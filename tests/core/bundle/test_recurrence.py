"""Recurring dates against known calendars, and against a slow reading of the rule."""

from datetime import date, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon.bundle.recurrence import WEEKDAYS, Recurrence, RecurrenceError, local


@pytest.mark.parametrize(
    ("rule", "first", "expected"),
    [
        ("FREQ=DAILY", date(2026, 1, 30), ["2026-01-30", "2026-01-31", "2026-02-01"]),
        ("FREQ=DAILY;INTERVAL=10;COUNT=2", date(2026, 1, 25), ["2026-01-25", "2026-02-04"]),
        ("FREQ=WEEKLY;BYDAY=SU", date(2026, 1, 1), ["2026-01-04", "2026-01-11", "2026-01-18"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,MO", date(2026, 1, 6), ["2026-01-06", "2026-01-19", "2026-01-20"]),
        ("FREQ=MONTHLY;BYDAY=3TU", date(2026, 1, 1), ["2026-01-20", "2026-02-17", "2026-03-17"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", date(2026, 1, 1), ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", date(2026, 1, 1), ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", date(2026, 1, 1), ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", date(2026, 1, 1), ["2026-02-13", "2026-03-13", "2026-11-13"]),
        ("FREQ=MONTHLY;BYDAY=1FR;BYMONTHDAY=1,2,3", date(2026, 1, 1), ["2026-01-02", "2026-04-03", "2026-05-01"]),
        ("FREQ=DAILY;COUNT=5;UNTIL=20260102", date(2026, 1, 1), ["2026-01-01", "2026-01-02"]),
        ("FREQ=WEEKLY;UNTIL=20260115", date(2026, 1, 7), ["2026-01-07", "2026-01-14"]),
    ],
)
def test_dates(rule: str, first: date, expected: list[str]) -> None:
    """The first ones, or all."""
    found = list(islice(Recurrence.parse(rule).dates(first), 3))

    assert [day.isoformat() for day in found] == expected


@given(
    first=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    ordinal=st.sampled_from([1, 2, 3, 4, -1]),
    weekday=st.sampled_from(WEEKDAYS),
)
def test_a_weekday_of_the_month_is_what_counting_finds(first: date, ordinal: int, weekday: str) -> None:
    """Slow: walk over every day and count weekdays within its month."""
    found = list(islice(Recurrence.parse(f"FREQ=MONTHLY;BYDAY={ordinal}{weekday}").dates(first), 4))

    slow: list[date] = []
    day = first
    while len(slow) < 4:
        before, after = (day - timedelta(days=7)).month != day.month, (day + timedelta(days=7)).month != day.month
        nth = (day.day - 1) // 7 + 1
        if day.weekday() == WEEKDAYS.index(weekday) and (after if ordinal < 0 else nth == ordinal):
            assert ordinal != 1 or before
            slow.append(day)
        day += timedelta(days=1)
    assert found == slow


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FREQ=HOURLY", "FREQ=HOURLY is not supported (one of DAILY, WEEKLY, MONTHLY)"),
        ("BYDAY=SU", "FREQ= is not supported"),
        ("FREQ=WEEKLY;BYDAY=SUN", "BYDAY=SUN is not a weekday"),
        ("FREQ=WEEKLY;BYDAY=3TU", "BYDAY with an ordinal, such as 3TU, requires FREQ=MONTHLY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY requires FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY=32 is not between -31 and 31, or is 0"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 is not between 1 and 1000"),
        ("FREQ=DAILY;BYHOUR=3", "BYHOUR is not supported"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is given twice"),
        ("every sunday", "'every sunday' is not NAME=VALUE"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL=tomorrow is not a date such as 20261231"),
    ],
)
def test_unsupported_rules_are_rejected(rule: str, message: str) -> None:
    """Better than a window at another time than meant."""
    with pytest.raises(RecurrenceError) as caught:
        Recurrence.parse(rule)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 28), "2026-03-28T01:30:00+00:00"),  # winter: 02:30 is 01:30 UTC
        (date(2026, 3, 29), "2026-03-29T01:30:00+00:00"),  # 02:30 does not exist; it is 03:30 in summer time
        (date(2026, 3, 30), "2026-03-30T00:30:00+00:00"),  # summer
        (date(2026, 10, 25), "2026-10-25T00:30:00+00:00"),  # 02:30 comes twice; the first one
        (date(2026, 10, 26), "2026-10-26T01:30:00+00:00"),
    ],
    ids=["before", "the skipped hour", "after", "the doubled hour", "winter again"],
)
def test_wall_clock_time_across_daylight_saving_changes(day: date, expected: str) -> None:
    """02:30 in Berlin, in UTC."""
    assert local(day, time(2, 30), ZoneInfo("Europe/Berlin")).astimezone(ZoneInfo("UTC")).isoformat() == expected
