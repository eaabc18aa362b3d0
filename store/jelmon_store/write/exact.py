"""Which of some samples are not stored yet: the slow way, for those that may be."""

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection

_WINDOW_MS = 600_000

Ints = NDArray[np.int64]


async def absent(connection: Connection, table: str, series_ids: Ints, times: Ints) -> NDArray[np.bool_]:
    """Return which (series, time) are not in a table; times in milliseconds. The first of equal ones counts.

    The caller holds the groups of the series, so that the answer holds until its transaction ends. Ids and times are
    constants in the query, so that PostgreSQL reads only the partitions that can hold them.
    """
    result = np.zeros(len(times), np.bool_)
    order = np.lexsort((np.arange(len(times)), series_ids, times))
    windows = times[order] // _WINDOW_MS
    for part in np.split(order, np.flatnonzero(np.diff(windows)) + 1):
        stored = await _stored(connection, table, series_ids[part], times[part])
        for position, pair in zip(part.tolist(), _pairs(series_ids[part], times[part]), strict=True):
            if pair not in stored:
                result[position] = True
                stored.add(pair)
    return result


async def newest(connection: Connection, table: str, series_ids: Ints, after: int) -> dict[int, int]:
    """Return the newest stored time of each series, for those that have one later than ``after`` (milliseconds)."""
    if not len(series_ids):
        return {}
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        f"SELECT series_id, (extract(epoch FROM max(time)) * 1000)::bigint FROM jelmore.{table} "
        f"WHERE time > {_timestamp(after)} AND series_id = ANY('{{{_ids(series_ids)}}}'::bigint[]) GROUP BY series_id"
    )
    return dict(await cursor.fetchall())


async def _stored(connection: Connection, table: str, series_ids: Ints, times: Ints) -> set[tuple[int, int]]:
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(
        f"SELECT series_id, (extract(epoch FROM time) * 1000)::bigint FROM jelmore.{table} "
        f"WHERE time >= {_timestamp(int(times.min()))} AND time <= {_timestamp(int(times.max()))} "
        f"AND series_id = ANY('{{{_ids(series_ids)}}}'::bigint[])"
    )
    return set(await cursor.fetchall())


def _pairs(series_ids: Ints, times: Ints) -> list[tuple[int, int]]:
    return list(zip(series_ids.tolist(), times.tolist(), strict=True))


def _ids(series_ids: Ints) -> str:
    return ",".join(map(str, np.unique(series_ids).tolist()))


def _timestamp(milliseconds: int) -> str:
    """Return a constant, which the planner compares with the bounds of partitions."""
    return f"'{np.datetime64(milliseconds, 'ms')}Z'::timestamptz"
