"""The encoding of stored state: JSON where people may read it (series, declarations), MessagePack elsewhere."""

from collections.abc import Iterable
from typing import cast

import msgspec

from jelmon_exporter.series.cells import Key, Value
from jelmon_exporter.state.model import Declaration

encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_value = msgspec.json.Decoder(int | float | tuple[int, tuple[int, ...]]).decode  # int: exact above 2**53
_decode_declaration = msgspec.json.Decoder(Declaration).decode
_decode_ids = msgspec.json.Decoder(tuple[float, list[str]]).decode


def encode_key(key: Key) -> bytes:
    """Encode the name and label values of a series."""
    return encode((key[0], *key[1]))


def read_series(stored: Iterable[tuple[bytes, bytes]]) -> dict[Key, Value]:
    """Decode stored series; an empty value is a dropped series."""
    series: dict[Key, Value] = {}
    for field, value in stored:
        name, *labels = _decode_key(field)
        series[name, tuple(labels)] = cast(Value, _decode_value(value)) if value else None
    return series


def read_declared(stored: Iterable[tuple[bytes, bytes]]) -> dict[str, Declaration]:
    """Decode stored declarations."""
    return {pipeline.decode(): _decode_declaration(value) for pipeline, value in stored}


def read_ids(stored: Iterable[bytes]) -> list[tuple[float, list[str]]]:
    """Decode stored batches of ids, each with its time in seconds."""
    return [_decode_ids(batch) for batch in stored]
