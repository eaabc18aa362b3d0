"""The encoding of stored state: JSON where people may read it (series, declarations), MessagePack elsewhere.

What cannot be read never raises: it is left out and returned as `Unreadable`, so that one bad field costs neither the
others nor the service.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from jelmon import catalogue as c
from jelmon_exporter.series.buckets import fitted
from jelmon_exporter.series.cells import Key, Value
from jelmon_exporter.state.model import Declaration, Unreadable

encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[str, ...]).decode
# int: exact above 2**53
_decode_value = msgspec.json.Decoder(int | float | tuple[int, tuple[int, ...]]).decode
_decode_declaration = msgspec.json.Decoder(Declaration).decode
_decode_ids = msgspec.json.Decoder(tuple[float, list[str]]).decode
_FAULTS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)  # UnicodeDecodeError is a ValueError

T = TypeVar("T")


def encode_key(key: Key) -> bytes:
    """Encode the name and label values of a series."""
    return encode((key[0], *key[1]))


def read_series(
    stored: Iterable[tuple[bytes, bytes]], faults: list[Unreadable], *, dropped: bool = False
) -> dict[Key, Value]:
    """Decode stored series, in the buckets of now. ``dropped``: an empty value is a series that was dropped."""
    series: dict[Key, Value] = {}
    for field, value in stored:
        try:
            name, *labels = _decode_key(field)
            series[name, tuple(labels)] = _fitting(name, labels, _decode_value(value)) if value or not dropped else None
        except _FAULTS as error:
            faults.append(Unreadable("series", field, value, _reason(error)))
    return series


def _fitting(name: str, labels: list[str], value: Any) -> Value:
    metric = c.BY_NAME.get(name)
    if metric is None or len(labels) != len(metric.labels):  # of another version of this program
        return value  # type: ignore[no-any-return]
    if isinstance(metric, c.Histogram):
        if not isinstance(value, tuple) or not value[1] or value[0] < 0 or min(value[1]) < 0:
            raise ValueError("not the sum and counts of a histogram")
        return fitted(metric, value)
    if isinstance(value, tuple) or (isinstance(metric, c.Counter) and value < 0):
        raise ValueError(f"not the value of a {metric.kind}")
    return value  # type: ignore[no-any-return]


def read_entries(stored: Iterable[tuple[bytes, bytes]], faults: list[Unreadable]) -> dict[str, bytes]:
    """Return stored cards and sessions by name, still encoded."""
    entries: dict[str, bytes] = {}
    for field, value in stored:
        try:
            entries[field.decode()] = value
        except _FAULTS as error:
            faults.append(Unreadable("entries", field, value, _reason(error)))
    return entries


def read_declared(stored: Iterable[tuple[bytes, bytes]], faults: list[Unreadable]) -> dict[str, Declaration]:
    """Decode stored declarations."""
    declared: dict[str, Declaration] = {}
    for pipeline, value in stored:
        try:
            declared[pipeline.decode()] = _decode_declaration(value)
        except _FAULTS as error:
            faults.append(Unreadable("declared", pipeline, value, _reason(error)))
    return declared


def read_ids(stored: Iterable[bytes], faults: list[Unreadable]) -> list[tuple[float, list[str]]]:
    """Decode stored batches of identities, each with its time in seconds."""
    batches: list[tuple[float, list[str]]] = []
    for index, batch in enumerate(stored):
        try:
            batches.append(_decode_ids(batch))
        except _FAULTS as error:
            faults.append(Unreadable("ids", b"%d" % index, batch, _reason(error)))
    return batches


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
