"""Group commit: what waits is written in one transaction, and answered when it is committed."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import psycopg
from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection, PostgresDatabase
from jelmon.errors import SourceError
from jelmon_store.series.cache import SeriesCache
from jelmon_store.wire.decoded import Decoded, Metadata
from jelmon_store.wire.errors import BusyError, RequestError
from jelmon_store.write.submission import Outcome, Submission, accept
from jelmon_store.write.transaction import Transaction, is_fault_of_data

logger = logging.getLogger(__name__)

MAX_BATCH = 50_000
_METADATA_KEPT = 100_000


class Writer:
    """Writes submissions, those of one group in the order in which they were accepted.

    There is a transaction for each database connection; two at a time never have series of one group, so that samples
    that take the exact way need not wait for others in flight. ``losses`` counts how often a group turned out to be
    written by another receiver: what was accepted before, was split with watermarks that did not hold, and goes the
    exact way as a whole.
    """

    def __init__(self, databases: Sequence[PostgresDatabase], cache: SeriesCache, *, max_queue: int) -> None:
        self._databases = databases
        self._cache = cache
        self._max_queue = max_queue
        self._receiver = secrets.randbits(62)
        self._queue: deque[Submission] = deque()
        self._queued = 0
        self._changed = asyncio.Event()
        self._busy: dict[int, set[int]] = {}  # the groups that each connection writes
        self._losses = 0
        self._partitions: set[tuple[str, int]] = set()
        self._native: bool | None = None
        self._metadata: dict[str, Metadata] = {}
        self._metadata_of: dict[int, Metadata] = {}
        self.exact = 0
        self.last_error = ""

    @property
    def queued(self) -> int:
        """How many samples wait, with those being written."""
        return self._queued

    @property
    def full(self) -> bool:
        """Whether new requests must be refused."""
        return self._queued >= self._max_queue

    def submit(self, decoded: Decoded, *, retried: bool) -> "asyncio.Future[Outcome]":
        """Queue a request; the result is there when it is committed.

        The codes of ``decoded`` must be from this same step of the event loop: slots may change later.

        Raises:
            BusyError: the queue is full.
        """
        if self.full:
            raise BusyError("the queue is full: the database is too slow", hint="send again later")
        submission = accept(decoded, self._cache, losses=self._losses, exact=retried)
        self._drop_known_metadata(submission)
        self._queue.append(submission)
        self._queued += submission.weight
        self._changed.set()
        return submission.done

    async def run(self, connection: int) -> None:
        """Write over one of the connections until cancelled; what waits then is answered as not written."""
        try:
            while True:
                batch = self._take()
                if not batch:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                self._busy[connection] = set().union(*(one.group_set for one in batch))
                try:
                    await self._commit(batch, self._databases[connection])
                finally:
                    del self._busy[connection]
                    self._changed.set()  # others may wait for these groups
                    self._queued -= sum(one.weight for one in batch)
                    for one in batch:
                        if not one.done.done():
                            one.done.set_exception(BusyError("the service stops", hint="send again later"))
        finally:
            for one in self._queue:
                if not one.done.done():
                    one.done.set_exception(BusyError("the service stops", hint="send again later"))

    def _take(self) -> list[Submission]:
        """Return what can be written together now: nothing of groups that are being written, or wait before it."""
        blocked: set[int] = set().union(*self._busy.values())
        batch: list[Submission] = []
        left: deque[Submission] = deque()
        size = 0
        while self._queue and (not batch or size + self._queue[0].weight <= MAX_BATCH):
            one = self._queue.popleft()
            if blocked.isdisjoint(one.group_set):
                batch.append(one)
                size += one.weight
            else:
                blocked |= one.group_set
                left.append(one)
        self._queue.extendleft(reversed(left))
        return batch

    async def _commit(self, batch: list[Submission], database: PostgresDatabase) -> None:
        """Write a batch and set the results of its requests."""
        try:
            await self._write(batch, database)
        except SourceError as error:
            self.last_error = error.message
            if not is_fault_of_data(error.__cause__):
                for one in batch:
                    _fail(one, error)
                return
            # one request spoils the transaction of others: find it
            if len(batch) > 1:
                for one in batch:
                    await self._commit([one], database)
                return
            logger.error("the database refuses a request", extra={"error": error.message})
            _fail(batch[0], RequestError(f"the database refuses the samples: {error.message}"))

    async def _write(self, batch: list[Submission], database: PostgresDatabase) -> None:
        for attempt in (1, 2):
            transaction = Transaction(batch, self._cache, self._receiver, losses=self._add_losses)
            try:
                await self._make_partitions(batch, database)
                await database.write(transaction.run)
                break
            except SourceError as error:
                # the partition was dropped after this process had seen it
                if attempt == 2 or not isinstance(error.__cause__, psycopg.errors.CheckViolation):
                    raise
                self._partitions.clear()
        transaction.committed()
        self.last_error = ""
        self.exact += transaction.exact
        for one, outcome in zip(batch, transaction.outcomes(), strict=True):
            if not one.done.done():  # its client may have gone
                one.done.set_result(outcome)
            self._keep_metadata(one)

    def _add_losses(self, count: int) -> int:
        """Count lost groups and return the count from before: what was accepted with less goes the exact way."""
        before = self._losses
        self._losses += bool(count)
        return before

    # --- partitions of plain PostgreSQL ---

    async def _make_partitions(self, batch: list[Submission], database: PostgresDatabase) -> None:
        """Make the partitions that the batch needs, in a transaction of their own."""
        if self._native is None:
            self._native, self._widths = await database.read(_partitioning)
        if not self._native:
            return
        for table, times in _times_by_table(batch).items():
            width = self._widths[table]
            parts = [int(part) for part in np.unique(times // width) if (table, int(part)) not in self._partitions]
            if parts:
                moments = [datetime.fromtimestamp(part * width / 1000, UTC) for part in parts]
                await database.write(_ensure_partitions(table, moments))
                self._partitions |= {(table, part) for part in parts}

    # --- metadata ---

    def _drop_known_metadata(self, submission: Submission) -> None:
        known, known_of = self._metadata, self._metadata_of
        submission.metadata = {name: new for name, new in submission.metadata.items() if known.get(name) != new}
        submission.metadata_of = {key: new for key, new in submission.metadata_of.items() if known_of.get(key) != new}

    def _keep_metadata(self, submission: Submission) -> None:
        if len(self._metadata) > _METADATA_KEPT:
            self._metadata.clear()
        self._metadata |= submission.metadata
        self._metadata_of |= submission.metadata_of


def _fail(submission: Submission, error: Exception) -> None:
    if not submission.done.done():
        submission.done.set_exception(error)


def _times_by_table(batch: list[Submission]) -> dict[str, "np.typing.NDArray[np.int64]"]:
    samples = [one.times[~one.kept] for one in batch]
    kept = [one.times[one.kept] for one in batch]
    return {
        "samples": np.concatenate(samples),
        "samples_kept": np.concatenate(kept),
        "histograms": np.array([time for one in batch for _, time, _ in one.histograms], np.int64),
        "exemplars": np.array([row[1] for one in batch for row in one.exemplars], np.int64),
    }


async def _partitioning(connection: Connection) -> tuple[bool, dict[str, int]]:
    """Return whether the tables are partitioned natively, and the width of partitions in milliseconds."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT table_name, (extract(epoch FROM width) * 1000)::bigint, jelmore.store_flavour() = 'postgresql' "
        "FROM jelmore.time_partitioning"
    )
    rows = await cursor.fetchall()
    return all(native for _, _, native in rows), {name: width for name, width, _ in rows}


def _ensure_partitions(table: str, moments: list[datetime]):  # type: ignore[no-untyped-def]
    async def work(connection: Connection) -> None:
        await connection.execute("SELECT jelmore.ensure_partitions(%s, %s::timestamptz[])", (table, moments))

    return work
