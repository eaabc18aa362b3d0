"""Reads the samples of series: one row and two arrays a series, bits untouched, as numpy arrays.

An array in PostgreSQL's binary format is a header of 20 bytes and then 12 bytes an element, so a million samples become
numpy arrays without a Python object each. Series ids and times stand in the query as constants: TimescaleDB and
PostgreSQL then skip the chunks, partitions and batches that cannot match.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from jelmon_store.read.matchers import QueryError
from jelmon_store.read.selection import Connection, Series

SERIES_AT_ONCE = 1000
"""Series read by one statement: bounds the memory, and the size of the statement."""
_MICROSECONDS_2000 = 946_684_800_000_000
_OLDEST, _NEWEST = -62_135_596_800_000, 253_402_300_799_000  # years 1 and 9999
_ARRAY_HEADER_BYTES = 20
_INT_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])
_FLOAT_ELEMENT = np.dtype([("size", ">i4"), ("value", ">u8")])
_TIMESTAMPTZ_ARRAY, _FLOAT8_ARRAY = 1185, 1022


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one series in order of time: milliseconds, and values as their 64 bits; histograms as messages."""

    times: NDArray[np.int64]
    values: NDArray[np.uint64]
    histograms: tuple[tuple[int, bytes], ...] = ()


NONE = Samples(np.empty(0, np.int64), np.empty(0, np.uint64))


class _Times(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> NDArray[np.int64]:
        elements = np.frombuffer(data, _INT_ELEMENT, offset=_ARRAY_HEADER_BYTES)["value"].astype(np.int64)
        return (elements + _MICROSECONDS_2000) // 1000


class _Bits(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> NDArray[np.uint64]:
        return np.frombuffer(data, _FLOAT_ELEMENT, offset=_ARRAY_HEADER_BYTES)["value"].astype(np.uint64)


def prepare(connection: Connection) -> None:
    """Make a connection return arrays of times and values as numpy arrays."""
    connection.adapters.register_loader(_TIMESTAMPTZ_ARRAY, _Times)
    connection.adapters.register_loader(_FLOAT8_ARRAY, _Bits)


class SampleReader:
    """Reads the samples of one request; counts them against a limit."""

    def __init__(self, connection: Connection, *, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._read = 0

    def read(self, series_ids: Sequence[int], start: int, end: int) -> dict[int, Samples]:
        """Return the samples between two times in milliseconds, both included, of the series that have any.

        Raises:
            QueryError: the request has read more samples than allowed.
        """
        if not series_ids or start > end:
            return {}
        where = _where(series_ids, start, end)
        floats = self._floats(where)
        histograms = self._histograms(where)
        for series_id, messages in histograms.items():
            samples = floats.get(series_id, NONE)
            floats[series_id] = Samples(samples.times, samples.values, tuple(sorted(messages)))
        return floats

    def _floats(self, where: str) -> dict[int, Samples]:
        sql = (
            "SELECT series_id, array_agg(time), array_agg(value) FROM ("
            f"SELECT series_id, time, value FROM jelmore.samples WHERE {where} UNION ALL "
            f"SELECT series_id, time, value FROM jelmore.samples_kept WHERE {where} "
            f"LIMIT {self._limit - self._read + 1}) found GROUP BY series_id"
        )
        floats = {}
        with self._connection.cursor(binary=True) as cursor:
            for series_id, times, values in _rows(cursor, sql):
                self._count(len(times))
                floats[series_id] = _in_order(times, values)
        return floats

    def _histograms(self, where: str) -> dict[int, list[tuple[int, bytes]]]:
        sql = (
            "SELECT series_id, (extract(epoch FROM time) * 1000)::bigint, payload FROM jelmore.histograms "
            f"WHERE {where} LIMIT {self._limit - self._read + 1}"
        )
        histograms: dict[int, list[tuple[int, bytes]]] = {}
        with self._connection.cursor(binary=True) as cursor:
            for series_id, time, payload in _rows(cursor, sql):
                self._count(1)
                histograms.setdefault(series_id, []).append((time, payload))
        return histograms

    def _count(self, samples: int) -> None:
        self._read += samples
        if self._read > self._limit:
            raise QueryError(
                f"the request reads more than {self._limit} samples",
                hint="select fewer series or a shorter range, or raise --read.max-samples",
            )


def batches(series: Sequence[Series]) -> Iterator[Sequence[Series]]:
    """Yield series in portions of one statement each."""
    for first in range(0, len(series), SERIES_AT_ONCE):
        yield series[first : first + SERIES_AT_ONCE]


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]], sql: str) -> Iterable[tuple[Any, ...]]:
    cursor.execute(sql)
    return cursor


def _in_order(times: NDArray[np.int64], values: NDArray[np.uint64]) -> Samples:
    if len(times) > 1:
        steps = np.diff(times)
        if (steps <= 0).any():
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
            # the receiver lets no duplicate through; Prometheus would refuse all of the answer because of one
            first = np.concatenate(([True], np.diff(times) > 0))
            times, values = times[first], values[first]
    return Samples(times, values)


def _where(series_ids: Sequence[int], start: int, end: int) -> str:
    numbers = ",".join(map(str, series_ids))
    return (
        f"series_id = ANY ('{{{numbers}}}'::bigint[]) AND series_id BETWEEN {min(series_ids)} AND {max(series_ids)} "
        f"AND time BETWEEN {_timestamp(start)} AND {_timestamp(end)}"
    )


def _timestamp(milliseconds: int) -> str:
    clamped = min(max(milliseconds, _OLDEST), _NEWEST)
    return f"'{np.datetime64(clamped, 'ms')}Z'::timestamptz"
