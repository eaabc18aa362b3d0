"""State in Redis, shared by all replicas: one atomic, fenced script per batch.

Keys of a partition share a hash tag, so that a cluster stores them on one node.
"""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jelmon.errors import ConfigError
from jelmon_exporter.series.cells import Key
from jelmon_exporter.state.encoding import encode, encode_key, read_declared, read_ids, read_series
from jelmon_exporter.state.model import Changes, Position, Snapshot
from jelmon_exporter.state.store import Claim, FellBackError, FencedError, Seen, StoreUnavailableError

START_HINT = "start one with `redis-server`, or set --redis.url or REDIS_URL"
_FOLDER = Path(__file__).parent
_MOST_FIELDS = 200_000
_TROUBLE = (redis.exceptions.RedisError, OSError, TimeoutError)


class RedisStore:
    """A `StateStore` over one Redis."""

    name = "redis"
    shared = True

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        prefix: str = "jelmore",
        timeout: float = 5.0,
        renew_seconds: float = 2.0,
    ) -> None:
        """Prepare the client, without connecting.

        Raises:
            ConfigError: the URL is invalid.
        """
        self._prefix = prefix
        self.renew_seconds = renew_seconds
        self._lease = round(3000 * renew_seconds)  # milliseconds
        try:
            self._client = redis.asyncio.Redis.from_url(
                url,
                password=password,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
            # options in the URL are checked only here
            self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, redis.exceptions.RedisError) as error:
            raise ConfigError(f"REDIS_URL: {error}", hint="for example redis://host:6379/0") from error
        self._acquire, self._renew, self._release, self._attend, self._commit, self._changes = (
            self._client.register_script((_FOLDER / f"{name}.lua").read_text())
            for name in ("acquire", "renew", "release", "attend", "commit", "changes")
        )
        self._fields: dict[Key, bytes] = {}

    def key(self, partition: int, part: str) -> str:
        """Return the name of one of a partition's keys."""
        return f"{self._prefix}:state:{{{partition}}}:{part}"

    async def attend(self, replica: str, *, leaving: bool = False) -> list[str]:
        milliseconds = 0 if leaving else self._lease
        names = await self._call(self._attend, [f"{self._prefix}:replicas"], [replica, milliseconds])
        return sorted(name.decode() for name in names)

    async def acquire(self, partition: int) -> Claim | None:
        token = str(uuid.uuid4())
        keys = [self.key(partition, "meta"), self.key(partition, "lease")]
        epoch = await self._call(self._acquire, keys, [token, self._lease])
        return Claim(int(epoch), token) if epoch else None

    async def renew(self, partition: int, claim: Claim) -> bool:
        keys = [self.key(partition, "meta"), self.key(partition, "lease")]
        return bool(await self._call(self._renew, keys, [claim.epoch, claim.token, self._lease]))

    async def release(self, partition: int, claim: Claim) -> None:
        await self._call(self._release, [self.key(partition, "lease")], [claim.token])

    async def changes_since(self, partition: int, seen: Seen | None) -> tuple[Seen, Snapshot, bool] | None:
        keys = [self.key(partition, part) for part in ("meta", "series", "touched", "declared")]
        epoch, version, *more = await self._call(
            self._changes, keys, [seen.epoch if seen else 0, seen.version if seen else 0]
        )
        now = Seen(int(epoch), int(version))
        if not more:
            return None if now == seen else (now, Snapshot(), True)
        everything, series, declared = more
        return (
            now,
            Snapshot(series=read_series(_pairs(series)), declared=read_declared(_pairs(declared))),
            everything == 1,
        )

    async def publish(self, hashes: Mapping[str, Mapping[str, Any]], seconds: int) -> None:
        """Write hashes (by key without the prefix) that expire after ``seconds``.

        Raises:
            StoreUnavailableError: not written.
        """
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, fields in hashes.items():
                    mapping: dict[Any, Any] = dict(fields)
                    pipeline.hset(f"{self._prefix}:{key}", mapping=mapping)
                    pipeline.expire(f"{self._prefix}:{key}", seconds)
                await pipeline.execute()
        except _TROUBLE as error:
            raise unavailable(error) from error

    async def _call(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        try:
            return await script(keys=keys, args=arguments)
        except _TROUBLE as error:
            raise unavailable(error) from error

    async def load(self, partition: int) -> Snapshot:
        try:
            async with self._client.pipeline(transaction=True) as pipeline:
                for part in ("meta", "series", "entries", "declared"):
                    pipeline.hgetall(self.key(partition, part))
                pipeline.lrange(self.key(partition, "ids"), 0, -1)
                meta, series, entries, declared, ids = await pipeline.execute()
        except _TROUBLE as error:
            raise unavailable(error) from error
        return Snapshot(
            position=_position(meta),
            series=read_series(series.items()),
            entries={key.decode(): value for key, value in entries.items()},
            declared=read_declared(declared.items()),
            ids=read_ids(ids),
        )

    async def commit(
        self, partition: int, *, claim: Claim, position: Position, changes: Changes, whole: bool = False
    ) -> None:
        keys = [self.key(partition, part) for part in ("meta", "series", "entries", "declared", "ids", "touched")]
        match await self._call(self._commit, keys, self._arguments(claim, position, changes, whole=whole)):
            case b"done" | b"already":
                return
            case b"fenced":
                raise FencedError(f"partition {partition} has a newer owner")
            case _:
                raise FellBackError(f"Redis holds an older state of partition {partition}")

    def _arguments(self, claim: Claim, position: Position, changes: Changes, *, whole: bool) -> list[Any]:
        if len(self._fields) > _MOST_FIELDS:  # bounds the memory for names of dropped series
            self._fields.clear()
        series_set: list[bytes] = []
        series_gone: list[bytes] = []
        for key, value in changes.series.items():
            field = self._fields.get(key)
            if field is None:
                field = self._fields[key] = encode_key(key)
            if value is None:
                series_gone.append(field)
            else:
                series_set += (field, encode(value))
        entries_set: list[str | bytes] = []
        entries_gone: list[str] = []
        for name, entry in changes.entries.items():
            if entry is None:
                entries_gone.append(name)
            else:
                entries_set += (name, entry)
        declared: list[str | bytes] = []
        for pipeline, declaration in changes.declared.items():
            declared += (pipeline, encode(declaration))
        return [
            claim.epoch,
            claim.token,
            position.version,
            position.sequence,
            position.stream,
            position.time,
            int(whole),
            changes.expired_batches,
            encode((position.time, changes.ids)) if changes.ids else b"",
            len(series_set) // 2,
            len(series_gone),
            len(entries_set) // 2,
            len(entries_gone),
            len(declared) // 2,
            *series_set,
            *series_gone,
            *entries_set,
            *entries_gone,
            *declared,
        ]

    async def close(self) -> None:
        await self._client.aclose()


def _pairs(flat: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _position(meta: Mapping[bytes, bytes]) -> Position:
    if b"version" not in meta:
        return Position()
    return Position(
        version=int(meta[b"version"]),
        sequence=int(meta[b"sequence"]),
        stream=meta[b"stream"].decode(),
        time=float(meta[b"time"]),
    )


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Return the error to raise for a failed command."""
    return StoreUnavailableError(f"Redis does not answer: {str(error) or type(error).__name__}", hint=START_HINT)
