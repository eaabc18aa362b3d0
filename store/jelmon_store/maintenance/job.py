"""The maintenance job. Every receiver runs it; an advisory lock lets one at a time do the work."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from jelmon_store.maintenance import column_store, partitions, retention, rollups
from jelmon_store.maintenance.settings import RetentionSettings

logger = logging.getLogger(__name__)

_LOCK = 0x6A656C6D_6F726503


class Maintenance:
    """Keeps the tables of one database in shape."""

    def __init__(
        self,
        url: str,
        settings: RetentionSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        succeeded: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._settings = settings
        self._clock = clock
        self._succeeded = succeeded
        self._connection: partitions.Connection | None = None

    async def run(self) -> None:
        """Do the work again and again. A failure is logged and tried again; a cancellation ends its statement."""
        while True:
            work = asyncio.create_task(asyncio.to_thread(self.run_once))
            try:
                if await asyncio.shield(work):
                    self._succeeded()
            except psycopg.Error as error:
                logger.warning("maintenance failed", extra={"error": str(error).strip().partition("\n")[0]})
            except asyncio.CancelledError:
                with contextlib.suppress(psycopg.Error):
                    if self._connection is not None:
                        self._connection.cancel()
                    await work
                raise
            await asyncio.sleep(self._settings.interval_seconds)

    def run_once(self) -> bool:
        """Do what is due; return whether this process did it, not another.

        Raises:
            psycopg.Error: the database does not respond, or a table was locked for too long.
        """
        opened = partitions.connect(self._url, name="jelmon-store-maintenance", options="-c lock_timeout=30s")
        with contextlib.closing(opened) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row != (True,):
                return False
            self._connection = connection
            try:
                self._maintain(connection)
            finally:
                self._connection = None
                # the server may notice only later that the connection is closed, and holds the lock until then
                with contextlib.suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
            return True

    def _maintain(self, connection: partitions.Connection) -> None:
        now = self._clock()
        community = partitions.flavour(connection) == "community"
        partitions.make_ahead(connection, now)
        retention.classify(connection, self._settings)
        rollups.refresh(connection, self._settings, now, community=community)
        hourly = _is_due(connection, "retention", now)
        if hourly:
            retention.enforce(connection, self._settings, now)
        if community:
            column_store.compress_complete(connection, now)
            column_store.pack_joined(connection)
            if hourly:
                column_store.pack_late(connection)
        else:
            partitions.index_complete(connection, now)


def _is_due(connection: partitions.Connection, task: str, now: datetime) -> bool:
    """Return whether an hourly task is due, and note that it begins."""
    row = connection.execute(
        "INSERT INTO jelmore.maintenance_progress VALUES (%(task)s, %(now)s) ON CONFLICT (task) DO UPDATE "
        "SET done_until = %(now)s WHERE maintenance_progress.done_until <= %(now)s - interval '1 hour' RETURNING 1",
        {"task": task, "now": now},
    ).fetchone()
    return row is not None
