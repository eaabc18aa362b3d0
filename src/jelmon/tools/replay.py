"""``jelmon replay``: publish a process event log as events of cards and stages."""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
import zoneinfo
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from jelmon.client import Publisher, Summary
from jelmon.errors import ConfigError
from jelmon.events import Envelope, encode
from jelmon.nats.connection import add_nats_arguments
from jelmon.service.progress import Progress
from jelmon.tools.eventlog.columns import COMMON_NAMES
from jelmon.tools.eventlog.events import Totals, events_of, totals_of
from jelmon.tools.eventlog.rows import Limits
from jelmon.tools.eventlog.runs import EventLog, Reading, read_log
from jelmon.tools.findings import listing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HELP = {
    "case": "case, which becomes the card",
    "activity": "activity, which becomes the stage",
    "queued": "time the run was queued",
    "start": "time the run started",
    "end": "time the run ended",
    "timestamp": "time of a row, in logs with one lifecycle transition per row",
    "lifecycle": "lifecycle transition: schedule, start, complete, ... (XES)",
    "resource": "person or system that did the work, which becomes the worker",
    "outcome": "outcome of the run: success, failure, ...",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("log", metavar="LOG", help="CSV file with a header, optionally gzipped")
    parser.add_argument("--pipeline", metavar="NAME", help="pipeline name (default: the file name)")
    columns = parser.add_argument_group("columns of the log (default: found by common names; none omits one)")
    for meaning in COMMON_NAMES:
        columns.add_argument(f"--{meaning}", metavar="COLUMN", dest=f"column_{meaning}", help=_HELP[meaning])
    reading = parser.add_argument_group("reading")
    reading.add_argument("--delimiter", metavar="C", help="field delimiter (default: detected from the header)")
    reading.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the file (default: utf-8)")
    reading.add_argument("--time-format", metavar="FORMAT", help="time format, as for strptime (default: ISO 8601)")
    reading.add_argument("--timezone", default="UTC", metavar="ZONE", help="zone of times without one (default: UTC)")
    reading.add_argument("--skip-bad-rows", action="store_true", help="skip invalid rows and replay the others")
    limits = Limits()
    reading.add_argument("--max-rows", type=int, default=limits.rows, metavar="N", help="default: %(default)s")
    reading.add_argument(
        "--max-characters", type=int, default=limits.characters, metavar="N", help="default: %(default)s"
    )
    sending = parser.add_argument_group("sending")
    sending.add_argument(
        "--speed",
        type=float,
        default=0.0,
        metavar="X",
        help="speed relative to real time; 0 is as fast as possible (default: 0)",
    )
    sending.add_argument(
        "--shift-to-now", action="store_true", help="shift all times so that the log ends when the replay ends"
    )
    sending.add_argument("--dry-run", action="store_true", help="print the events as JSON Lines, send nothing")
    sending.add_argument("--create-stream", action="store_true", help="create the stream if it does not exist")
    add_nats_arguments(parser)
    parser.epilog = """examples:
  jelmon replay loan.csv.gz                                    columns are found by their names
  jelmon replay log.csv --case "Case ID" --activity Step --start Begin --end End --pipeline claims
  jelmon replay xes.csv --case case:concept:name --activity concept:name --timestamp time:timestamp \\
      --lifecycle lifecycle:transition
  jelmon replay log.csv --shift-to-now --speed 600             ten minutes a second, ending now

Event ids are derived from the content: a log replayed again within the deduplication window counts nothing twice.
The whole log is held in memory, about 1 kB per row.
"""


def run(args: argparse.Namespace) -> int:
    """Read, check and send the log, and report the result."""
    path = Path(args.log)
    if not 0 <= args.speed <= 1e6:  # nor NaN
        raise ConfigError(
            f"--speed: {args.speed:g} is not a number from 0 to 1000000",
            hint="0 is as fast as possible, 1 is real time",
        )
    log = read_log(path, _reading(args))
    _say(f"{path}: {log.columns}")
    if log.problems:
        _report(log, skip=args.skip_bad_rows)
    totals = totals_of(log.runs)
    if totals.first is None or totals.last is None:
        raise ConfigError(f"{path}: there is nothing to replay", hint="the log has no valid rows")
    pipeline = args.pipeline or path.name.removesuffix(".gz").removesuffix(".csv")
    shift = _shift(totals.last - totals.first, totals.last, args.speed) if args.shift_to_now else 0
    events = events_of(log.runs, pipeline, shift=shift)
    if args.dry_run:
        for event in events:
            sys.stdout.write(f"{encode(event).decode()}\n")
        return 0
    replay = _Replay(events, totals.first + shift, args.speed)
    begin = time.monotonic()
    summary = asyncio.run(_publish(args, replay, _event_count(log)))
    _say(_summary(totals, summary, pipeline, time.monotonic() - begin, stopped=replay.stopped))
    return 1 if replay.stopped else 0


async def _publish(args: argparse.Namespace, replay: "_Replay", count: int) -> Summary:
    with Progress(count, "events") as progress:
        async with Publisher(args.nats_url, name="jelmon-replay", batch=1) as publisher:
            if args.create_stream:
                await publisher.ensure_stream()
            return await publisher.publish_many(replay.events(progress))


class _Replay:
    """Release events when they are due, until they end or a signal arrives."""

    def __init__(self, events: Iterator[Envelope], first: int, speed: float) -> None:
        self._events = events
        self._first = _EPOCH + timedelta(microseconds=first)
        self._speed = speed
        self._stop = asyncio.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    async def events(self, progress: Progress) -> AsyncGenerator[Envelope, None]:
        """Yield the events, counting each in the progress."""
        loop = asyncio.get_running_loop()
        for which in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(which, self._stop.set)
        begin = time.monotonic()
        try:
            for number, event in enumerate(self._events, start=1):
                if self._speed:
                    due = begin + (event.time - self._first).total_seconds() / self._speed
                    while not self.stopped and (left := due - time.monotonic()) > 0:
                        progress.show(number - 1)
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._stop.wait(), min(left, 0.5))
                elif number % 1000 == 0:
                    await asyncio.sleep(0)  # let signals be handled
                if self.stopped:
                    return
                progress.show(number)
                yield event
        finally:
            for which in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(which)


