"""State as it is stored: JSON where a person may want to look (series, declarations), MessagePack where only we do."""

from collections.abc import Iterable
from typing import cast

import msgspec

from jelmon_exporter.series.cells import Key, Value
from jelmon_exporter.state.model import Declaration

encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_value = msgspec.json.Decoder(float | tuple[int, tuple[int, ...]]).decode
_decode_declaration = msgspec.json.Decoder(Declaration).decode
_decode_ids = msgspec.json.Decoder(tuple[float, list[str]]).decode


def encode_key(key: Key) -> bytes:
    """A series' name and label values."""
    return encode((key[0], *key[1]))


def read_series(stored: Iterable[tuple[bytes, bytes]]) -> dict[Key, Value]:
    """Series as they are stored; an empty value is a series that is gone."""
    series: dict[Key, Value] = {}
    for field, value in stored:
        name, *labels = _decode_key(field)
        series[name, tuple(labels)] = cast(Value, _decode_value(value)) if value else None
    return series


def read_declared(stored: Iterable[tuple[bytes, bytes]]) -> dict[str, Declaration]:
    """Declarations as they are stored."""
    return {pipeline.decode(): _decode_declaration(value) for pipeline, value in stored}


def read_ids(stored: Iterable[bytes]) -> list[tuple[float, list[str]]]:
    """Batches of ids as they are stored."""
    return [_decode_ids(batch) for batch in stored]
