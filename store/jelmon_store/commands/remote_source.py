"""Copies from a remote-read source, such as a Prometheus, to a store."""

import http.client
import json
import urllib.error
from collections.abc import Iterator
from datetime import datetime, timedelta

import cramjam

from jelmon.errors import JelmonError, SourceError
from jelmon.service.progress import Progress
from jelmon_store.commands.endpoint import Endpoint
from jelmon_store.commands.target import Target
from jelmon_store.read.matchers import METRIC_NAME, Matcher
from jelmon_store.read.protobuf import ProtobufError, bytes_field, fields, varint_field
from jelmon_store.wire.decoded import METADATA_TYPES

BYTES_AT_ONCE = 2 << 20
WINDOW = timedelta(hours=1)
"""Range of one remote-read query: bounds the memory of both sides."""
_READ_PATH, _METADATA_PATH = "/api/v1/read", "/api/v1/metadata"
_SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created", "_info")
"""What series add to the name of their family."""


def copy(source: Endpoint, matchers: tuple[Matcher, ...], start: datetime, end: datetime, target: Target) -> set[str]:
    """Copy window by window and return the names of the metrics.

    A series in an answer is the same message as in a write request, so it goes on as it is.
    """
    windows = max(1, -(-(end - start) // WINDOW))
    metrics: set[str] = set()
    with Progress(windows, "hours") as progress:
        for index in range(windows):
            low = start + WINDOW * index
            high = min(low + WINDOW, end)
            body, samples, size = [], 0, 0
            for series in _read(source, matchers, _milliseconds(low), _milliseconds(high) - 1):
                body.append(bytes_field(1, series))
                size += len(body[-1])
                for number, _, value in fields(series):
                    samples += number in (2, 4)
                    if number == 1 and isinstance(value, bytes):
                        metrics |= _metric(value)
                if size >= BYTES_AT_ONCE:
                    target.send(b"".join(body), samples)
                    body, samples, size = [], 0, 0
            if body:
                target.send(b"".join(body), samples)
            progress.show(index + 1)
    return metrics


def _metric(label: bytes) -> set[str]:
    """Return the name of the metric if this label holds it."""
    parts = {number: value for number, _, value in fields(label)}
    value = parts.get(2)
    named = parts.get(1) == METRIC_NAME.encode() and isinstance(value, bytes)
    return {value.decode(errors="replace")} if named and isinstance(value, bytes) else set()


def _read(source: Endpoint, matchers: tuple[Matcher, ...], start: int, end: int) -> Iterator[bytes]:
    query = varint_field(1, start) + varint_field(2, end)
    for matcher in matchers:
        encoded = bytes_field(2, matcher.name.encode()) + bytes_field(3, matcher.value.encode())
        query += bytes_field(3, varint_field(1, matcher.kind) + encoded)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Read-Version": "0.1.0",
    }
    try:
        answer = source.send(bytes(cramjam.snappy.compress_raw(bytes_field(1, query))), headers)
        for _, _, result in fields(bytes(cramjam.snappy.decompress_raw(answer))):
            if isinstance(result, bytes):
                yield from (series for _, _, series in fields(result) if isinstance(series, bytes))
    except urllib.error.HTTPError as error:
        reason = error.read(500).decode(errors="replace").strip()
        raise SourceError(f"{source.url} answered {error.code}: {reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{source.url} does not respond: {error}") from error
    except (ProtobufError, cramjam.DecompressionError) as error:
        raise JelmonError(f"{source.url} does not answer remote read: {error}") from error


def copy_metadata(source: Endpoint, metrics: set[str], target: Target) -> None:
    """Copy types, units and help texts: remote read has none, but a Prometheus has a page with them."""
    if not metrics or not source.url.endswith(_READ_PATH):
        return
    try:
        page = json.loads(source.send(None, {}, url=source.url.removesuffix(_READ_PATH) + _METADATA_PATH))
        entries = {str(name): dict(found[0]) for name, found in dict(page["data"]).items() if found}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, IndexError):
        print(f"{source.url} has no metadata of metrics")
        return
    families = metrics | {name.removesuffix(suffix) for name in metrics for suffix in _SUFFIXES}
    body = b"".join(_metadata(name, entries[name]) for name in sorted(families & entries.keys()))
    if body:
        target.send(body, 0)


def _metadata(name: str, entry: dict[str, object]) -> bytes:
    kind = str(entry.get("type", "unknown"))
    number = METADATA_TYPES.index(kind) if kind in METADATA_TYPES else 0
    texts = ((2, name), (4, str(entry.get("help", ""))), (5, str(entry.get("unit", ""))))
    return bytes_field(3, varint_field(1, number) + b"".join(bytes_field(tag, text.encode()) for tag, text in texts))


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
