"""Reads the samples of many series at once, bits untouched, into numpy arrays.

PostgreSQL sends one row with two arrays for each series. An array in its binary format is a header of 20 bytes and
then 12 bytes an element, so a million samples become numpy arrays without a Python object each. Series ids and times
stand in the query as constants: TimescaleDB and PostgreSQL then skip the chunks, partitions and batches that cannot
match.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from jelmon_store.read.matchers import QueryError
from jelmon_store.read.selection import Connection, Series

SERIES_AT_ONCE = 5000
SAMPLES_AT_ONCE = 500_000
"""Of one statement, if a series has a sample every 15 seconds: bounds the memory."""
_USUAL_STEP_MS = 15_000
_MICROSECONDS_2000 = 946_684_800_000_000
_OLDEST, _NEWEST = -62_135_596_800_000, 253_402_300_799_000  # years 1 and 9999
_ARRAY_HEADER_BYTES = 20
_INT_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])
_FLOAT_ELEMENT = np.dtype([("size", ">i4"), ("value", ">u8")])
_TIMESTAMPTZ_ARRAY, _FLOAT8_ARRAY = 1185, 1022
Integers = NDArray[np.int64]
Numbers = NDArray[np.uint64]
Histogram = tuple[int, bytes]
"""A time in milliseconds and a ``prometheus.Histogram`` message."""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples of some series, one series after the other and each in order of time.

    Times are milliseconds, values their 64 bits. The samples of ``series[i]`` end before ``ends[i]``.
    """

    series: Sequence[Series]
    times: Integers
    values: Numbers
    ends: Integers
    histograms: dict[int, list[Histogram]] = field(default_factory=dict)
    """By the position of their series; in order of time."""

    @property
    def starts(self) -> Integers:
        """Where the samples of each series begin."""
        return np.concatenate(([0], self.ends))[:-1]


class _Elements(Loader):
    """Returns the elements of an array as they come."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data[_ARRAY_HEADER_BYTES:])


def prepare(connection: Connection) -> None:
    """Make a connection return arrays of times and values as bytes."""
    connection.adapters.register_loader(_TIMESTAMPTZ_ARRAY, _Elements)
    connection.adapters.register_loader(_FLOAT8_ARRAY, _Elements)


class SampleReader:
    """Reads the samples of one request; counts them against a limit."""

    def __init__(self, connection: Connection, *, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._read = 0

    def read(self, series: Sequence[Series], start: int, end: int) -> Block:
        """Return the samples between two times in milliseconds, both included, of the series that have any.

        Raises:
            QueryError: the request has read more samples than allowed.
        """
        where = _where([one.series_id for one in series], start, end)
        floats = self._floats(where)
        histograms = self._histograms(where)
        found = [one for one in series if one.series_id in floats or one.series_id in histograms]
        columns = [floats.get(one.series_id, (b"", b"")) for one in found]
        times = np.frombuffer(b"".join(times for times, _ in columns), _INT_ELEMENT)["value"].astype(np.int64)
        values = np.frombuffer(b"".join(values for _, values in columns), _FLOAT_ELEMENT)["value"].astype(np.uint64)
        sizes = np.array([len(times) // _INT_ELEMENT.itemsize for times, _ in columns], np.int64)
        return _in_order(
            Block(
                found,
                (times + _MICROSECONDS_2000) // 1000,
                values,
                np.cumsum(sizes),
                {
                    position: sorted(histograms[one.series_id])
                    for position, one in enumerate(found)
                    if one.series_id in histograms
                },
            )
        )

    def _floats(self, where: str) -> dict[int, tuple[bytes, bytes]]:
        sql = (
            "SELECT series_id, array_agg(time), array_agg(value) FROM ("
            f"SELECT series_id, time, value FROM jelmore.samples WHERE {where} UNION ALL "
            f"SELECT series_id, time, value FROM jelmore.samples_kept WHERE {where} "
            f"LIMIT {self._limit - self._read + 1}) found GROUP BY series_id"
        )
        floats = {}
        with self._connection.cursor(binary=True) as cursor:
            for series_id, times, values in cursor.execute(sql):
                self._count(len(times) // _INT_ELEMENT.itemsize)
                floats[series_id] = times, values
        return floats

    def _histograms(self, where: str) -> dict[int, list[Histogram]]:
        sql = (
            "SELECT series_id, (extract(epoch FROM time) * 1000)::bigint, payload FROM jelmore.histograms "
            f"WHERE {where} LIMIT {self._limit - self._read + 1}"
        )
        histograms: dict[int, list[Histogram]] = {}
        with self._connection.cursor(binary=True) as cursor:
            for series_id, time, payload in cursor.execute(sql):
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


def portions(series: Sequence[Series], start: int, end: int) -> Iterator[Sequence[Series]]:
    """Yield series in portions of one statement each."""
    if start > end:
        return
    usual = (end - start) // _USUAL_STEP_MS + 1
    size = max(1, min(SERIES_AT_ONCE, SAMPLES_AT_ONCE // usual))
    for first in range(0, len(series), size):
        yield series[first : first + size]


def _in_order(block: Block) -> Block:
    """Return a block whose series are in order of time, each time once."""
    falls = np.diff(block.times) <= 0
    falls[block.ends[(block.ends > 0) & (block.ends < len(block.times))] - 1] = False  # from one series to the next
    if not falls.any():
        return block
    owner = np.repeat(np.arange(len(block.series)), np.diff(block.ends, prepend=0))
    order = np.lexsort((block.times, owner))
    times, owner = block.times[order], owner[order]
    # the receiver lets no duplicate through; Prometheus would refuse all of the answer because of one
    first = np.concatenate(([True], (np.diff(times) > 0) | (np.diff(owner) > 0)))
    ends = np.searchsorted(owner[first], np.arange(len(block.series)), side="right")
    return Block(block.series, times[first], block.values[order][first], ends, block.histograms)


def _where(series_ids: Sequence[int], start: int, end: int) -> str:
    numbers = ",".join(map(str, series_ids))
    return (
        f"series_id = ANY ('{{{numbers}}}'::bigint[]) AND series_id BETWEEN {min(series_ids)} AND {max(series_ids)} "
        f"AND time BETWEEN {_timestamp(start)} AND {_timestamp(end)}"
    )


def _timestamp(milliseconds: int) -> str:
    clamped = min(max(milliseconds, _OLDEST), _NEWEST)
    return f"'{np.datetime64(clamped, 'ms')}Z'::timestamptz"
