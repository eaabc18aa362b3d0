"""One transaction: the samples of many requests, each stored once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection
from jelmon_store.series.cache import SeriesCache
from jelmon_store.wire.decoded import Metadata
from jelmon_store.write import exact, rows
from jelmon_store.write.groups import claim
from jelmon_store.write.submission import Outcome, Submission

Ints = NDArray[np.int64]
SAMPLES, KEPT = "samples", "samples_kept"
LATE_MS = 30_000
"""Rollups are made from samples older than a minute."""


class Transaction:
    """Writes a batch. `run` may be called again if its transaction failed: then nothing is trusted to be new."""

    def __init__(
        self, batch: list[Submission], cache: SeriesCache, receiver: int, *, losses: Callable[[int], int]
    ) -> None:
        self._batch = batch
        self._cache = cache
        self._receiver = receiver
        self._losses = losses  # adds to the number of losses and returns it
        self._attempts = 0
        self._slots = np.concatenate([one.slots for one in batch])
        self._series_ids = np.concatenate([one.series_ids for one in batch])
        self._times = np.concatenate([one.times for one in batch])
        self._bits = np.concatenate([one.bits for one in batch])
        self._kept = np.concatenate([one.kept for one in batch])
        self._groups = np.concatenate([one.groups[: len(one.times)] for one in batch])
        self._learned: dict[str, Ints] = {}
        self._duplicates = np.zeros(len(self._times), np.bool_)
        self.exact = 0  # samples that took the exact way

    async def run(self, connection: Connection) -> None:
        """Write everything."""
        self._attempts += 1
        groups = np.array(sorted(frozenset().union(*(one.group_set for one in self._batch))), np.int64)
        lost = await claim(connection, groups, self._receiver) if len(groups) else groups
        if len(lost):
            self._cache.lose(lost)
        losses = self._losses(len(lost))
        fast = np.concatenate([one.fast if one.losses == losses else np.zeros_like(one.fast) for one in self._batch])
        if len(lost):
            fast &= ~np.isin(self._groups, lost)
        if self._attempts > 1:  # the first attempt may have been committed
            fast[:] = False
        self.exact = int((~fast).sum())
        self._duplicates[:] = False
        for table, here in ((SAMPLES, ~self._kept), (KEPT, self._kept)):
            # first, so that the exact way sees them: a copy of a request may wait in the same batch
            await self._copy_samples(connection, table, np.flatnonzero(here & fast))
            late = np.flatnonzero(here & ~fast)
            if len(late):
                absent = await self._absent(connection, table, late)
                self._duplicates[late[~absent]] = True
                await self._learn(connection, table, late)
                await self._copy_samples(connection, table, late[absent])
        await _queue_rollups(connection, self._times)
        await _write_histograms(connection, [row for one in self._batch for row in one.histograms])
        await _write_exemplars(connection, [row for one in self._batch for row in one.exemplars])
        await _write_starts(connection, {(row[1], row[2]) for one in self._batch for row in one.starts})
        await _write_metadata(connection, self._batch)

    def committed(self) -> None:
        """Note what is known after the commit."""
        cache = self._cache
        for slots in self._learned.values():
            cache.known[slots] = True
        for one in self._batch:
            for slot, series_id, start in one.starts:
                if cache.series_id[slot] == series_id:
                    cache.start[slot] = start

    def outcomes(self) -> list[Outcome]:
        """Return what became of each request."""
        ends = np.cumsum([len(one.times) for one in self._batch])[:-1]
        return [
            Outcome(
                len(one.times) + one.repeated,
                len(one.histograms),
                len(one.exemplars),
                int(duplicates.sum()) + one.repeated,
            )
            for one, duplicates in zip(self._batch, np.split(self._duplicates, ends), strict=True)
        ]

    async def _copy_samples(self, connection: Connection, table: str, chosen: Ints) -> None:
        if len(chosen):
            data = rows.sample_rows(self._series_ids[chosen], self._times[chosen], self._bits[chosen])
            await _copy(connection, f"{table} (time, series_id, value)", data)

    async def _absent(self, connection: Connection, table: str, late: Ints) -> NDArray[np.bool_]:
        """Return which of some samples are in no table: before its retention changed, a metric was in the other one."""
        absent = await exact.absent(connection, table, self._series_ids[late], self._times[late])
        other = KEPT if table == SAMPLES else SAMPLES
        left = late[absent]
        if len(left):
            absent[absent] = await exact.absent(connection, other, self._series_ids[left], self._times[left])
        return absent

    async def _learn(self, connection: Connection, table: str, late: Ints) -> None:
        """Raise the watermarks of series that this process did not know to what is stored."""
        cache = self._cache
        slots, first = np.unique(self._slots[late], return_index=True)
        series_ids = self._series_ids[late][first]
        unknown = ~cache.known[slots] & (cache.series_id[slots] == series_ids)
        slots, series_ids = slots[unknown], series_ids[unknown]
        if not len(slots):
            return
        latest = int(self._times[late].max())
        newest: dict[int, int] = {}
        for either in (SAMPLES, KEPT):
            found = await exact.newest(connection, either, series_ids, latest)
            newest |= {series_id: max(found[series_id], newest.get(series_id, latest)) for series_id in found}
        # what is stored up to `latest` was not asked for, so nothing up to there counts as new
        stored = np.array([newest.get(series_id, latest) for series_id in series_ids.tolist()], np.int64)
        cache.watermark[slots] = np.maximum(cache.watermark[slots], stored)
        self._learned[table] = slots


async def _copy(connection: Connection, target: str, data: bytes) -> None:
    async with connection.cursor().copy(f"COPY jelmore.{target} FROM STDIN (FORMAT binary)") as copy:
        await copy.write(data)


async def _queue_rollups(connection: Connection, times: Ints) -> None:
    """Have the rollups of late samples made again: their hours may have been rolled up."""
    late = times[times < time.time() * 1000 - LATE_MS]
    if len(late):
        hours = [datetime.fromtimestamp(int(hour) * 3600, UTC) for hour in np.unique(late // 3_600_000)]
        await connection.execute("SELECT jelmore.queue_rollups(%s::timestamptz[])", (hours,))


async def _write_histograms(connection: Connection, histograms: list[tuple[int, int, bytes]]) -> None:
    if not histograms:
        return
    absent = await exact.absent(
        connection,
        "histograms",
        np.array([series_id for series_id, _, _ in histograms], np.int64),
        np.array([time for _, time, _ in histograms], np.int64),
    )
    new = [row for row, good in zip(histograms, absent.tolist(), strict=True) if good]
    if new:
        await _copy(connection, "histograms (time, series_id, payload)", rows.histogram_rows(new))


async def _write_exemplars(connection: Connection, exemplars: list[tuple[int, int, int, str]]) -> None:
    """Insert the exemplars that are not stored: a series may have several at one time."""
    if not exemplars:
        return
    new = list(dict.fromkeys(exemplars))
    await connection.execute(
        "INSERT INTO jelmore.exemplars (time, series_id, value, labels) "
        "SELECT to_timestamp(new.time / 1000.0), new.series_id, new.value, new.labels::jsonb "
        "FROM unnest(%b::bigint[], %b::bigint[], %b::float8[], %s::text[]) AS new (time, series_id, value, labels) "
        "WHERE NOT EXISTS (SELECT FROM jelmore.exemplars stored WHERE stored.series_id = new.series_id "
        "AND stored.time = to_timestamp(new.time / 1000.0) AND stored.labels = new.labels::jsonb "
        "AND stored.value = new.value)",
        (
            [time for _, time, _, _ in new],
            [series_id for series_id, _, _, _ in new],
            np.array([bits for _, _, bits, _ in new], np.uint64).view(np.float64).tolist(),
            [labels for _, _, _, labels in new],
        ),
    )


async def _write_starts(connection: Connection, starts: set[tuple[int, int]]) -> None:
    if not starts:
        return
    ordered = sorted(starts)
    await connection.execute(
        "INSERT INTO jelmore.series_starts (series_id, start_time) "
        "SELECT series_id, to_timestamp(start / 1000.0) FROM unnest(%s::bigint[], %s::bigint[]) AS new "
        "(series_id, start) ON CONFLICT DO NOTHING",
        ([series_id for series_id, _ in ordered], [start for _, start in ordered]),
    )


async def _write_metadata(connection: Connection, batch: list[Submission]) -> None:
    by_name: dict[str, Metadata] = {}
    by_id: dict[int, Metadata] = {}
    for one in batch:
        by_name |= one.metadata
        by_id |= one.metadata_of
    if by_id:
        ids = sorted(by_id)
        await connection.execute(
            "UPDATE jelmore.metrics m SET type = new.type, unit = new.unit, help = new.help "
            "FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS new (metric_id, type, unit, help) "
            "WHERE m.metric_id = new.metric_id "
            "AND (m.type, m.unit, m.help) IS DISTINCT FROM (new.type, new.unit, new.help)",
            (ids, *_columns([by_id[metric] for metric in ids])),
        )
    if by_name:
        names = sorted(by_name)
        columns = _columns([by_name[name] for name in names])
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(
            "UPDATE jelmore.metrics m SET type = new.type, unit = new.unit, help = new.help "
            "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS new (name, type, unit, help) "
            "WHERE m.name = new.name AND (m.type, m.unit, m.help) IS DISTINCT FROM (new.type, new.unit, new.help)",
            (names, *columns),
        )
        # a histogram's metadata has the name of the family, which no series has; the join spares its id
        await cursor.execute(
            "INSERT INTO jelmore.metrics (name, type, unit, help) SELECT new.* "
            "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS new (name, type, unit, help) "
            "LEFT JOIN jelmore.metrics m USING (name) WHERE m.name IS NULL ON CONFLICT (name) DO NOTHING",
            (names, *columns),
        )


def _columns(entries: list[Metadata]) -> tuple[list[str], list[str], list[str]]:
    return [one.type for one in entries], [one.unit for one in entries], [one.help for one in entries]


def is_fault_of_data(error: BaseException | None) -> bool:
    """Return whether the database refused the data themselves, so that repeating them cannot help."""
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError) and not isinstance(
        error, psycopg.errors.CheckViolation
    )
