"""Reading process event logs: any common shape, every problem at once, nothing hostile gets far."""

import gzip
import zoneinfo
from pathlib import Path

import pytest

from jelmon.errors import ConfigError
from jelmon.events import Outcome
from jelmon.tools.eventlog.rows import Limits
from jelmon.tools.eventlog.runs import EventLog, Reading, Run, read_log

DAY = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z in microseconds
SECOND = 1_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the test writes its log."""
    return tmp_path / "log.csv"


def read(path: Path, text: str | bytes, **reading: object) -> EventLog:
    """Write a log and read it."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_log(path, Reading(**reading))  # type: ignore[arg-type]


def problems(log: EventLog) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in log.problems]


# --- shapes ---


def test_rows_of_runs_are_read_with_all_their_columns(log: Path) -> None:
    """One row for each run, with queue time, resource and outcome."""
    found = read(
        log,
        "case_id,activity,queued_ts,start_ts,complete_ts,resource,outcome\n"
        "1,Check,2024-01-01T00:00:00Z,2024-01-01T00:00:01.500Z,2024-01-01T00:00:02Z,Ann,failed\n",
    )

    assert found.runs == [
        Run("1", "Check", DAY, DAY + 1_500_000, DAY + 2 * SECOND, "Ann", Outcome.FAILURE),
    ]
    assert found.problems == []
    assert found.columns == (
        "case=case_id, activity=activity, queued=queued_ts, start=start_ts, end=complete_ts, "
        "resource=resource, outcome=outcome"
    )


def test_rows_of_moments_are_paired(log: Path) -> None:
    """XES style: each start finds its end, the oldest first and by resource, in whatever order the rows come."""
    found = read(
        log,
        "case:concept:name,concept:name,time:timestamp,lifecycle:transition,org:resource\n"
        "1,A,2024-01-01T00:00:09Z,complete,Bob\n"
        "1,A,2024-01-01T00:00:00Z,schedule,\n"
        "1,A,2024-01-01T00:00:01Z,start,Ann\n"
        "1,A,2024-01-01T00:00:02Z,start,Bob\n"
        "1,A,2024-01-01T00:00:07Z,suspend,Ann\n"
        "1,A,2024-01-01T00:00:10Z,complete,Ann\n"
        "2,A,2024-01-01T00:00:03Z,START,Ann\n"
        "2,B,2024-01-01T00:00:04Z,schedule,\n"
        "2,B,2024-01-01T00:00:05Z,withdraw,\n",
    )

    assert found.problems == []
    assert found.runs == [
        Run("1", "A", DAY, DAY + SECOND, DAY + 10 * SECOND, "Ann"),
        Run("1", "A", None, DAY + 2 * SECOND, DAY + 9 * SECOND, "Bob"),
        Run("2", "A", None, DAY + 3 * SECOND, None, "Ann"),
        Run("2", "B", DAY + 4 * SECOND, None, DAY + 5 * SECOND, None, Outcome.CANCELLED),
    ]


def test_a_log_of_ends_only_has_runs_without_a_start(log: Path) -> None:
    """Without a lifecycle each row is the end of a run: no length is invented."""
    found = read(log, "case,activity,timestamp\n1,A,2024-01-01T00:00:00Z\n1,B,2024-01-01T00:00:01Z\n")

    assert found.runs == [Run("1", "A", finished=DAY), Run("1", "B", finished=DAY + SECOND)]


def test_a_run_may_be_open_or_have_no_start(log: Path) -> None:
    """An empty cell is unknown, not zero."""
    found = read(log, "case,activity,start,end\n1,A,2024-01-01,\n1,B,,2024-01-01\n")

    assert found.runs == [Run("1", "A", started=DAY), Run("1", "B", finished=DAY)]