def _reading(args: argparse.Namespace) -> Reading:
    if args.delimiter is not None and len(args.delimiter.replace("\\t", "\t")) != 1:
        raise ConfigError("--delimiter must be one character", hint="for example ';' or '\\t'")
    return Reading(
        columns={meaning: getattr(args, f"column_{meaning}") for meaning in COMMON_NAMES},
        encoding=args.encoding,
        delimiter=None if args.delimiter is None else args.delimiter.replace("\\t", "\t"),
        time_format=args.time_format,
        zone=_zone(args.timezone),
        limits=Limits(characters=args.max_characters, rows=args.max_rows),
    )


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"--timezone: unknown time zone {name!r}", hint="for example Europe/Tallinn, or UTC"
        ) from error


def _report(log: EventLog, *, skip: bool) -> None:
    """Report the problems; raise unless invalid rows may be skipped."""
    text = f"{listing(log.problems, 'row')} of {log.rows}"
    if not skip:
        raise ConfigError(text, hint="fix the log, or omit invalid rows with --skip-bad-rows")
    _say(f"{text} skipped")


def _shift(span: int, last: int, speed: float) -> int:
    """Return the shift of all times in microseconds, so that the last event is sent at its own time."""
    now = (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)
    return now - last + (int(span / speed) if speed else 0)


def _event_count(log: EventLog) -> int:
    """Return the approximate number of events: exact except for those of cards."""
    return sum((run.queued is not None) + (run.started is not None) + (run.finished is not None) for run in log.runs)


def _summary(totals: Totals, summary: Summary, pipeline: str, seconds: float, *, stopped: bool) -> str:
    rate = summary.acknowledged / seconds if seconds else 0.0
    open_cards = f" ({totals.open_cards} still open)" if totals.open_cards else ""
    head = "stopped before the end" if stopped else f"{totals.cards} cards{open_cards}, {totals.runs} runs of stages"
    again = f", {summary.duplicates} already stored" if summary.duplicates else ""
    return (
        f"pipeline {pipeline}: {head}\n{summary.stored} events stored{again}, in {seconds:.1f} s ({rate:.0f} events/s)"
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
