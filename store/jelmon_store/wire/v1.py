"""Decodes requests of remote write 1.0.

Prometheus sends one sample for each series of a request. Such a series is its label bytes with 18 bytes behind them
(9 if the value is 0), so the bytes in front are looked up in the cache and the samples of all series read at once.
Everything else takes the protobuf parser, series by series.
"""

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from jelmon_store.series.cache import KeyTable
from jelmon_store.series.labels import LabelError, as_json, read_pairs
from jelmon_store.wire.decoded import METADATA_TYPES, Decoded, Metadata, WireLimits
from jelmon_store.wire.errors import RequestError
from jelmon_store.wire.messages import MAX_ENTRIES, MAX_SERIES_BYTES, Label, MetricMetadata, TimeSeries, WriteRequest
from jelmon_store.wire.series_parser import SeriesParser
from jelmon_store.wire.tails import SAMPLE, ZERO, read_samples, read_zeros


def decode(message: bytes, keys: KeyTable, limits: WireLimits) -> Decoded:
    """Decode a request.

    Raises:
        RequestError: it is not such a message.
    """
    try:
        return _decode(message, keys, limits)
    except DecodeError as error:
        raise RequestError(f"the message is not a prometheus.WriteRequest: {error}") from error


def _decode(message: bytes, keys: KeyTable, limits: WireLimits) -> Decoded:
    request = WriteRequest.FromString(message)
    if max(len(request.timeseries), len(request.metadata)) > MAX_ENTRIES:
        raise RequestError(f"more than {MAX_ENTRIES} time series", hint="send fewer samples a request")
    series = list(request.timeseries)
    codes, times, bits, rest = _read_fast(series, keys)
    parser = SeriesParser(keys, limits)
    for position in rest:
        _parse(series[position], parser)
    for raw in request.metadata:
        entry = MetricMetadata.FromString(raw)
        name = entry.metric_family_name.decode(errors="replace")
        parser.metadata[name] = read_metadata(entry.type, entry.help, entry.unit)
    return parser.finish(codes, times, bits)


def _read_fast(series: list[bytes], keys: KeyTable) -> tuple[Any, Any, Any, list[int]]:
    """Return codes, times and bits of the series in the usual layout, and the positions of the others."""
    found = keys.codes([one[:-SAMPLE] for one in series])
    codes = np.array(found, np.int64)
    tails = b"".join([one[-SAMPLE:] for one in series])
    if len(tails) != SAMPLE * len(series):  # some are shorter than a sample
        return codes[:0], codes[:0], codes[:0].astype(np.uint64), list(range(len(series)))
    right, times, bits = read_samples(np.frombuffer(tails, np.uint8).reshape(-1, SAMPLE))
    right &= codes >= 0
    if right.all():
        return codes, times, bits, []
    others = np.flatnonzero(~right).tolist()
    zeros = _read_zeros(series, others, keys)
    codes, times, bits = codes[right], times[right], bits[right]
    if zeros is None:
        return codes, times, bits, others
    zero_codes, zero_times, others = zeros
    return (
        np.concatenate([codes, zero_codes]),
        np.concatenate([times, zero_times]),
        np.concatenate([bits, np.zeros(len(zero_codes), np.uint64)]),
        others,
    )


def _read_zeros(series: list[bytes], positions: list[int], keys: KeyTable) -> tuple[Any, Any, list[int]] | None:
    """Return codes and times of the series with one sample of value 0, and the positions of the others."""
    codes = np.array(keys.codes([series[position][:-ZERO] for position in positions]), np.int64)
    tails = b"".join([series[position][-ZERO:] for position in positions])
    if len(tails) != ZERO * len(positions):
        return None
    right, times = read_zeros(np.frombuffer(tails, np.uint8).reshape(-1, ZERO))
    right &= codes >= 0
    left = [position for position, good in zip(positions, right.tolist(), strict=True) if not good]
    return codes[right], times[right], left


def _parse(raw: bytes, parser: SeriesParser) -> None:
    """Read one series with the protobuf parser."""
    if len(raw) > MAX_SERIES_BYTES:
        raise RequestError(f"a time series has more than {MAX_SERIES_BYTES} bytes", hint="send fewer samples a request")
    series = TimeSeries.FromString(raw)
    code = parser.code_of(
        b"".join([_field(label) for label in series.labels]),
        lambda: ((label.name, label.value) for label in map(Label.FromString, series.labels)),
    )
    if not parser.is_usable(code, series):
        return
    for exemplar in series.exemplars:
        try:
            labels = read_pairs(((label.name, label.value) for label in exemplar.labels), parser.limits.labels)
        except LabelError as error:
            parser.refusals.add("exemplar", f"exemplar: {error}")
            continue
        parser.add_exemplar(code, exemplar.timestamp, exemplar.value, as_json(labels))
    parser.add_samples(code, series.samples, start=0)
    parser.add_histograms(code, series.histograms, start=0)


def read_metadata(kind: int, help_text: bytes, unit: bytes) -> Metadata:
    """Return metadata from its fields on the wire; an unknown type is ``unknown``."""
    name = METADATA_TYPES[kind] if 0 <= kind < len(METADATA_TYPES) else "unknown"
    texts = [text.decode(errors="replace").replace("\0", "") for text in (unit, help_text)]
    return Metadata(name, *texts)


def _field(label: bytes) -> bytes:
    """Return a label as it is on the wire, in field 1."""
    length = len(label)
    head = bytearray(b"\n")
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + label