@pytest.mark.parametrize(
    "header",
    [
        "Case ID;Activity;Start Timestamp;Complete Timestamp",
        "caseid\tactivity\tstart_time\tend_time",
        "\ufeffcase|task|start|end",
    ],
    ids=["blanks and semicolons", "tabs", "a byte order mark and bars"],
)
def test_common_names_and_delimiters_are_found(log: Path, header: str) -> None:
    """Nobody should have to rename columns."""
    delimiter = next(character for character in ";\t|" if character in header)
    header = header.replace("Complete Timestamp", "End Timestamp")
    row = delimiter.join(["1", "A", "2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"])

    assert read(log, f"{header}\n{row}\n").runs == [Run("1", "A", None, DAY, DAY + SECOND)]


def test_columns_can_be_named_and_left_out(log: Path) -> None:
    """What is given comes before what is guessed."""
    text = "id,what,queued,start,end,worker\n1,A,2024-01-02,2024-01-01,2024-01-01,w\n"
    names = {"case": "id", "activity": "what", "queued": "none", "resource": "none"}

    assert read(log, text, columns=names).runs == [Run("1", "A", None, DAY, DAY)]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param("2024-01-01T00:00:00.000+00:00", {}, id="ISO 8601 with an offset"),
        pytest.param("2024-01-01 00:00:00", {}, id="no zone is UTC"),
        pytest.param("2024/01/01 00:00:00.000", {}, id="slashes"),
        pytest.param("2024-01-01 00:00:00 UTC", {}, id="the word UTC"),
        pytest.param("2024-01-01T01:00:00+01:00", {}, id="another zone"),
        pytest.param("2024-01-01 02:00", {"zone": zoneinfo.ZoneInfo("Europe/Tallinn")}, id="a zone that is given"),
        pytest.param("01.01.2024 00:00", {"time_format": "%d.%m.%Y %H:%M"}, id="a format that is given"),
    ],
)
def test_times_are_read(log: Path, text: str, options: dict[str, object]) -> None:
    """All of these are the same moment."""
    assert read(log, f"case,activity,start,end\n1,A,{text},\n", **options).runs == [Run("1", "A", started=DAY)]


def test_quoted_fields_and_foreign_letters_are_kept(log: Path) -> None:
    """Commas, quotes and newlines inside quotes; the encoding can be named. A name is one line in the end."""
    text = 'case,activity,start,end\n"ä, ""1""","Prüfung\nzwei",2024-01-01,\n'
    expected = [Run('ä, "1"', "Prüfung zwei", started=DAY)]

    assert read(log, text).runs == expected
    assert read(log, text.encode("utf-16"), encoding="utf-16").runs == expected
    assert read(log, gzip.compress(text.encode())).runs == expected


# --- problems ---


def test_every_bad_row_is_told_with_its_line_and_the_good_ones_are_kept(log: Path) -> None:
    """One run over the log finds all there is to mend."""
    found = read(
        log,
        b"case,activity,queued,start,end,outcome\n"
        b"1,A,,2024-01-01,2024-01-02,success\n"
        b",A,,2024-01-01,2024-01-02,success\n"
        b"1,,,2024-01-01,2024-01-02,success\n"
        b"1,A,,yesterday,2024-01-02,success\n"
        b"1,A,,2024-01-03,2024-01-02,success\n"
        b"1,A,2024-01-02,2024-01-01,2024-01-03,success\n"
        b"1,A,,,,success\n"
        b"1,A,,2024-01-01,2024-01-02,succes\n"
        b"1,A,,2024-01-01\n"
        b"1,\xff,,2024-01-01,2024-01-02,success\n"
        b"1,A,,2024-01-01,99999-01-01,success\n" + b"1," + b"x" * 200 + b",,2024-01-01,2024-01-02,success\n"
        b"2,B,,2024-01-01,2024-01-02,skipped\n",
    )

    assert [run.case for run in found.runs] == ["1", "2"]
    assert problems(found) == [
        (3, "column 'case' is empty"),
        (4, "column 'activity' is empty"),
        (5, "column 'start': invalid time 'yesterday'"),
        (6, "ends before it starts"),
        (7, "starts before it is queued"),
        (8, "neither start nor end"),
        (9, "column 'outcome': unknown outcome 'succes'"),
        (10, "4 fields, but the header has 6"),
        (11, "not utf-8"),
        (12, "column 'end': invalid time '99999-01-01'"),
        (13, "column 'activity' has 200 characters"),
    ]
    assert all(problem.hint for problem in found.problems)
    assert found.problems[6].hint == "did you mean 'success'?"
    assert found.rows == 13


