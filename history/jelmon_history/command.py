"""``jelmon history``: flags, and the way from input to output."""

import argparse
import contextlib
import hashlib
import logging
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from jelmon.config.reader import SettingsReader, given
from jelmon.demo import servers
from jelmon.errors import ConfigError, EventError
from jelmon.installation import shipped
from jelmon.nats.connection import NatsSettings, add_nats_arguments
from jelmon.service.progress import Progress
from jelmon_history.backfill import Derived, Resume, Totals, TsdbFolder, derive, write_samples
from jelmon_history.inputs import event_log, json_lines, stream
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.outputs.open_metrics import OpenMetricsFiles
from jelmon_history.outputs.remote_write import Receiver, RemoteWriter
from jelmon_history.prometheus import Prometheus
from jelmon_history.rules import rule_files
from jelmon_history.rules.rule_files import Rule
from jelmon_history.settings import Settings

_MOST_NAMED = 5
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=(.*)")
_EPILOG = """\
examples:
  jelmon history events.jsonl --tsdb data             blocks in data/; then: prometheus --storage.tsdb.path=data ...
  jelmon simulate --dry-run --speed 0 --seconds 7d | jelmon history - --tsdb data
  jelmon history loan.csv.gz --remote-write http://127.0.0.1:9090/api/v1/write --query.url http://127.0.0.1:9090
  jelmon history --from-stream --nats.url nats://127.0.0.1:4222 --tsdb data
  jelmon history events.jsonl --openmetrics files     then `promtool tsdb create-blocks-from openmetrics` on each

`jelmon replay --dry-run` turns event logs with other columns into JSON Lines. See docs/guides/history.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon history``."""
    parser.epilog = _EPILOG
    parser.add_argument("input", nargs="*", type=Path, metavar="FILE", help="JSON Lines, CSV event log, or - for stdin")
    reading = parser.add_argument_group("input")
    reading.add_argument("--from-stream", action="store_true", help="read the JetStream stream instead of files")
    reading.add_argument("--sort", action="store_true", help="put the events of the files in order of time first")
    reading.add_argument("--pipeline", metavar="NAME", help="pipeline of an event log (default: the file name)")
    reading.add_argument(
        "--until", metavar="TIME", help="go on to this time, for example 2026-11-30T12:00:00Z, now, or @1764500000"
    )
    output = parser.add_argument_group("output (one of them)")
    output.add_argument("--tsdb", type=Path, metavar="DIR", help="blocks of a Prometheus in a new folder")
    output.add_argument("--remote-write", metavar="URL", help="server that takes remote write")
    output.add_argument("--openmetrics", type=Path, metavar="DIR", help="OpenMetrics files, one for each 18 hours")
    remote = parser.add_argument_group("remote write")
    remote.add_argument(
        "--query.url", dest="query_url", metavar="URL", help="API of that server, for regressions and rules"
    )
    remote.add_argument(
        "--remote-write.header",
        dest="remote_write_header",
        action="append",
        metavar="'NAME: VALUE'",
        help="header of each request, such as 'X-Scope-OrgID: team'; may be repeated",
    )
    remote.add_argument("--remote-write.ca-file", dest="remote_write_ca_file", metavar="FILE", help="CA of the server")
    remote.add_argument("--state", type=Path, metavar="FILE", help="file with the progress, for --resume")
    what = parser.add_argument_group("what is scraped")
    what.add_argument("--step", metavar="TIME", help="scrape interval (default: 1m)")
    what.add_argument(
        "--instance.exporter", dest="instance_exporter", metavar="ADDRESS", help="default: 127.0.0.1:9746"
    )
    what.add_argument(
        "--instance.analyzer", dest="instance_analyzer", metavar="ADDRESS", help="default: 127.0.0.1:9747"
    )
    what.add_argument("--label", action="append", metavar="NAME=VALUE", help="label of every series; may be repeated")
    what.add_argument(
        "--no-analyzers", action="store_true", help="leave out bottlenecks, health, suggestions, regressions"
    )
    what.add_argument(
        "--analyzers.interval",
        dest="analyzers_interval",
        metavar="TIME",
        help="time between two analyses; between them gauges keep their values (default: 15m)",
    )
    what.add_argument(
        "--regression.interval",
        dest="regression_interval",
        metavar="TIME",
        help="time between two reports on regressions (default: 1h)",
    )
    what.add_argument("--no-rules", action="store_true", help="leave out what rules record, and alerts")
    what.add_argument(
        "--rules", action="append", type=Path, metavar="FILE", help="rule files (default: the shipped ones)"
    )
    parser.add_argument(
        "--prometheus", type=Path, metavar="PATH", help="Prometheus program for --tsdb (default: found)"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run of the same command")
    add_nats_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the history and report the result."""
    reader = SettingsReader(args, os.environ)
    settings = _settings(reader, args)
    _check(args)
    logging.getLogger("jelmon_analyzers").setLevel(logging.WARNING)  # what they find lies in the past
    started = time.monotonic()
    totals = _write(args, reader, settings)
    if totals.begin is None:
        raise ConfigError("there are no events", hint="check the input, and --until")
    _say(_summary(totals, time.monotonic() - started))
    if args.openmetrics is not None:
        _say(f"promtool makes blocks of them:\n{_promtool(args.openmetrics)}")
    return 0


def _write(args: argparse.Namespace, reader: SettingsReader, settings: Settings) -> Totals:
    fingerprint = _fingerprint(args, settings)
    derived = _derived(reader, args)
    with _arrivals(args, reader) as arrivals:
        if args.tsdb is not None:
            program = args.prometheus or servers.get(["prometheus"], _say)["prometheus"]
            folder = TsdbFolder(program, args.tsdb.absolute(), fingerprint=fingerprint, resume=args.resume)
            return folder.write(settings, arrivals, derived, _say)
        if args.openmetrics is not None:
            files = OpenMetricsFiles(args.openmetrics)
            after = files.complete_until if args.resume else -math.inf
            with contextlib.closing(files):
                return write_samples(settings, arrivals, files, after=after)
        resume = Resume(args.state, fingerprint, resume=args.resume) if args.state is not None else None
        receiver = _receiver(args, reader)
        writer = RemoteWriter(receiver, written=resume.written if resume is not None else lambda _: None)
        with contextlib.closing(writer):
            after = resume.until if resume is not None else -math.inf
            totals = write_samples(settings, arrivals, writer, after=after)
            if args.query_url:
                prometheus = Prometheus(args.query_url, receiver.authorization())
                with contextlib.closing(RemoteWriter(receiver)) as later:
                    derive(later, prometheus, settings, derived, totals, _say)
            if resume is not None:
                resume.forget()
            return totals


@contextlib.contextmanager
def _arrivals(args: argparse.Namespace, reader: SettingsReader) -> Iterator[Iterator[Arrival]]:
    """Return the arrivals of the input, with a progress bar and a report on unreadable events."""
    size = json_lines.size_of(args.input) if args.input else 0
    with Progress(size or 1, "bytes read" if size else "messages read") as progress:
        if args.from_stream:
            nats = NatsSettings.from_environ(reader.environ, url=reader.text("--nats.url"))
            found = stream.arrivals(nats, lambda done, total: progress.show(done, total=total))
        elif event_log.is_event_log(args.input[0]):
            found = event_log.arrivals(args.input[0], args.pipeline)
        else:
            read = json_lines.sorted_arrivals if args.sort else json_lines.arrivals
            found = read(args.input, progress.show if size else lambda _: None)
        yield _reported(found)


def _reported(arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
    """Yield the arrivals; report the first unreadable ones, and how far events are out of order."""
    unreadable, newest, latest = 0, -math.inf, 0.0
    for arrival in arrivals:
        if isinstance(arrival.event, EventError):
            unreadable += 1
            if unreadable <= _MOST_NAMED:
                _say(f"not counted: {arrival.event.message}")
        else:
            newest = max(newest, arrival.time)
            latest = max(latest, newest - arrival.time)
        yield arrival
    if unreadable > _MOST_NAMED:
        _say(f"not counted: {unreadable - _MOST_NAMED} more")
    if latest > 900:
        _say(f"warning: events are out of order by up to {latest:.0f} s and count as late; --sort puts them in order")


def _check(args: argparse.Namespace) -> None:
    outputs = [args.tsdb, args.remote_write, args.openmetrics]
    if sum(output is not None for output in outputs) != 1:
        raise ConfigError("name one output", hint="--tsdb DIR, --remote-write URL or --openmetrics DIR")
    if bool(args.input) == args.from_stream:
        raise ConfigError("name files of events, or --from-stream", hint="- is standard input")
    missing = [path for path in args.input if str(path) != "-" and not path.is_file()]
    if missing:
        raise ConfigError(f"{missing[0]} is not a file", hint="name files of events, or - for standard input")
    logs = [path for path in args.input if event_log.is_event_log(path)]
    if logs and len(args.input) > 1:
        raise ConfigError(
            "an event log must be the only input", hint="turn it into JSON Lines: jelmon replay --dry-run"
        )
    if args.resume and args.remote_write and args.state is None:
        raise ConfigError("--resume needs the file that --state named in the interrupted run")
    if args.resume and (args.from_stream or Path("-") in args.input):
        raise ConfigError("--resume needs files: a stream may have changed since", hint="save the events in a file")


def _settings(reader: SettingsReader, args: argparse.Namespace) -> Settings:
    return Settings(
        labels=_labels(args.label or ()),
        analyzers=not args.no_analyzers,
        **given(
            step=reader.duration("--step"),
            until=_moment(args.until) if args.until else None,
            exporter_instance=reader.text("--instance.exporter"),
            analyzer_instance=reader.text("--instance.analyzer"),
            label_limit=reader.whole(variable="METRICS_LABEL_LIMIT"),
            analyzer_seconds=reader.duration("--analyzers.interval"),
        ),
    )


def _derived(reader: SettingsReader, args: argparse.Namespace) -> Derived:
    rules: list[Rule] = []
    if not args.no_rules:
        rules = rule_files.load(args.rules or sorted(shipped("deploy/prometheus/rules").glob("*.yml")))
    return Derived(
        regressions=not args.no_analyzers,
        rules=rules,
        **given(regression_seconds=reader.duration("--regression.interval")),
    )


def _receiver(args: argparse.Namespace, reader: SettingsReader) -> Receiver:
    headers: dict[str, str] = {}
    for header in args.remote_write_header or ():
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ConfigError(f"--remote-write.header: {header!r} is not a header", hint="write 'NAME: VALUE'")
        headers[name.strip()] = value.strip()
    return Receiver(
        url=args.remote_write,
        headers=headers,
        bearer_token=reader.secret("REMOTE_WRITE_BEARER_TOKEN"),
        user=reader.text(variable="REMOTE_WRITE_USER"),
        password=reader.secret("REMOTE_WRITE_PASSWORD"),
        ca_file=reader.path("--remote-write.ca-file"),
    )


def _labels(texts: Iterable[str]) -> Mapping[str, str]:
    labels = {}
    for text in texts:
        match = _LABEL.fullmatch(text)
        if match is None:
            raise ConfigError(f"--label: {text!r} is not a label", hint="write NAME=VALUE, for example site=berlin")
        labels[match[1]] = match[2]
    return labels


def _moment(text: str) -> float:
    if text == "now":
        return time.time()
    if text.startswith("@") and text[1:].isdecimal():
        return float(text[1:])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--until: {text!r} is not a time", hint="write 2026-11-30T12:00:00Z, now, or @ and Unix seconds"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _fingerprint(args: argparse.Namespace, settings: Settings) -> str:
    files = [(str(path), path.stat().st_size if path.is_file() else 0) for path in args.input]
    text = f"{settings.fingerprint} {files} {args.sort} {args.pipeline} {args.remote_write}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _promtool(folder: Path) -> str:
    return (
        f"  for file in {folder}/*.om; do promtool tsdb create-blocks-from openmetrics --max-block-duration=18h "
        f'"$file" data; done'
    )


def _summary(totals: Totals, seconds: float) -> str:
    begin, end = (
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in (totals.begin or 0, totals.end)
    )
    unreadable = f" ({totals.unreadable} not readable)" if totals.unreadable else ""
    return (
        f"{totals.events} events{unreadable}, {totals.scrapes} scrapes from {begin} to {end} UTC, "
        f"{totals.samples} samples, in {seconds:.0f} s"
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
