"""``jelmon emit``: send one event described by flags, or the events of a file or of standard input."""

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from jelmon.client import Publisher, Summary
from jelmon.errors import ConfigError, EventError, Problem
from jelmon.events import MAX_BATCH_EVENTS, MAX_EVENT_BYTES, Event, encode, parse, split
from jelmon.nats.connection import add_nats_arguments
from jelmon.tools.event_flags import add_event_arguments, event_of, kind_named, short_names, type_help
from jelmon.tools.findings import listing

_LINE_LIMIT = MAX_EVENT_BYTES * MAX_BATCH_EVENTS
_CHUNK = 65_536


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "jelmon emit TYPE --pipeline P --subject ID ... | jelmon emit --file FILE"
    parser.set_defaults(describe=lambda args: type_help(kind_named(args.type)) if args.type else parser.format_help())
    parser.add_argument("type", nargs="?", metavar="TYPE", help="event type, such as card.finished")
    parser.add_argument("--file", metavar="FILE", help="send the events of a JSON Lines file; - reads standard input")
    parser.add_argument("--skip-bad-lines", action="store_true", help="with --file: send only the valid lines")
    parser.add_argument("--dry-run", action="store_true", help="print the event as JSON, send nothing")
    parser.add_argument("--create-stream", action="store_true", help="create the stream if it does not exist")
    add_event_arguments(parser)
    add_nats_arguments(parser)
    parser.epilog = f"""types:
  {", ".join(short_names())}

examples:
  jelmon emit card.finished --help
  jelmon emit card.finished --pipeline review --subject 4711 --outcome success
  jelmon emit stage.finished --pipeline review --subject 4711 --stage tests --outcome failure --attempt 2
  jelmon emit scan.finished --pipeline review --subject 4711 --scanner sast --outcome success --findings high=1,low=3
  jelmon emit --file events.jsonl
  jelmon emit card.queued --pipeline review --subject 4712 --dry-run | jelmon emit --file -
"""


def run(args: argparse.Namespace) -> int:
    """Send or print the events, and report the result."""
    if (args.type is None) == (args.file is None):
        raise ConfigError(
            "give either a TYPE with flags or --file",
            hint="for example: jelmon emit card.started --subject 1 ...",
        )
    if args.file is None:
        event = event_of(args)
        if args.dry_run:
            sys.stdout.write(f"{encode(event).decode()}\n")
            return 0
        summary = asyncio.run(_send(args, _only(event)))
        _say(f"{args.type} {event.id} {'already stored' if summary.duplicates else 'stored'}")
        return 0
    return _run_file(args)


def _run_file(args: argparse.Namespace) -> int:
    problems: list[Problem] = []
    if args.file == "-":
        return _pump(args, sys.stdin.buffer, "stdin", problems)
    path = Path(args.file)
    try:
        if not args.skip_bad_lines:  # check before sending: an invalid file sends nothing
            with path.open("rb") as stream:
                for chunk in _lines(stream):
                    for _ in _events(chunk, str(path), problems):
                        pass
            if problems:
                raise ConfigError(
                    listing(problems, "line"), hint="fix the file, or send only the valid lines with --skip-bad-lines"
                )
        with path.open("rb") as stream:
            return _pump(args, stream, str(path), problems)
    except OSError as error:
        raise ConfigError(
            f"--file: cannot read {path}: {error.strerror}", hint="give the path of a JSON Lines file"
        ) from (error)


def _pump(args: argparse.Namespace, stream: BinaryIO, name: str, problems: list[Problem]) -> int:
    """Send valid lines as they arrive; report the invalid ones at the end."""
    if args.dry_run:
        for chunk in _lines(stream):
            for event in _events(chunk, name, problems):
                sys.stdout.write(f"{encode(event).decode()}\n")
    else:
        summary = asyncio.run(_send(args, _streamed(stream, name, problems)))
        _say(f"{summary.stored} events stored, {summary.duplicates} already stored")
    if problems:
        _say(f"{listing(problems, 'line')} not sent")
        return 1
    return 0


async def _send(args: argparse.Namespace, events: AsyncIterator[Event]) -> Summary:
    async with Publisher(args.nats_url, name="jelmon-emit", batch=1) as publisher:
        if args.create_stream:
            await publisher.ensure_stream()
        return await publisher.publish_many(events)


async def _only(event: Event) -> AsyncIterator[Event]:
    yield event


async def _streamed(stream: BinaryIO, name: str, problems: list[Problem]) -> AsyncIterator[Event]:
    """Yield events as they arrive: the first is sent before the pipe ends, and Ctrl-C need not wait for the next."""
    descriptor = stream.fileno()
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        for lines in _lines(stream):
            for event in _events(lines, name, problems):
                yield event
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_CHUNK)
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as copy:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), copy)
        cutter = _Cutter()
        try:
            while chunk := await reader.read(_CHUNK):
                for event in _events(cutter.feed(chunk), name, problems):
                    yield event
            for event in _events(cutter.end(), name, problems):
                yield event
        finally:
            transport.close()
            os.set_blocking(descriptor, True)  # a terminal shares this flag with our shell


Lines = list[tuple[int, bytes]]


class _Cutter:
    """Split chunks into numbered lines. A line that is too long is truncated, so it is not valid JSON."""

    def __init__(self) -> None:
        self._number = 1
        self._rest = b""

    def feed(self, chunk: bytes) -> Lines:
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[: _LINE_LIMIT + 1]
        first, self._number = self._number, self._number + len(whole)
        return list(enumerate(whole, first))

    def end(self) -> Lines:
        return [(self._number, self._rest)] if self._rest else []


def _lines(stream: BinaryIO) -> Iterator[Lines]:
    cutter = _Cutter()
    while chunk := os.read(stream.fileno(), _CHUNK):
        yield cutter.feed(chunk)
    yield cutter.end()


def _events(lines: Lines, path: str, problems: list[Problem]) -> Iterator[Event]:
    """Yield the events of the lines; add what cannot be read to ``problems``."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            parsed = [parse(part) for part in split(line)]
        except EventError as error:
            text = line[:100].decode("utf-8", errors="replace")
            problems.append(Problem(path, number, error.message, error.hint, text))
        else:
            yield from parsed


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