def test_an_unknown_transition_is_a_problem(log: Path) -> None:
    """With the nearest known one."""
    found = read(log, "case,activity,timestamp,lifecycle\n1,A,2024-01-01,strat\n1,A,,start\n")

    assert problems(found) == [(2, "column 'lifecycle': unknown transition 'strat'"), (3, "no time")]
    assert found.problems[0].hint == "did you mean 'start'?"


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        pytest.param("a,b\n", {}, "cannot find the case column", id="no case"),
        pytest.param("case,b\n", {}, "cannot find the activity column", id="no activity"),
        pytest.param("case,activity\n", {}, "cannot find a column with times", id="no times"),
        pytest.param("case,activity,start\n", {"end": "strat"}, "did you mean 'start'?", id="a misspelt name"),
        pytest.param(
            "case,activity,start,end,time\n",
            {"start": "start", "timestamp": "time"},
            "cannot be combined with",
            id="both shapes at once",
        ),
        pytest.param("", {}, "the first line is empty", id="an empty file"),
        pytest.param("\n\ncase", {}, "the first line is empty", id="no header"),
        pytest.param("<?xml version='1.0'?>\n", {}, "this is XML", id="XES"),
    ],
)
def test_a_log_that_cannot_be_read_at_all_says_why(log: Path, text: str, columns: dict[str, str], message: str) -> None:
    """The columns that are there are in the hint."""
    with pytest.raises(ConfigError) as caught:
        read(log, text, columns=columns)

    assert message in str(caught.value)


# --- hostile files ---


def test_a_gzip_bomb_is_stopped_after_its_limit(log: Path) -> None:
    """Ten megabytes in ten kilobytes: no more than the limit is ever unpacked."""
    row = b"1,A,2024-01-01,2024-01-02\n"
    bomb = gzip.compress(b"case,activity,start,end\n" + row * 400_000)
    assert len(bomb) < 40_000

    with pytest.raises(ConfigError, match="more than 100000 characters"):
        read(log, bomb, limits=Limits(characters=100_000))
    with pytest.raises(ConfigError, match="more than 1000 rows"):
        read(log, bomb, limits=Limits(rows=1000))


def test_a_line_without_an_end_is_not_read_to_its_end(log: Path) -> None:
    """Zeros, 50 MB of them, packed small."""
    with pytest.raises(ConfigError, match="a line of more than 1000000 characters"):
        read(log, gzip.compress(b"case,activity,start,end\n" + b"0" * 50_000_000))


def test_a_field_that_is_far_too_long_is_a_problem_of_its_row(log: Path) -> None:
    """The csv module's own limit, told as ours; the next row is fine."""
    text = "case,activity,start,end\n1,A," + "x" * 200_000 + ",\n2,B,2024-01-01,\n"
    found = read(log, text)

    assert [run.case for run in found.runs] == ["2"]
    assert problems(found) == [(2, "invalid CSV: field larger than field limit (100000)")]


def test_broken_archives_and_encodings_are_told(log: Path) -> None:
    """Cut off, damaged, or not text of that encoding."""
    whole = gzip.compress(b"case,activity,start,end\n" + b"1,A,2024-01-01,2024-01-02\n" * 1000)
    with pytest.raises(ConfigError, match="the gzip archive is broken"):
        read(log, whole[:-20])
    with pytest.raises(ConfigError, match="the gzip archive is broken"):
        read(log, whole[:30] + b"\x00\x00\x00" + whole[33:])
    with pytest.raises(ConfigError, match="cannot be read as utf-16"):
        read(log, b"case,activity,start,end\n1", encoding="utf-16")
    with pytest.raises(ConfigError, match="cannot be read as klingon"):
        read(log, b"case", encoding="klingon")
    with pytest.raises(ConfigError, match="No such file"):
        read_log(log.with_name("none.csv"), Reading())
