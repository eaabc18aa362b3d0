"""A process event log as runs of activities: reading, checking, and pairing starts with ends."""

import difflib
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from jelmon.errors import Problem
from jelmon.events import CONTROL, Outcome
from jelmon.tools.eventlog.columns import Columns, choose_columns
from jelmon.tools.eventlog.rows import Limits, Line, read_rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

OUTCOMES = {outcome.value: outcome for outcome in Outcome} | {
    "": Outcome.SUCCESS,
    "ok": Outcome.SUCCESS,
    "passed": Outcome.SUCCESS,
    "done": Outcome.SUCCESS,
    "complete": Outcome.SUCCESS,
    "completed": Outcome.SUCCESS,
    "failed": Outcome.FAILURE,
    "canceled": Outcome.CANCELLED,
    "aborted": Outcome.CANCELLED,
    "withdrawn": Outcome.CANCELLED,
}
"""Words of the outcome column -> outcome."""

_QUEUED, _STARTED, _FINISHED, _CANCELLED, _SKIPPED, _IGNORED = range(6)
TRANSITIONS = {
    "schedule": _QUEUED,
    "enable": _QUEUED,
    "enabled": _QUEUED,
    "queued": _QUEUED,
    "start": _STARTED,
    "started": _STARTED,
    "complete": _FINISHED,
    "completed": _FINISHED,
    "end": _FINISHED,
    "finish": _FINISHED,
    "finished": _FINISHED,
    "withdraw": _CANCELLED,
    "ate_abort": _CANCELLED,
    "pi_abort": _CANCELLED,
    "autoskip": _SKIPPED,
    "manualskip": _SKIPPED,
    "assign": _IGNORED,
    "reassign": _IGNORED,
    "suspend": _IGNORED,
    "resume": _IGNORED,
}
"""Words of the lifecycle column -> transition: those of XES, and plain words."""


