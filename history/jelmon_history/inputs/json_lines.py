"""Events from JSON Lines: one CloudEvent, or one batch of them, in a line; gzipped if the name ends in ``.gz``.

The order of the lines is the order of arrival: an event arrives at its own time or, if that is earlier than the time of
the event before it, right after that one. `sorted_arrivals` puts the events of unordered files in order first.
"""

import gzip
import heapq
import itertools
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from jelmon.errors import ConfigError, EventError
from jelmon.events import Event, encode, parse, parse_all, split
from jelmon_history.inputs.arrival import Arrival

_LINES_AT_ONCE = 1000
_EVENTS_A_RUN = 200_000
"""Events that are sorted in memory at once, about 200 MB; each such run goes to a temporary file."""

Report = Callable[[int], None]
"""Called now and then with the number of bytes that are read."""


def arrivals(paths: Sequence[Path], report: Report = lambda _: None) -> Iterator[Arrival]:
    """Yield the events of the files, one file after the other; ``-`` is standard input.

    Raises:
        ConfigError: a file cannot be read.
    """
    for event in _events(paths, report):
        yield Arrival(-math.inf if isinstance(event, EventError) else event.time.timestamp(), event)


def sorted_arrivals(paths: Sequence[Path], report: Report = lambda _: None) -> Iterator[Arrival]:
    """Yield the events of the files in order of time; unreadable ones come first. Needs disk for a copy.

    Raises:
        ConfigError: a file cannot be read.
    """
    with ExitStack() as stack:
        runs: list[IO[bytes]] = []
        unread: list[EventError] = []
        events = _events(paths, report)
        while chunk := list(itertools.islice(events, _EVENTS_A_RUN)):
            unread += [event for event in chunk if isinstance(event, EventError)]
            readable = sorted((e for e in chunk if not isinstance(e, EventError)), key=lambda event: event.time)
            run = stack.enter_context(tempfile.TemporaryFile())
            run.writelines(encode(event) + b"\n" for event in readable)
            run.seek(0)
            runs.append(run)
        yield from (Arrival(-math.inf, error) for error in unread)
        for event in heapq.merge(*(map(parse, run) for run in runs), key=lambda event: event.time):
            yield Arrival(event.time.timestamp(), event)


def size_of(paths: Sequence[Path]) -> int:
    """Return the size of the files in bytes; 0 if one of them is not a file."""
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else 0


def _events(paths: Sequence[Path], report: Report) -> Iterator[Event | EventError]:
    read = 0
    for path in paths:
        try:
            with ExitStack() as stack:
                raw: IO[bytes] = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
                lines: Iterator[bytes] = stack.enter_context(gzip.open(raw)) if path.suffix == ".gz" else raw
                number = 1
                while block := list(itertools.islice(lines, _LINES_AT_ONCE)):
                    yield from _parsed(block, path, number)
                    number += len(block)
                    if path.suffix != ".gz":  # the position is unknown while lines are read ahead
                        read += sum(map(len, block))
                        report(read)
                    elif raw.seekable():
                        report(read + raw.tell())
            read += path.stat().st_size if path.is_file() and path.suffix == ".gz" else 0
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"cannot read {path}: {reason}", hint="name a file of events, or - for stdin") from error


def _parsed(block: list[bytes], path: Path, number: int) -> Iterator[Event | EventError]:
    try:
        yield from parse_all(block)
        return
    except EventError:
        pass
    for line_number, line in enumerate(block, start=number):
        if not line.strip():
            continue
        try:
            parts = split(line)
        except EventError as error:
            yield _located(error, path, line_number)
            continue
        for part in parts:
            try:
                yield parse(part)
            except EventError as error:
                yield _located(error, path, line_number)


def _located(error: EventError, path: Path, line: int) -> EventError:
    return EventError(f"{path}:{line}: {error.message}", reason=error.reason, hint=error.hint)
