"""``jelmon store backfill``: sends the history of a Prometheus to a running store.

It goes through remote write, so limits, retention and duplicates are handled as for any sender, and a backfill that was
interrupted can simply be run again.
"""

import argparse
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import cramjam

from jelmon.errors import ConfigError, JelmonError, SourceError
from jelmon.service.progress import Progress
from jelmon_store.commands.delete import parse_time
from jelmon_store.commands.openmetrics import Labels, read_dump
from jelmon_store.read.matchers import Matcher
from jelmon_store.read.protobuf import ProtobufError, bytes_field, fields, varint_field
from jelmon_store.read.selector import parse_selector

DEFAULT_TARGET = "http://127.0.0.1:9749/api/v1/write"
SAMPLES_AT_ONCE = 10_000
BYTES_AT_ONCE = 2 << 20
WINDOW = timedelta(hours=1)
"""Range of one remote-read query: bounds the memory of both sides."""
_TIMEOUT_SECONDS = 60
_RETRIES = 30


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


def run(args: argparse.Namespace) -> int:
    """Load the files, or copy from the source; 1 if samples were refused.

    Raises:
        ConfigError: neither or both are given.
        SourceError: a server does not respond.
    """
    if bool(args.files) == bool(args.source):
        raise ConfigError("name either dumps to load or --from", hint="see jelmon store backfill --help")
    target = _Target(args.target)
    if args.source:
        if not args.start:
            raise ConfigError("--from needs --start")
        start = parse_time(args.start, "--start")
        end = parse_time(args.end, "--end") if args.end else datetime.now(start.tzinfo)
        _copy(args.source, parse_selector(args.match), start, end, target)
    else:
        _load(args.files, target)
    print(f"sent {target.sent} samples")
    for reason in target.refusals[:10]:
        print(f"refused: {reason}")
    return 1 if target.refusals else 0


class _Target:
    """A store to send to. Refused samples are noted, the others of the same request are stored."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.sent = 0
        self.refusals: list[str] = []

    def send(self, body: bytes, samples: int) -> None:
        """Send a ``WriteRequest``; wait while the store is busy."""
        request = urllib.request.Request(
            self._url,
            data=bytes(cramjam.snappy.compress_raw(body)),
            headers={
                "Content-Encoding": "snappy",
                "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        for attempt in range(_RETRIES):
            try:
                urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()
                break
            except urllib.error.HTTPError as error:
                reason = error.read(500).decode(errors="replace").strip()
                if error.code == 400:
                    self.refusals.append(reason)
                    break
                if error.code < 500 or attempt == _RETRIES - 1:
                    raise SourceError(f"{self._url} answered {error.code}: {reason}") from error
                time.sleep(float(error.headers.get("Retry-After") or 1))
            except OSError as error:
                raise SourceError(
                    f"{self._url} does not respond: {error}", hint="is the store running? --to names another URL"
                ) from error
        self.sent += samples


def _load(files: Iterable[Path], target: _Target) -> None:
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


def _copy(source: str, matchers: tuple[Matcher, ...], start: datetime, end: datetime, target: _Target) -> None:
    """Copy window by window. A series in an answer is the same message as in a write request, so it goes on unread."""
    windows = max(1, -(-(end - start) // WINDOW))
    with Progress(windows, "hours") as progress:
        for index in range(windows):
            low = start + WINDOW * index
            high = min(low + WINDOW, end)
            body, samples = [], 0
            size = 0
            for series in _read(source, matchers, _milliseconds(low), _milliseconds(high) - 1):
                body.append(bytes_field(1, series))
                size += len(body[-1])
                samples += sum(number in (2, 4) for number, _, _ in fields(series))
                if size >= BYTES_AT_ONCE:
                    target.send(b"".join(body), samples)
                    body, samples, size = [], 0, 0
            if body:
                target.send(b"".join(body), samples)
            progress.show(index + 1)


def _read(source: str, matchers: tuple[Matcher, ...], start: int, end: int) -> Iterator[bytes]:
    query = varint_field(1, start) + varint_field(2, end)
    for matcher in matchers:
        encoded = bytes_field(2, matcher.name.encode()) + bytes_field(3, matcher.value.encode())
        query += bytes_field(3, varint_field(1, matcher.kind) + encoded)
    request = urllib.request.Request(
        source,
        data=bytes(cramjam.snappy.compress_raw(bytes_field(1, query))),
        headers={
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Read-Version": "0.1.0",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            answer = bytes(cramjam.snappy.decompress_raw(response.read()))
        for _, _, result in fields(answer):
            if isinstance(result, bytes):
                yield from (series for _, _, series in fields(result) if isinstance(series, bytes))
    except urllib.error.HTTPError as error:
        reason = error.read(500).decode(errors="replace").strip()
        raise SourceError(f"{source} answered {error.code}: {reason}") from error
    except OSError as error:
        raise SourceError(f"{source} does not respond: {error}") from error
    except (ProtobufError, cramjam.DecompressionError) as error:
        raise JelmonError(f"{source} does not answer remote read: {error}") from error


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