class Run(msgspec.Struct, gc=False):
    """One activity of one case. Times are microseconds since 1970; None: unknown or, for ``finished``, still open."""

    case: str
    activity: str
    queued: int | None = None
    started: int | None = None
    finished: int | None = None
    resource: str | None = None
    outcome: Outcome = Outcome.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read a log."""

    columns: Mapping[str, str | None] = field(default_factory=dict)  # meaning -> name of the column
    encoding: str = "utf-8"
    delimiter: str | None = None
    time_format: str | None = None
    zone: tzinfo = UTC  # of times without a zone
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class EventLog:
    """The runs of a log, in the order of the file, and its problems."""

    runs: list[Run]
    problems: list[Problem]
    columns: str = ""
    rows: int = 0


def read_log(path: Path, reading: Reading) -> EventLog:
    """Read the whole log. Invalid rows are problems, not exceptions.

    Raises:
        ConfigError: the file cannot be read, or its columns cannot be identified.
    """
    lines = read_rows(path, encoding=reading.encoding, delimiter=reading.delimiter, limits=reading.limits)
    header = next(lines)
    columns = choose_columns(header.fields, reading.columns, path=str(path))
    reader = _RowReader(str(path), header.fields, columns, reading)
    if columns.timestamp is not None:
        runs = _paired(reader, lines)
    else:
        runs = [run for line in lines if (run := reader.run(line)) is not None]
    return EventLog(runs, reader.problems, columns.described(header.fields), reader.rows)


class _BadRow(Exception):  # noqa: N818 (it never leaves this module)
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class _RowReader:
    """Reads row by row and collects the problems."""

    def __init__(self, path: str, header: list[str], columns: Columns, reading: Reading) -> None:
        self.problems: list[Problem] = []
        self.rows = 0
        self._path = path
        self._header = header
        self._columns = columns
        self._parse_time = time_parser(reading.time_format, reading.zone)

    def run(self, line: Line) -> Run | None:
        """Return the run that the row describes, or None after recording a problem."""
        columns = self._columns
        try:
            run = self._about(line)
            run.queued = self._time(line, columns.queued)
            run.started = self._time(line, columns.start)
            run.finished = self._time(line, columns.end)
            if run.started is None and run.finished is None:
                raise _BadRow("neither start nor end", "a run needs one of them")
            if run.started is not None and run.finished is not None and run.finished < run.started:
                raise _BadRow("ends before it starts", "swap the times, or check --start and --end")
            begun = run.started if run.started is not None else run.finished
            if run.queued is not None and begun is not None and begun < run.queued:
                raise _BadRow("starts before it is queued", "omit the queue times with --queued none")
        except _BadRow as bad:
            self.note(line, bad.message, bad.hint)
            return None
        return run

    def moment(self, line: Line) -> tuple[int, int, Run] | None:
        """Return time, transition and run (without times) of the row, or None after recording a problem."""
        columns = self._columns
        try:
            run = self._about(line)
            time = self._time(line, columns.timestamp)
            if time is None:
                raise _BadRow("no time", "every row needs one")
            word = "complete" if columns.lifecycle is None else line.fields[columns.lifecycle].strip().casefold()
            transition = TRANSITIONS.get(word)
            if transition is None:
                raise _BadRow(
                    f"{self._named(columns.lifecycle)}: unknown transition {word[:40]!r}",
                    _near(word, TRANSITIONS, "use one of"),
                )
        except _BadRow as bad:
            self.note(line, bad.message, bad.hint)
            return None
        return time, transition, run

    def note(self, line: Line, message: str, hint: str = "") -> None:
        """Add a problem."""
        self.problems.append(Problem(self._path, line.number, message, hint, ",".join(line.fields)[:120]))

    def _about(self, line: Line) -> Run:
        self.rows += 1
        if line.fault:
            raise _BadRow(line.fault, "fix the row, or set the encoding: --encoding latin-1")
        if len(line.fields) != len(self._header):
            raise _BadRow(
                f"{len(line.fields)} fields, but the header has {len(self._header)}",
                "quote fields that contain the delimiter, or set it: --delimiter ';'",
            )
        columns = self._columns
        run = Run(self._text(line, columns.case, 256), self._name(line, columns.activity))
        if columns.resource is not None and line.fields[columns.resource].strip():
            run.resource = self._name(line, columns.resource)
        if columns.outcome is not None:
            word = line.fields[columns.outcome].strip().casefold()
            if word not in OUTCOMES:
                raise _BadRow(
                    f"{self._named(columns.outcome)}: unknown outcome {word[:40]!r}",
                    _near(word, OUTCOMES, "use one of"),
                )
            run.outcome = OUTCOMES[word]
        return run

    def _name(self, line: Line, position: int) -> str:
        """Return a text for use as a label value, with control characters replaced by spaces."""
        return sys.intern(CONTROL.sub(" ", self._text(line, position, 128)))

    def _text(self, line: Line, position: int, limit: int) -> str:
        text = line.fields[position].strip()
        if not text:
            raise _BadRow(f"{self._named(position)} is empty", "every row needs a case and an activity")
        if len(text) > limit:
            raise _BadRow(f"{self._named(position)} has {len(text)} characters", f"at most {limit} are allowed")
        return sys.intern(text)

    def _time(self, line: Line, position: int | None) -> int | None:
        if position is None:
            return None
        text = line.fields[position].strip()
        if not text:
            return None
        try:
            return self._parse_time(text)
        except (ValueError, OverflowError):
            raise _BadRow(
                f"{self._named(position)}: invalid time {text[:40]!r}",
                "write 2026-01-31T12:00:00Z, or set the format: --time-format '%d.%m.%Y %H:%M'",
            ) from None

    def _named(self, position: int | None) -> str:
        return "" if position is None else f"column {self._header[position][:40]!r}"


def _near(word: str, known: Iterable[str], text: str) -> str:
    names = [name for name in known if name]
    near = difflib.get_close_matches(word[:40], names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{text} {', '.join(names)}"


def time_parser(time_format: str | None, zone: tzinfo) -> Callable[[str], int]:
    """Return a function that converts a time to microseconds since 1970 or raises ValueError."""

    def parse(text: str) -> int:
        if time_format is not None:
            time = datetime.strptime(text, time_format)
        else:
            try:
                time = datetime.fromisoformat(text)
            except ValueError:
                time = datetime.fromisoformat(text.replace("/", "-").replace(" UTC", "+00:00"))
        if time.tzinfo is None:
            time = time.replace(tzinfo=zone)
        return (time - _EPOCH) // _MICROSECOND

    return parse


def _paired(reader: _RowReader, lines: Iterable[Line]) -> list[Run]:
    """Return the runs of a log with one transition per row; an end belongs to the oldest run of case and activity."""
    moments = [moment for line in lines if (moment := reader.moment(line)) is not None]
    moments.sort(key=lambda item: (item[0], item[1]))  # at the same instant queued, started, finished
    runs: list[Run] = []
    waiting: defaultdict[tuple[str, str], deque[Run]] = defaultdict(deque)
    running: defaultdict[tuple[str, str], deque[Run]] = defaultdict(deque)
    for time, transition, run in moments:
        key = (run.case, run.activity)
        if transition == _QUEUED:
            run.queued = time
            waiting[key].append(run)
            runs.append(run)
        elif transition == _STARTED:
            run = _known(run, waiting[key]) or _added(run, runs)
            run.started = time
            running[key].append(run)
        elif transition in (_FINISHED, _CANCELLED, _SKIPPED):
            outcome = {_CANCELLED: Outcome.CANCELLED, _SKIPPED: Outcome.SKIPPED}.get(transition, run.outcome)
            run = _known(run, running[key]) or _known(run, waiting[key]) or _added(run, runs)
            run.finished, run.outcome = time, outcome
    return runs


def _known(run: Run, others: deque[Run]) -> Run | None:
    """Remove and return the oldest of the others, preferably of the same resource; copy the resource if it has none."""
    if not others:
        return None
    oldest = next((other for other in others if other.resource in (None, run.resource)), others[0])
    others.remove(oldest)
    oldest.resource = oldest.resource or run.resource
    return oldest


def _added(run: Run, runs: list[Run]) -> Run:
    runs.append(run)
    return run
