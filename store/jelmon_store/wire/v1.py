"""Decodes requests of remote write 1.0.

Prometheus sends one sample for each series of a request. Such a series is its label bytes with 18 bytes behind them
(9 if the value is 0). Series that come in the order in which they came before are recognised many at a time
(`sample_runs`); of others, the bytes in front of the sample are looked up in the cache, and the samples of all are read
at once. Everything else takes the protobuf parser, series by series.
"""

from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from jelmon_store.series.cache import KeyTable
from jelmon_store.series.labels import LabelError, as_json, read_pairs
from jelmon_store.wire.decoded import Decoded, WireLimits, read_metadata
from jelmon_store.wire.errors import RequestError
from jelmon_store.wire.fields import field, field_sizes
from jelmon_store.wire.messages import MAX_ENTRIES, MAX_SERIES_BYTES, Label, MetricMetadata, TimeSeries, WriteRequest
from jelmon_store.wire.sample_runs import SampleRuns, follow
from jelmon_store.wire.series_parser import SeriesParser
from jelmon_store.wire.tails import SAMPLE, ZERO, Ints, Words, read_tails

_LABEL_TAG = 0x0A


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
    if not isinstance(keys.runs, SampleRuns):
        keys.runs = SampleRuns(keys.room, keys.places)
    found = follow(message, np.frombuffer(message, np.uint8), keys.runs, keys)
    if found.end == len(message) and not found.others:
        return SeriesParser(keys, limits).finish(*_joined(found.codes, found.times, found.bits))
    request = WriteRequest.FromString(message[found.end :] if found.end else message)
    if max(len(request.timeseries), len(request.metadata)) > MAX_ENTRIES:
        raise RequestError(f"more than {MAX_ENTRIES} time series", hint="send fewer samples a request")
    series = list(request.timeseries)
    looked_up = _look_up(message[found.end :], series, keys, keys.runs)
    others = _look_up(b"", found.others, keys, None)
    parser = SeriesParser(keys, limits)
    for raw in (*(found.others[at] for at in others.rest), *(series[at] for at in looked_up.rest)):
        _parse(raw, parser)
    for raw in request.metadata:
        entry = MetricMetadata.FromString(raw)
        name = entry.metric_family_name.decode(errors="replace")
        parser.metadata[name] = read_metadata(entry.type, entry.help, entry.unit)
    return parser.finish(
        *_joined(
            [*found.codes, others.codes, looked_up.codes],
            [*found.times, others.times, looked_up.times],
            [*found.bits, others.bits, looked_up.bits],
        )
    )


def _joined(codes: list[Ints], times: list[Ints], bits: list[Words]) -> tuple[Ints, Ints, Words]:
    if not codes:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64)
    return np.concatenate(codes), np.concatenate(times), np.concatenate(bits)


class _LookedUp(NamedTuple):
    """The series in a usual layout that the cache knows, and the positions of the others."""

    codes: Ints
    times: Ints
    bits: Words
    rest: list[int]


def _look_up(message: bytes, series: list[bytes], keys: KeyTable, runs: SampleRuns | None) -> _LookedUp:
    """Look series up in the cache; ``message`` may be what they were read from. Learn their order, if that is so."""
    lengths = np.fromiter(map(len, series), np.int64, len(series))
    sizes = field_sizes(lengths)
    ends = np.cumsum(sizes)
    if runs is None or not len(series) or int(ends[-1]) != len(message):  # there is more than series in usual form
        runs, message, ends = None, b"".join(series), np.cumsum(lengths)
    stream = np.frombuffer(message, np.uint8)
    codes = np.array(keys.codes([one[:-SAMPLE] for one in series]), np.int64)
    right, zero, times, bits = read_tails(stream, ends, lengths)
    unknown = np.flatnonzero(right & zero | (codes < 0)).tolist()
    codes[unknown] = keys.codes([series[at][:-ZERO] for at in unknown])
    # a key found with one layout says nothing of a sample with the other
    right[unknown] &= zero[unknown]
    right &= codes >= 0
    if runs is not None:
        runs.learn(stream, ends - sizes, ends, np.where(right, codes, -1), zero)
    if right.all():
        return _LookedUp(codes, times, bits, [])
    return _LookedUp(codes[right], times[right], bits[right], np.flatnonzero(~right).tolist())


def _parse(raw: bytes, parser: SeriesParser) -> None:
    """Read one series with the protobuf parser."""
    if len(raw) > MAX_SERIES_BYTES:
        raise RequestError(f"a time series has more than {MAX_SERIES_BYTES} bytes", hint="send fewer samples a request")
    series = TimeSeries.FromString(raw)
    code = parser.code_of(
        b"".join([field(_LABEL_TAG, label) for label in series.labels]),
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
