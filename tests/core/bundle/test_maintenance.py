"""When maintenance is, over changes of the clock; and the file that carries windows to the responder."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jelmon.bundle.maintenance import Maintenance, occurrences
from jelmon.bundle.recurrence import WEEKDAYS, Recurrence
from jelmon.bundle.rules_file import decode, encode
from jelmon.errors import ConfigError


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
    ("day", "starts"),
    [
        (date(2026, 3, 22), "2026-03-22T02:00:00+00:00"),  # winter
        (date(2026, 3, 29), "2026-03-29T01:00:00+00:00"),  # the clock went from 02:00 to 03:00 in this night
        (date(2026, 10, 25), "2026-10-25T02:00:00+00:00"),  # and back
    ],
)
def test_a_window_in_local_time_keeps_its_hour(day: date, starts: str) -> None:
    """Sundays at 03:00 in Berlin."""
    weekly = window("FREQ=WEEKLY;BYDAY=SU", zone="Europe/Berlin")
    midnight = datetime.combine(day, time(), UTC)

    assert next(occurrences(weekly, midnight)).starts.isoformat() == starts


def test_a_window_without_labels_covers_nothing() -> None:
    """A window over a route says who is told, not what is worked on."""
    assert not Maintenance(
        name="w",
        matchers=(),
        first=date(2026, 1, 4),
        at=time(),
        zone=ZoneInfo("UTC"),
        duration_seconds=60.0,
        recurrence=None,
    ).matches({"pipeline": "p"})


rules = st.one_of(
    st.builds(
        Recurrence,
        st.sampled_from(["DAILY", "WEEKLY"]),
        st.integers(1, 9),
        st.lists(st.tuples(st.just(0), st.integers(0, 6)), max_size=3).map(tuple),
        count=st.none() | st.integers(1, 99),
        until=st.none() | st.dates(date(2026, 1, 1), date(2030, 1, 1)),
    ),
    st.builds(
        Recurrence,
        st.just("MONTHLY"),
        days=st.lists(st.tuples(st.integers(-5, 5), st.integers(0, len(WEEKDAYS) - 1)), max_size=3).map(tuple),
        month_days=st.lists(st.integers(-31, 31).filter(bool), max_size=3).map(tuple),
    ),
)


@settings(deadline=None)
@given(rules)
def test_a_recurrence_reads_what_it_writes(rule: Recurrence) -> None:
    """The text means the same."""
    assert Recurrence.parse(str(rule)) == rule


@settings(deadline=None)
@given(rules, st.integers(-400, 4000))
def test_expansion_may_start_near_a_date(rule: Recurrence, days: int) -> None:
    """The same days as counting from the beginning."""
    first = date(2026, 1, 4)
    since = first + timedelta(days=days)
    slow = (day for day in rule.dates(first) if day >= since)
    quick = (day for day in rule.dates(first, since) if day >= since)

    assert list(islice(quick, 5)) == list(islice(slow, 5))


@settings(deadline=None)
@given(rules, st.times(), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_the_file_for_the_responder_holds_every_window(rule: Recurrence, at: time, zone: str) -> None:
    """Occurrences are the same before and after."""
    before = window(str(rule), at=at, zone=zone)
    read = decode(encode(2**48 - 1, [before]).encode())
    (after,) = read.windows
    since = datetime(2026, 2, 1, tzinfo=UTC)

    assert read.fingerprint == 2**48 - 1
    assert (after.name, after.matchers) == (before.name, before.matchers)
    assert list(islice(occurrences(after, since), 3)) == list(islice(occurrences(before, since), 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a rules file from `jelmon generate`"),
        (b"windows:\n", "not a rules file from `jelmon generate`"),
        (b'{"about": "", "fingerprint": 1, "windows": [{}]}', "not a rules file from `jelmon generate`"),
        (encode(1, [window("FREQ=DAILY")]).replace("DAILY", "HOURLY").encode(), "FREQ=HOURLY is not"),
        (encode(1, [window()]).replace('"UTC"', '"Mars/Olympus"').encode(), "unknown time zone"),
        (encode(1, [window(hours=24 * 367)]).encode(), "lasts 3.17088e.07"),
        (encode(1, [window()]).replace("7200.0", "1e300").encode(), "lasts 1e"),
        (encode(1, [window(first=date(1, 1, 1))]).encode(), "starts on 0001-01-01"),
        (encode(1, [window(first=date(9999, 12, 31))]).encode(), "starts on 9999-12-31"),
    ],
    ids=[
        "empty",
        "YAML",
        "a window without fields",
        "an unknown recurrence",
        "an unknown zone",
        "longer than a year",
        "endless",
        "the first day of the calendar",
        "the last",
    ],
)
def test_another_file_is_rejected(content: bytes, message: str) -> None:
    """With a reason."""
    with pytest.raises(ConfigError, match=message):
        decode(content)
