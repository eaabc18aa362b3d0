"""``jelmon store backfill``: sends the history of a Prometheus to a running store.

It goes through remote write, so limits, retention and duplicates are handled as for any sender, and a backfill that was
interrupted can simply be run again.
"""

import argparse
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from jelmon.errors import ConfigError
from jelmon.service.progress import Progress
from jelmon_store.commands.delete import parse_time
from jelmon_store.commands.endpoint import Endpoint, add_endpoint_arguments
from jelmon_store.commands.openmetrics import Labels, read_dump
from jelmon_store.commands.remote_source import copy, copy_metadata
from jelmon_store.commands.target import Target
from jelmon_store.read.protobuf import bytes_field, varint_field
from jelmon_store.read.selector import parse_selector

DEFAULT_TARGET = "http://127.0.0.1:9749/api/v1/write"
SAMPLES_AT_ONCE = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``jelmon store backfill``."""
    parser.epilog = """\
examples:
  promtool tsdb dump-openmetrics /var/lib/prometheus > dump.txt && jelmon store backfill dump.txt
  jelmon store backfill --from http://prometheus:9090/api/v1/read --match '{__name__=~"jelmore_.*"}' --start 2026-05-01

Samples older than METRICS_RETENTION_DAYS are refused: raise it, or --limits.age of the store and overrides, first.
"""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="dumps to load")
    parser.add_argument("--from", dest="source", metavar="URL", help="remote-read URL to copy from, instead of files")
    parser.add_argument("--match", default='{__name__=~".+"}', metavar="SELECTOR", help="series to copy (default: all)")
    parser.add_argument("--start", metavar="TIME", help="first time to copy, RFC 3339 or Unix seconds")
    parser.add_argument("--end", metavar="TIME", help="end of the range to copy (default: now)")
    parser.add_argument(
        "--to", dest="target", default=DEFAULT_TARGET, metavar="URL", help=f"the store (default: {DEFAULT_TARGET})"
    )
    add_endpoint_arguments(parser, "from", "source")
    add_endpoint_arguments(parser, "to", "store")


def run(args: argparse.Namespace) -> int:
    """Load the files, or copy from the source; 1 if samples were refused.

    Raises:
        ConfigError: neither or both are given.
        SourceError: a server does not respond.
    """
    if bool(args.files) == bool(args.source):
        raise ConfigError("name either dumps to load or --from", hint="see jelmon store backfill --help")
    target = Target(Endpoint.read(args, "to", args.target))
    if args.source:
        if not args.start:
            raise ConfigError("--from needs --start")
        start = parse_time(args.start, "--start")
        end = parse_time(args.end, "--end") if args.end else datetime.now(start.tzinfo)
        source = Endpoint.read(args, "from", args.source)
        metrics = copy(source, parse_selector(args.match), start, end, target)
        copy_metadata(source, metrics, target)
    else:
        _load(args.files, target)
    print(f"sent {target.sent} samples")
    for reason in target.refusals[:10]:
        print(f"refused: {reason}")
    return 1 if target.refusals else 0


def _load(files: Iterable[Path], target: Target) -> None:
    files = list(files)
    read = 0
    with Progress(sum(path.stat().st_size for path in files), "bytes") as progress:
        for path in files:
            batch: dict[Labels, list[bytes]] = {}
            waiting = 0
            with path.open("rb") as file:
                for labels, value, at in read_dump(_decoded(file), str(path)):
                    sample = b"\x09" + value + varint_field(2, at)
                    batch.setdefault(labels, []).append(bytes_field(2, sample))
                    waiting += 1
                    if waiting >= SAMPLES_AT_ONCE:
                        target.send(_write_request(batch), waiting)
                        batch, waiting = {}, 0
                        progress.show(read + file.tell())
            if waiting:
                target.send(_write_request(batch), waiting)
            read += path.stat().st_size
            progress.show(read)


def _decoded(file: BinaryIO) -> Iterator[str]:
    while line := file.readline():  # iterating would forbid tell()
        yield line.decode(errors="replace")


def _write_request(batch: dict[Labels, list[bytes]]) -> bytes:
    return b"".join(
        bytes_field(
            1,
            b"".join(
                bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, value.encode())) for name, value in labels
            )
            + b"".join(samples),
        )
        for labels, samples in batch.items()
    )
