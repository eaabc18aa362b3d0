"""Decodes requests of remote write 2.0.

The usual series is its label references, one sample and metadata. All of these are read at once with numpy: the
references become symbol numbers of this process, whose bytes are the key of the series in the cache. Everything else
takes the protobuf parser, series by series.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from jelmon_store.series.cache import SLOT_MASK, KeyTable
from jelmon_store.series.labels import METRIC_NAME, LabelError, as_json, read_pairs
from jelmon_store.wire.decoded import Decoded, Metadata, WireLimits
from jelmon_store.wire.errors import RequestError
from jelmon_store.wire.messages import MAX_ENTRIES, MAX_SERIES_BYTES, MetadataV2, Request, TimeSeriesV2
from jelmon_store.wire.series_parser import SeriesParser
from jelmon_store.wire.symbols import SymbolTable
from jelmon_store.wire.tails import SAMPLE, ZERO, read_samples, read_times, read_zeros
from jelmon_store.wire.v1 import read_metadata

_SAMPLE_WITH_START = 25  # 12 17 | 09 value | 10 time | 18 start
_METADATA_TAG = 0x2A
_NO_METADATA = Metadata("unknown", "", "")
_EMPTY_METADATA = b"\x2a\x00"
_HASHED_METADATA = 24  # bytes; type and two references of up to four bytes are 14
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xFF51AFD7ED558CCD], np.uint64)  # odd
_PADDING = bytes(64)  # so that reading behind the last series stays inside the array

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(slots=True)
class _Symbols:
    """The symbols of one request, and their numbers in this process."""

    texts: list[bytes]
    numbers: NDArray[np.uint32]


def decode(
    message: bytes, keys: KeyTable, symbols: SymbolTable, metric_of: NDArray[np.int32], limits: WireLimits
) -> Decoded:
    """Decode a request; ``metric_of`` are the metric ids of the cache's slots.

    Raises:
        RequestError: it is not such a message.
    """
    try:
        return _decode(message, keys, symbols, metric_of, limits)
    except DecodeError as error:
        raise RequestError(f"the message is not a io.prometheus.write.v2.Request: {error}") from error


def _decode(
    message: bytes, keys: KeyTable, symbols: SymbolTable, metric_of: NDArray[np.int32], limits: WireLimits
) -> Decoded:
    request = Request.FromString(message)
    if max(len(request.timeseries), len(request.symbols)) > MAX_ENTRIES:
        raise RequestError(f"more than {MAX_ENTRIES} time series or symbols", hint="send fewer samples a request")
    texts = list(request.symbols)
    series = list(request.timeseries)
    if texts[:1] != [b""] and (texts or series):
        raise RequestError("the first symbol must be empty")
    table = _Symbols(texts, symbols.numbers(texts))
    parser = SeriesParser(keys, limits)
    fast = _read_fast(series, table, keys)
    _add_metadata(fast, table, parser, metric_of)
    for code, start in zip(fast.start_codes.tolist(), fast.starts.tolist(), strict=True):
        parser.add_start(code, start)
    for position in fast.rest:
        _parse(series[position], table, parser)
    return parser.finish(fast.codes, fast.times, fast.bits)


@dataclass(slots=True)
class _Fast:
    """The series of a request in the usual layout; ``rest`` are the positions of the others."""

    codes: Ints
    times: Ints
    bits: NDArray[np.uint64]
    metadata: "_Metadata"
    start_codes: Ints
    starts: Ints
    rest: list[int]


def _read_fast(series: list[bytes], symbols: _Symbols, keys: KeyTable) -> _Fast:
    empty = np.zeros(0, np.int64)
    none = _Fast(
        empty, empty, empty.astype(np.uint64), _Metadata(b"", empty, empty), empty, empty, list(range(len(series)))
    )
    if not series:
        return none
    lengths = np.array(list(map(len, series)), np.int64)
    buffer = b"".join([*series, _PADDING])
    joined = np.frombuffer(buffer, np.uint8)
    begins = np.cumsum(lengths) - lengths
    reference_bytes = joined[begins + 1].astype(np.int64)
    usable = (joined[begins] == 0x0A) & (reference_bytes < 0x80) & (lengths >= reference_bytes + 2 + ZERO)
    sample_at = np.where(usable, begins + 2 + reference_bytes, begins)
    samples = _read_sample(joined, sample_at)
    ends = begins + lengths
    # behind the sample there is nothing, or metadata to the end
    tail = ends - samples.end
    usable &= samples.right & (
        (tail == 0) | ((tail >= 2) & (joined[samples.end] == _METADATA_TAG) & (joined[samples.end + 1] == tail - 2))
    )
    positions = np.flatnonzero(usable)
    codes, positions = _look_up(joined, begins[positions] + 2, reference_bytes[positions], positions, symbols, keys)
    if not len(positions):
        return none
    rest = np.ones(len(series), np.bool_)
    rest[positions] = False
    begun = samples.starts[positions] > 0
    return _Fast(
        codes,
        samples.times[positions],
        samples.bits[positions],
        _Metadata(buffer, samples.end[positions], ends[positions]),
        codes[begun],
        samples.starts[positions][begun],
        np.flatnonzero(rest).tolist(),
    )


@dataclass(slots=True)
class _Metadata:
    """Where the metadata of each series is in the buffer; without metadata, both ends are equal."""

    buffer: bytes
    begins: Ints
    ends: Ints

    def distinct(self, metrics: Ints) -> dict[int, bytes]:
        """Return the metadata of each metric, as on the wire, without those that are empty."""
        sizes = self.ends - self.begins
        told = np.flatnonzero(sizes > len(_EMPTY_METADATA))
        if not len(told):
            return {}
        # the series of a metric repeat its metadata: find one of each by a hash of the metric and the bytes
        joined = np.frombuffer(self.buffer, np.uint8)
        window = joined[self.begins[told][:, None] + np.arange(_HASHED_METADATA)]
        window = np.where(np.arange(_HASHED_METADATA) < sizes[told][:, None], window, 0)
        words = np.ascontiguousarray(window).view(np.uint64)
        mixed = metrics[told].astype(np.uint64) * _MIX[0]
        for number in range(words.shape[1]):
            mixed = (mixed ^ words[:, number]) * _MIX[number + 1]
        _, first = np.unique(mixed, return_index=True)
        chosen = np.union1d(told[first], told[sizes[told] > _HASHED_METADATA])
        return {
            metric: self.buffer[begin:end]
            for metric, begin, end in zip(
                metrics[chosen].tolist(), self.begins[chosen].tolist(), self.ends[chosen].tolist(), strict=True
            )
        }


@dataclass(slots=True)
class _Samples:
    right: NDArray[np.bool_]
    times: Ints
    bits: NDArray[np.uint64]
    starts: Ints
    end: Ints


def _read_sample(joined: Bytes, at: Ints) -> _Samples:
    """Read the sample at each position, in any of its three layouts."""
    windows = joined[np.minimum(at, len(joined) - _SAMPLE_WITH_START)[:, None] + np.arange(_SAMPLE_WITH_START)]
    plain, times, bits = read_samples(windows[:, :SAMPLE])
    starts = np.zeros(len(at), np.int64)
    end = at + SAMPLE
    right = plain
    if not plain.all():
        zero, zero_times = read_zeros(windows[:, :ZERO])
        with_start = windows.copy()
        with_start[:, 1] = np.where(windows[:, 1] == 0x17, 0x10, 0)  # the same layout with a longer length
        started, _, _ = read_samples(with_start[:, :SAMPLE])
        begun, valid = read_times(windows[:, SAMPLE + 1 :])
        started &= valid & (windows[:, SAMPLE] == 0x18)
        starts = np.where(started, begun, 0)
        times = np.where(zero, zero_times, times)
        bits = np.where(zero, np.uint64(0), bits)
        end = at + np.where(zero, ZERO, np.where(started, _SAMPLE_WITH_START, SAMPLE))
        right = plain | zero | started
    return _Samples(right, times, bits, starts, end)


def _look_up(
    joined: Bytes, begins: Ints, lengths: Ints, positions: Ints, symbols: _Symbols, keys: KeyTable
) -> tuple[Ints, Ints]:
    """Return the codes of series by the references that begin at ``begins``, and the positions of those found."""
    nothing = np.zeros(0, np.int64)
    if not len(positions) or not lengths.all():
        return nothing, nothing
    bounds = np.cumsum(lengths)
    shifts = (begins - (bounds - lengths)).astype(np.int32)
    packed = joined[np.repeat(shifts, lengths) + np.arange(bounds[-1], dtype=np.int32)]
    last = packed < 0x80
    # a varint must not reach into the next series
    if not last[bounds - 1].all():
        return nothing, nothing
    stops = np.flatnonzero(last)
    firsts = np.concatenate([[0], stops[:-1] + 1])
    sizes = stops - firsts + 1
    if sizes.max() > 3:  # more than two million symbols
        return nothing, nothing
    numbers = (packed[firsts] & 0x7F).astype(np.int32)
    for extra in (1, 2):
        longer = sizes > extra
        if longer.any():
            numbers[longer] |= (packed[firsts[longer] + extra] & 0x7F).astype(np.int32) << (7 * extra)
    if numbers.max() >= len(symbols.numbers):
        return nothing, nothing
    key_bytes = symbols.numbers[numbers].tobytes()
    counts = np.searchsorted(stops, bounds) * 4
    key_ends = counts.tolist()
    found = np.array(
        keys.codes([key_bytes[first:end] for first, end in zip([0, *key_ends[:-1]], key_ends, strict=True)]), np.int64
    )
    known = found >= 0
    return found[known], positions[known]


def _add_metadata(fast: _Fast, symbols: _Symbols, parser: SeriesParser, metric_of: NDArray[np.int32]) -> None:
    metrics = metric_of[fast.codes & SLOT_MASK].astype(np.int64)
    for metric, raw in fast.metadata.distinct(metrics).items():
        parser.metadata_of[metric] = _metadata(MetadataV2.FromString(raw[2:]), symbols)


def _metadata(metadata: Any, symbols: _Symbols) -> Metadata:
    try:
        return read_metadata(metadata.type, symbols.texts[metadata.help_ref], symbols.texts[metadata.unit_ref])
    except IndexError as error:
        raise RequestError("metadata refers to a symbol that the request does not have") from error


def _parse(raw: bytes, symbols: _Symbols, parser: SeriesParser) -> None:
    """Read one series with the protobuf parser."""
    if len(raw) > MAX_SERIES_BYTES:
        raise RequestError(f"a time series has more than {MAX_SERIES_BYTES} bytes", hint="send fewer samples a request")
    series = TimeSeriesV2.FromString(raw)
    texts = symbols.texts
    references = list(series.labels_refs)
    _check_references(references, texts)
    code = parser.code_of(
        symbols.numbers[references].tobytes() if references else b"",
        lambda: _pairs(references, texts),
    )
    if not parser.is_usable(code, series):
        return
    for exemplar in series.exemplars:
        _check_references(list(exemplar.labels_refs), texts)
        try:
            labels = read_pairs(_pairs(list(exemplar.labels_refs), texts), parser.limits.labels)
        except LabelError as error:
            parser.refusals.add("exemplar", f"exemplar: {error}")
            continue
        parser.add_exemplar(code, exemplar.timestamp, exemplar.value, as_json(labels))
    parser.add_samples(code, series.samples, start=series.created_timestamp)
    parser.add_histograms(code, series.histograms, start=series.created_timestamp)
    if series.HasField("metadata"):
        metadata = _metadata(series.metadata, symbols)
        name = dict(_pairs(references, texts)).get(METRIC_NAME.encode())
        if name and metadata != _NO_METADATA:
            parser.metadata[name.decode(errors="replace")] = metadata


def _check_references(references: list[int], texts: list[bytes]) -> None:
    if len(references) % 2:
        raise RequestError("an odd number of label references")
    if references and max(references) >= len(texts):
        raise RequestError(f"label reference {max(references)} is out of range: there are {len(texts)} symbols")


def _pairs(references: list[int], texts: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(texts[name], texts[value]) for name, value in zip(references[::2], references[1::2], strict=True)]
