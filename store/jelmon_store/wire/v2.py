"""Decodes requests of remote write 2.0.

The usual series is its label references, one sample and metadata. All of these are read at once with numpy
(`series_v2`): the references become symbol numbers of this process, whose bytes are the key of the series in the cache.
Everything else takes the protobuf parser, series by series.
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
from jelmon_store.wire.series_v2 import SeriesRead, read_series
from jelmon_store.wire.symbols import SymbolTable

_NO_METADATA = Metadata("unknown", "", "")


@dataclass(slots=True)
class _Symbols:
    """The symbols of one request."""

    numbers: NDArray[np.uint32]
    table: SymbolTable

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self, reference: int) -> bytes:
        text: bytes = self.table.texts[self.numbers[reference]]
        return text


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
    stream = np.frombuffer(message, np.uint8)
    known = symbols.read(message, stream)
    request = Request.FromString(message[known.end :])
    if max(len(request.timeseries), len(request.symbols)) > MAX_ENTRIES:
        raise RequestError(f"more than {MAX_ENTRIES} time series or symbols", hint="send fewer samples a request")
    texts, series = list(request.symbols), list(request.timeseries)
    numbers, behind = known.numbers, message[known.end :]
    if texts:
        numbers, behind = np.concatenate([numbers, symbols.numbers(texts)]), b""
        symbols.learn(message, stream, known.end, texts, numbers[len(known.numbers) :])
    table = _Symbols(numbers, symbols)
    if (len(numbers) or series) and (not len(numbers) or table.text(0)):
        raise RequestError("the first symbol must be empty")
    parser = SeriesParser(keys, limits)
    read = read_series(behind, series, numbers, keys)
    _add_metadata(read, table, parser, metric_of)
    for code, start in zip(read.start_codes.tolist(), read.starts.tolist(), strict=True):
        parser.add_start(code, start)
    for position in read.rest:
        _parse(series[position], table, parser)
    return parser.finish(read.codes, read.times, read.bits)


def _add_metadata(read: SeriesRead, symbols: _Symbols, parser: SeriesParser, metric_of: NDArray[np.int32]) -> None:
    metrics = metric_of[read.codes & SLOT_MASK].astype(np.int64)
    for metric, raw in read.metadata.distinct(metrics):
        parser.metadata_of[metric] = _metadata(MetadataV2.FromString(raw[2:]), symbols)


def _metadata(metadata: Any, symbols: _Symbols) -> Metadata:
    help_ref, unit_ref = metadata.help_ref, metadata.unit_ref
    if max(help_ref, unit_ref) >= len(symbols):
        raise RequestError("metadata refers to a symbol that the request does not have")
    return symbols.table.metadata(metadata.type, int(symbols.numbers[help_ref]), int(symbols.numbers[unit_ref]))


def _parse(raw: bytes, symbols: _Symbols, parser: SeriesParser) -> None:
    """Read one series with the protobuf parser."""
    if len(raw) > MAX_SERIES_BYTES:
        raise RequestError(f"a time series has more than {MAX_SERIES_BYTES} bytes", hint="send fewer samples a request")
    series = TimeSeriesV2.FromString(raw)
    references = list(series.labels_refs)
    _check_references(references, symbols)
    code = parser.code_of(
        symbols.numbers[references].tobytes() if references else b"",
        lambda: _pairs(references, symbols),
    )
    if not parser.is_usable(code, series):
        return
    for exemplar in series.exemplars:
        _check_references(list(exemplar.labels_refs), symbols)
        try:
            labels = read_pairs(_pairs(list(exemplar.labels_refs), symbols), parser.limits.labels)
        except LabelError as error:
            parser.refusals.add("exemplar", f"exemplar: {error}")
            continue
        parser.add_exemplar(code, exemplar.timestamp, exemplar.value, as_json(labels))
    parser.add_samples(code, series.samples, start=series.created_timestamp)
    parser.add_histograms(code, series.histograms, start=series.created_timestamp)
    if series.HasField("metadata"):
        metadata = _metadata(series.metadata, symbols)
        name = dict(_pairs(references, symbols)).get(METRIC_NAME.encode())
        if name and metadata != _NO_METADATA:
            parser.metadata[name.decode(errors="replace")] = metadata


def _check_references(references: list[int], symbols: _Symbols) -> None:
    if len(references) % 2:
        raise RequestError("an odd number of label references")
    if references and max(references) >= len(symbols):
        raise RequestError(f"label reference {max(references)} is out of range: there are {len(symbols)} symbols")


def _pairs(references: list[int], symbols: _Symbols) -> list[tuple[bytes, bytes]]:
    return [
        (symbols.text(name), symbols.text(value)) for name, value in zip(references[::2], references[1::2], strict=True)
    ]
