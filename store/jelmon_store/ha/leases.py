"""Leases of HA pairs, driven by the time of the samples and not by the clock, so that late data find their replica.

Each replica names itself with two labels (``cluster`` and ``__replica__``). One of them holds the lease of its cluster
and extends it with its samples; when they stay away, the samples of another replica reach the end of the lease, and
it takes over there. Leases are in the database, so that several receivers agree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection, PostgresDatabase

TIMEOUT_MS = 60_000
REFRESH_MS = 10_000
_KEPT = 10  # leases of a cluster that are remembered
_LOCK = 0x6A656C6D_6F726503


@dataclass(frozen=True, slots=True)
class Source:
    """One replica of a pair."""

    tenant: str
    cluster: str
    replica: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A span of sample time in which one replica is kept; it lasts to the start of the next lease."""

    start: int
    until: int
    replica: str


class HaLeases:
    """Decides which samples of a replica are kept."""

    def __init__(self, database: PostgresDatabase, *, timeout_ms: int = TIMEOUT_MS) -> None:
        self._database = database
        self._timeout = timeout_ms
        self._numbers: dict[Source, int] = {}
        self._sources: list[Source] = []
        self._leases: dict[tuple[str, str], list[Lease]] = {}

    def number_of(self, source: Source) -> int:
        """Return the number of a source, from 1."""
        number = self._numbers.get(source)
        if number is None:
            self._sources.append(source)
            number = self._numbers[source] = len(self._sources)
        return number

    def is_due(self, number: int, newest: int) -> bool:
        """Return whether the database must be asked before samples up to ``newest`` can be judged."""
        source = self._sources[number - 1]
        leases = self._leases.get((source.tenant, source.cluster))
        if not leases:
            return True
        last = leases[-1]
        if last.replica == source.replica:
            return newest > last.until - self._timeout + REFRESH_MS
        return newest >= last.until

    async def extend(self, number: int, oldest: int, newest: int) -> None:
        """Extend the lease of a source, or take it over if it has ended, and learn the leases of its cluster.

        Raises:
            SourceError: the database does not respond.
        """
        source = self._sources[number - 1]

        async def work(connection: Connection) -> list[Lease]:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(%s # hashtextextended(%s, 0))",
                (_LOCK, f"{source.tenant}\n{source.cluster}"),
            )
            leases = await _read(connection, source)
            until = newest + self._timeout
            if leases and leases[-1].replica == source.replica:
                if until > leases[-1].until:
                    await connection.execute(
                        "UPDATE jelmore.ha_leases SET until_ms = %s "
                        "WHERE tenant = %s AND cluster = %s AND start_ms = %s",
                        (until, source.tenant, source.cluster, leases[-1].start),
                    )
                    leases[-1] = Lease(leases[-1].start, until, source.replica)
            elif not leases or newest >= leases[-1].until:
                start = leases[-1].until if leases else oldest
                leases.append(Lease(start, until, source.replica))
                await connection.execute(
                    "INSERT INTO jelmore.ha_leases (tenant, cluster, start_ms, until_ms, replica) "
                    "VALUES (%s, %s, %s, %s, %s)",
                    (source.tenant, source.cluster, start, until, source.replica),
                )
            return leases

        self._leases[source.tenant, source.cluster] = (await self._database.write(work))[-_KEPT:]

    def keeps(self, number: int, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which samples of a source are kept, by their times."""
        source = self._sources[number - 1]
        leases = self._leases[source.tenant, source.cluster]
        starts = np.array([lease.start for lease in leases], np.int64)
        holds = np.array([lease.replica == source.replica for lease in leases], np.bool_)
        # before the first lease that is known, its holder
        return holds[np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)]


async def _read(connection: Connection, source: Source) -> list[Lease]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT start_ms, until_ms, replica FROM jelmore.ha_leases WHERE tenant = %s AND cluster = %s "
        "ORDER BY start_ms DESC LIMIT %s",
        (source.tenant, source.cluster, _KEPT),
    )
    return [Lease(*row) for row in reversed(await cursor.fetchall())]
