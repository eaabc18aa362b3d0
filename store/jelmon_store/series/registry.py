"""Gives series their ids: the database allocates them, so that several receivers agree."""

from dataclasses import dataclass
from typing import Any

from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection, PostgresDatabase
from jelmon_store.series.cache import KeyTable, SeriesCache
from jelmon_store.series.labels import SeriesKey


@dataclass(frozen=True, slots=True)
class UnknownSeries:
    """A series that a request names and the cache does not have. ``source`` is its HA source, 0 without one."""

    cache_key: bytes
    series: SeriesKey
    source: int = 0


class SeriesRegistry:
    """Looks up series in the database, makes those that it does not have, and puts them into the cache."""

    def __init__(self, database: PostgresDatabase, cache: SeriesCache, *, series_per_metric: int | None = None) -> None:
        self._database = database
        self._cache = cache
        self._series_per_metric = series_per_metric
        self._metrics: dict[str, tuple[int, bool]] = {}  # name -> id, kept longer
        self._counts: dict[tuple[str, int], int] = {}  # tenant, metric -> series in the database
        self.created = 0

    async def resolve(self, tenant: str, table: KeyTable, unknown: list[UnknownSeries]) -> list[UnknownSeries]:
        """Put series of one tenant into the cache; return those over the limit of their metric.

        Raises:
            SourceError: the database does not respond.
        """
        wanted = {entry.series.fingerprint: entry.series for entry in unknown}

        # a metric made in a transaction that fails does not exist: it is remembered after the commit
        metrics: dict[str, tuple[int, bool]] = {}

        async def look_up(connection: Connection) -> tuple[dict[bytes, int], set[bytes], set[bytes]]:
            names = {series.metric for series in wanted.values()}
            metrics.clear()
            metrics.update({name: self._metrics[name] for name in names if name in self._metrics})
            await _find_metrics(connection, names, metrics)
            found = await _select(connection, tenant, list(wanted))
            missing = sorted(wanted.keys() - found.keys())  # in one order in all processes: no deadlock
            missing, refused = await self._within_limits(connection, tenant, [wanted[key] for key in missing], metrics)
            made = await _insert(connection, tenant, [wanted[key] for key in missing], metrics)
            lost = [key for key in missing if key not in made]  # another receiver was faster
            found |= made | (await _select(connection, tenant, lost) if lost else {})
            return found, set(made), refused

        found, made, refused = await self._database.write(look_up)
        self._metrics |= metrics
        self.created += len(made)
        for series in (wanted[key] for key in made):
            count_key = (tenant, self._metrics[series.metric][0])
            if count_key in self._counts:
                self._counts[count_key] += 1
        over = []
        for entry in unknown:
            fingerprint = entry.series.fingerprint
            if fingerprint in refused:
                over.append(entry)
                continue
            metric, kept = self._metrics[entry.series.metric]
            slot = self._cache.add(
                found[fingerprint], group=entry.series.group, metric=metric, kept=kept, new=fingerprint in made
            )
            self._cache.remember(table, entry.cache_key, slot | entry.source << 32)
        return over

    async def refresh_retention(self) -> None:
        """Read again which metrics are kept longer.

        Raises:
            SourceError: the database does not respond.
        """
        rows = await self._database.read(_kept_metrics)
        self._metrics = {name: (metric, name in rows) for name, (metric, _) in self._metrics.items()}
        self._cache.set_kept(list(rows.values()))

    async def _within_limits(
        self, connection: Connection, tenant: str, series: list[SeriesKey], metrics: dict[str, tuple[int, bool]]
    ) -> tuple[list[bytes], set[bytes]]:
        """Return the fingerprints that may be made, and those over the limit."""
        limit = self._series_per_metric
        if limit is None:
            return [one.fingerprint for one in series], set()
        counts: dict[int, int] = {}
        for metric in {metrics[one.metric][0] for one in series}:
            if (tenant, metric) not in self._counts:
                cursor = connection.cursor(row_factory=tuple_row)
                await cursor.execute(
                    "SELECT count(*) FROM jelmore.series WHERE tenant = %s AND metric_id = %s", (tenant, metric)
                )
                row = await cursor.fetchone()
                self._counts[tenant, metric] = int(row[0]) if row else 0
            counts[metric] = self._counts[tenant, metric]
        allowed, refused = [], set()
        for one in series:
            metric = metrics[one.metric][0]
            if counts[metric] >= limit:
                refused.add(one.fingerprint)
                continue
            counts[metric] += 1
            allowed.append(one.fingerprint)
        return allowed, refused


async def _find_metrics(connection: Connection, names: set[str], metrics: dict[str, tuple[int, bool]]) -> None:
    """Add the ids of metrics that are missing, and insert those that are new."""
    missing = sorted(names - metrics.keys())
    if not missing:
        return
    for insert in (False, True):
        if insert and missing:
            await connection.execute(
                "INSERT INTO jelmore.metrics (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING",
                (missing,),
            )
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(
            "SELECT name, metric_id, retention_class <> 0 FROM jelmore.metrics WHERE name = ANY(%s)", (missing,)
        )
        for name, metric, kept in await cursor.fetchall():
            metrics[name] = (metric, kept)
        missing = [name for name in missing if name not in metrics]
        if not missing:
            return


async def _insert(
    connection: Connection, tenant: str, series: list[SeriesKey], metrics: dict[str, tuple[int, bool]]
) -> dict[bytes, int]:
    if not series:
        return {}
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(
        "INSERT INTO jelmore.series (tenant, metric_id, labels, fingerprint) "
        "SELECT %s, metric, labels::jsonb, fingerprint "
        # binary: as text, each quote of each label is escaped in Python
        "FROM unnest(%b::int[], %b::text[], %b::bytea[]) AS new (metric, labels, fingerprint) "
        "ON CONFLICT (tenant, fingerprint) DO NOTHING RETURNING fingerprint, series_id",
        (
            tenant,
            [metrics[one.metric][0] for one in series],
            [one.labels for one in series],
            [one.fingerprint for one in series],
        ),
    )
    return {bytes(fingerprint): series_id for fingerprint, series_id in await cursor.fetchall()}


async def _select(connection: Connection, tenant: str, fingerprints: list[bytes]) -> dict[bytes, int]:
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(
        "SELECT fingerprint, series_id FROM jelmore.series WHERE tenant = %s AND fingerprint = ANY(%b::bytea[])",
        (tenant, fingerprints),
    )
    return {bytes(fingerprint): series_id for fingerprint, series_id in await cursor.fetchall()}


async def _kept_metrics(connection: Connection) -> dict[str, int]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("SELECT name, metric_id FROM jelmore.metrics WHERE retention_class <> 0")
    rows: list[Any] = await cursor.fetchall()
    return dict(rows)
